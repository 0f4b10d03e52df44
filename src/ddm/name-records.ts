/** The source of name records on Postgres: name-source.ts says what it is, migrations/0025_names.sql how it works. */
import type { BucketId, PairId } from '../base/ids.ts';
import type { Catalog } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Row } from './link.ts';
import { seqOfVersionId } from './mapping.ts';
import { type FeedState, type NameSource, recordId, versionRecordId } from './name-source.ts';
import { statement } from './statements.ts';

const LEASE_NAMES = statement('lease-names');
const SAVE_NAMES = statement('save-names');
const NEXT_NAME_CHANGE = statement('next-name-change');
const BEGIN_WALK = statement('begin-walk');
const SAVE_WALK = statement('save-walk');
const WALK_PLACE = statement('walk-place');
const NAME_FLOOR = statement('name-floor');
const WALK_NAMES = statement('walk-names');
const NAME_RECORDS = statement('name-records');
const BUCKET_RECORDS = statement('bucket-records');
const QUOTA_RECORDS = statement('quota-records');

const bucketRecordId = (id: unknown): string => recordId('bucket', Number(id));

export function openNameSource(
  directories: Directories,
  accounts: Pick<Catalog, 'listAccounts'>,
): NameSource {
  return {
    async leaseNames(owner, leaseMs) {
      const { rows } = certain(await directories.root.write(LEASE_NAMES, [owner, leaseMs]));
      return rows[0] ? feedStateOf(rows[0]) : null;
    },
    async saveNames(owner, change) {
      certain(await directories.root.write(SAVE_NAMES, [owner, JSON.stringify(change)]));
    },
    async nextNameChange(above = 0) {
      const { rows } = certain(await directories.root.write(NEXT_NAME_CHANGE, [above]));
      return Number(rows[0]!.number);
    },

    async beginWalk(pair, floor) {
      const { rows } = certain(await directories.of(pair).write(BEGIN_WALK, [floor]));
      const { bucket, key, seq, done, ready } = rows[0]!.answer as Row;
      return {
        ...{ bucketId: Number(bucket), key: String(key), seq: Number(seq) },
        ...{ done: done === true, ready: ready === true },
      };
    },
    async walkedPairs() {
      const [feed] = await directories.root.read(NAME_FLOOR, []);
      const walked = new Set<PairId>();
      for (const directory of directories.all()) {
        const [walk] = await directory.read(WALK_PLACE, []);
        if (walk?.done === true && Number(walk.floor) === Number(feed?.floor)) walked.add(directory.pair);
      }
      return walked;
    },
    async saveWalk(pair, floor, { bucketId, key, seq, done }) {
      certain(await directories.of(pair).write(SAVE_WALK, [floor, bucketId, key, seq, done]));
    },
    async walkVersions(pair, { bucketId, key, seq }, max) {
      const rows = await directories.of(pair).read(WALK_NAMES, [bucketId, key, seq, max]);
      return rows.map((row) => {
        const name = {
          bucketId: Number(row.bucket_id) as BucketId,
          key: String(row.key),
          versionId: String(row.version_id),
        };
        const facts = { bucket: String(row.bucket ?? ''), seq: Number(row.seq), body: String(row.body) };
        return { id: versionRecordId(name), ...name, ...facts };
      });
    },

    async versionDocuments(pair, names) {
      const values = [
        names.map((name) => name.bucketId),
        names.map((name) => name.key),
        names.map((name) => name.versionId),
        names.map((name) => seqOfVersionId(name.versionId)),
      ];
      const rows = await directories.of(pair).read(NAME_RECORDS, values);
      return names.map((name, i) => ({ id: versionRecordId(name), body: textOf(rows[i]?.body) }));
    },
    async bucketDocuments(pair, ids) {
      const rows = await directories.of(pair).read(BUCKET_RECORDS, [ids ?? null]);
      const withPair = (body: unknown) =>
        JSON.stringify({ ...(JSON.parse(String(body)) as object), directory: pair });
      const found = new Map(rows.map((row) => [Number(row.id), withPair(row.body)]));
      return (ids ?? ([...found.keys()] as BucketId[])).map((id) => ({
        id: bucketRecordId(id),
        body: found.get(id) ?? null,
        epitaph: JSON.stringify({ kind: 'bucket', id }),
      }));
    },
    async settingDocuments() {
      const found = new Map<string, string>();
      for (const account of await accounts.listAccounts())
        found.set(`account\n${account.id}`, JSON.stringify({ kind: 'account', account }));
      for (const directory of directories.all())
        for (const row of await directory.read(QUOTA_RECORDS, [])) {
          const { subject, bytes_max: bytes, objects_max: objects } = row;
          const quota = { kind: 'quota', pair: directory.pair, subject, bytes, objects };
          found.set(`quota\n${directory.pair}\n${String(subject)}`, JSON.stringify(quota));
        }
      return found;
    },
  };
}

const textOf = (body: unknown): string | null => (typeof body === 'string' ? body : null);

const feedStateOf = (row: Row): FeedState => ({
  floor: Number(row.floor),
  trimmed: row.trimmed === true,
  restored: row.restored === true,
  layout: String(row.layout),
  told: row.told as FeedState['told'],
  marks: row.marks as FeedState['marks'],
  highest: Number(row.highest),
});
