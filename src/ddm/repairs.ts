/**
 * The queue of repairs, and replicas off the map. Each directory keeps those of its own blobs; what names blobs goes to
 * every directory, and each takes what is its own.
 */
import type { BlobId, MemberId } from '../base/ids.ts';
import { CatalogUnavailable, type ClusterCatalog, type OffMapReplica, type Repair } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Row } from './link.ts';
import { blobIdOf, blobOf, storable } from './mapping.ts';
import { operationJson } from './objects.ts';
import { type Statement, statement } from './statements.ts';

const ADD_REPAIRS = statement('add-repairs');
const TAKE_REPAIRS = statement('take-repairs');
const FINISH_REPAIRS = statement('finish-repairs');
const POSTPONE_REPAIRS = statement('postpone-repairs');
const LIST_REPAIRS = statement('list-repairs');
const COUNT_REPAIRS = statement('count-repairs');
const LIST_SURPLUS = statement('list-surplus');
const FORGET_OFF_MAP = statement('forget-off-map');
const RECORD_OFF_MAP = statement('record-off-map');
const FIND_BLOB_PAIR = statement('find-blob-pair');
const PAIR_MEMBERS = statement('pair-members');

const REPAIRS_AT_ONCE_MAX = 1_000;
export const NO_BLOB = '0'.repeat(32) as BlobId;
/** Above every id of a member. */
const LAST_MEMBER = '\u{10ffff}';

export type Repairs = Pick<
  ClusterCatalog,
  | 'addRepairs'
  | 'takeRepairs'
  | 'finishRepairs'
  | 'postponeRepairs'
  | 'listRepairs'
  | 'countRepairs'
  | 'listSurplus'
  | 'forgetOffMap'
  | 'recordOffMap'
>;

const repairOf = (row: Row): Repair => ({
  blob: blobOf(row)!,
  member: String(row.member) as MemberId,
  reason: row.reason as Repair['reason'],
  since: row.since as Date,
  attempts: Number(row.attempts),
  ...(row.last_error !== null && { lastError: String(row.last_error) }),
});
const offMapOf = (row: Row): OffMapReplica => ({
  blobId: blobIdOf(row.blob_id),
  member: String(row.member) as MemberId,
});

/** Bytewise, as the directories sort ids. */
export const byId = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export function openRepairs(directories: Directories): Repairs {
  const readAll = async (s: Statement, values: readonly unknown[]) =>
    (await Promise.all(directories.all().map((directory) => directory.read(s, values)))).flat();

  const writeAll = async (s: Statement, values: readonly unknown[]) => {
    const rows: Row[] = [];
    for (const directory of directories.all()) rows.push(...certain(await directory.write(s, values)).rows);
    return rows;
  };

  return {
    async addRepairs(repairs) {
      if (repairs.length > REPAIRS_AT_ONCE_MAX)
        throw new RangeError(`at most ${REPAIRS_AT_ONCE_MAX} repairs at once`);
      if (repairs.length === 0) return;
      const documents = repairs.map(({ blobId, ...repair }) => ({ blob: blobId, ...repair }));
      await writeAll(ADD_REPAIRS, [listJson(documents)]);
    },

    async takeRepairs({ max, leaseMs, member, except = [] }) {
      const taken: Repair[] = [];
      let away: unknown;
      for (const directory of directories.all()) {
        if (taken.length >= max) break;
        try {
          const values = [max - taken.length, leaseMs, member ?? null, except];
          const answer = await directory.write(TAKE_REPAIRS, values);
          // Unknown: they are due again when the lease is over.
          if (answer !== 'unknown') taken.push(...answer.rows.map(repairOf));
        } catch (error) {
          // Another directory's repairs need not wait for this one.
          if (!(error instanceof CatalogUnavailable)) throw error;
          away = error;
        }
      }
      if (away !== undefined && taken.length === 0) throw away;
      return taken;
    },

    async finishRepairs(done) {
      if (done.length === 0) return [];
      const documents = done.map(({ blobId, member }) => ({ blob: blobId, member }));
      return (await writeAll(FINISH_REPAIRS, [listJson(documents)])).map(offMapOf);
    },

    async postponeRepairs(failed) {
      if (failed.length === 0) return;
      const documents = failed.map(({ blobId, error, ...rest }) => ({
        ...{ blob: blobId, ...rest },
        error: storable(error),
      }));
      await writeAll(POSTPONE_REPAIRS, [listJson(documents)]);
    },

    async listRepairs({ member, after, max }) {
      const from = after ?? { member: member ?? '', blobId: NO_BLOB };
      const found = await readAll(LIST_REPAIRS, [member ?? LAST_MEMBER, from.member, from.blobId, max]);
      return found
        .map(repairOf)
        .filter((repair) => member === undefined || repair.member === member)
        .sort((a, b) => byId(a.member, b.member) || byId(a.blob.id, b.blob.id))
        .slice(0, max);
    },

    async countRepairs() {
      const byMember = new Map<MemberId, number>();
      let queued = 0;
      for (const row of await readAll(COUNT_REPAIRS, [])) {
        const member = String(row.member) as MemberId;
        byMember.set(member, (byMember.get(member) ?? 0) + Number(row.queued));
        queued += Number(row.queued);
      }
      return { queued, byMember };
    },

    async listSurplus(max) {
      return (await readAll(LIST_SURPLUS, [max])).map(offMapOf).slice(0, max);
    },

    async forgetOffMap(dropped) {
      if (dropped.length === 0) return;
      await writeAll(FORGET_OFF_MAP, [
        dropped.map(({ blobId }) => blobId),
        dropped.map(({ member }) => member),
      ]);
    },

    async recordOffMap(blobId, member) {
      for (const directory of directories.all()) {
        const [blob] = await directory.read(FIND_BLOB_PAIR, [blobId]);
        if (!blob) continue;
        const members = await directories.root.read(PAIR_MEMBERS, [[blob.pair]]);
        const ids = members.map(({ id }) => String(id));
        certain(await directory.write(RECORD_OFF_MAP, [blobId, member, ids]));
      }
    },
  };
}

const listJson = (documents: readonly Readonly<Record<string, unknown>>[]) =>
  `[${documents.map(operationJson).join(',')}]`;
