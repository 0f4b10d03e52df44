/**
 * Copies, overwrites, deletes and multipart uploads at once, beside changes in SQL, over bytes that many names share, in a
 * store that reclaims what nobody names almost at once: whatever is named at the end reads back whole, the counts are what
 * a recount finds, the change feed tells how it came about, and what nobody names is gone from the nodes. SHARED_SEED
 * replays the clients' choices.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import pg from 'pg';
import { bytesOf, clientOf, filesOf } from '../fault/store/store-kit.ts';
import { auditOf } from '../harness/audit.ts';
import { type Store, startStore } from '../harness/store.ts';
import { pick, seededRandom, whole } from '../world/seeded-random.ts';

const BUCKETS = ['plain', 'kept'];
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
const NODES = ['node-a11', 'node-b11'];
const WORKERS = 8;
const FOR_MS = 8_000;
/** Nothing here reads for longer than a moment, so that hardly any grace is needed. */
const SETTINGS = {
  ...{ blobGraceMs: 1_500, reclaimIntervalMs: 100 },
  // There is one pair: a crowded machine must not make its nodes look silent.
  nodeDeadlines: { connectMs: 2_000, firstByteMs: 10_000, stallMs: 10_000 },
};
const RECLAIM_MS = 30_000;
/** What may be answered to somebody whose source, upload or version has gone. */
const EXPECTED = new Set([
  'NoSuchKey',
  'NoSuchVersion',
  'NoSuchUpload',
  'InvalidPart',
  'InvalidRequest',
  'MethodNotAllowed',
]);
const LOCK_TIMEOUT = '55P03';
/** What an administrator says meanwhile, again and again. */
const IN_SQL = [
  `DELETE FROM catalog.objects WHERE key IN ('b', 'd')`,
  `DELETE FROM catalog.object_versions WHERE bucket = 'kept' AND NOT is_latest AND key < 'd'`,
  `UPDATE catalog.objects SET metadata = metadata || '{"said": "in-sql"}' WHERE key > 'c'`,
  `UPDATE catalog.object_versions SET tags = '{"seen": "yes"}' WHERE NOT is_delete_marker`,
];
const SIZES = [0, 1, 3_000, 200_000, 300_000, 1_500_000];

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');

/** What the workers know: bytes by ETag (for multipart objects), versions seen. */
interface Known {
  readonly bodies: Map<string, string>;
  readonly versions: { Bucket: string; Key: string; VersionId: string }[];
  readonly counts: Map<string, number>;
}

describe('bytes that many names share', () => {
  let store: Store;
  let s3: S3Client;
  let database: pg.Client;
  let people: pg.Client;
  const rows = async (sql: string) => (await database.query(sql)).rows as readonly unknown[];
  const known: Known = { bodies: new Map(), versions: [], counts: new Map() };

  before(async () => {
    store = await startStore({ nodesPerCenter: 1, settings: SETTINGS });
    s3 = clientOf(store);
    const login = () =>
      new pg.Client({
        host: `127.1.${store.subnets.octet}.5`,
        port: 7432,
        database: 'antipode',
        user: 'postgres',
        password: readFileSync(join(store.dataDir, 'secrets', 'postgres-superuser.password'), 'utf8').trim(),
      });
    [database, people] = [login(), login()];
    await people.connect();
    await people.query('SET SESSION AUTHORIZATION antipode_writer');
    await database.connect();
    for (const Bucket of BUCKETS) await s3.send(new CreateBucketCommand({ Bucket }));
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await s3.send(new PutBucketVersioningCommand({ Bucket: 'kept', VersioningConfiguration }));
  });
  after(async () => {
    await database?.end();
    await people?.end();
    s3?.destroy();
    await store?.stop();
  });

  /** The bytes of an object are those of its ETag. */
  const isRight = async (target: { Bucket: string; Key: string; VersionId?: string }) => {
    const { Body, ETag, ContentLength } = await s3.send(new GetObjectCommand(target));
    const bytes = await Body!.transformToByteArray();
    const etag = ETag!.replaceAll('"', '');
    const expected = etag.includes('-') ? known.bodies.get(etag) : etag;
    assert.equal(bytes.length, ContentLength);
    assert.equal(md5(bytes), expected, `${JSON.stringify(target)} ${etag}`);
  };

  it('stay while they are named and go when they are not', async (t) => {
    const seed = Number(process.env.SHARED_SEED ?? Date.now() % 1_000_000);
    const until = performance.now() + FOR_MS;
    const worker = async (number: number) => {
      const random = seededRandom(seed * 100 + number);
      while (performance.now() < until) {
        const name = await step(s3, random, known, isRight);
        known.counts.set(name, (known.counts.get(name) ?? 0) + 1);
      }
    };
    const inSql = async () => {
      for (let i = 0; performance.now() < until; i++) {
        // A lock that is not had in time is a refusal like others: the next round says it again.
        await people.query(IN_SQL[i % IN_SQL.length]!).catch((error: { code?: string }) => {
          assert.equal(error.code, LOCK_TIMEOUT, String(error));
        });
        const { rows: told } = await people.query('SELECT changed, skipped FROM catalog.last_write()');
        for (const what of ['changed', 'skipped'])
          known.counts.set(
            `sql ${what}`,
            (known.counts.get(`sql ${what}`) ?? 0) + Number(told[0]?.[what] ?? 0),
          );
        await sleep(50);
      }
    };
    await Promise.all([inSql(), ...Array.from({ length: WORKERS }, (_, number) => worker(number))]);
    t.diagnostic(`seed ${seed}: ${JSON.stringify(Object.fromEntries([...known.counts].sort()))}`);
    assert.equal(known.counts.get('unavailable') ?? 0, 0, troubles());

    await reclaimed(`SELECT FROM antipode.blob WHERE state = 'dying'`);
    assert.deepEqual(await auditOf(rows), {});
    const left = (await Promise.all(BUCKETS.map(versionsOf))).flat();
    const names = left.map(({ Bucket, Key, VersionId }) => `${Bucket}/${Key}?${VersionId}`);
    await tells(names);
    assert.ok(known.counts.get('sql changed')! > 0);
    for (const { Bucket, Key, VersionId, isMarker } of left)
      if (!isMarker) await isRight({ Bucket, Key, VersionId });
    const [shared] = (await rows('SELECT count(*)::integer AS n FROM antipode.blob WHERE ref_count > 1')) as {
      n: number;
    }[];
    t.diagnostic(`${left.length} versions read back, ${shared!.n} blobs had more than one name`);

    const large = (await rows('SELECT id FROM antipode.blob WHERE size > 1000000')) as { id: string }[];
    for (const node of NODES)
      for (const { id } of large) assert.ok(filesOn(node).has(id.replaceAll('-', '')), `${id} on ${node}`);

    for (const { Bucket, Key, VersionId } of left.slice(0, left.length / 2))
      await s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
    await people.query('DELETE FROM catalog.object_versions');
    await tells([]);
    // Uploads that nobody completed still hold their parts.
    await reclaimed(`SELECT FROM antipode.blob b
      WHERE NOT EXISTS (SELECT FROM antipode.upload_part p WHERE p.blob_id = b.id)`);
    assert.deepEqual(await auditOf(rows), {});
    const ids = (await rows("SELECT replace(id::text, '-', '') AS id FROM antipode.blob")) as {
      id: string;
    }[];
    const named = new Set(ids.map(({ id }) => id));
    for (const node of NODES)
      assert.deepEqual(
        [...filesOn(node)].filter((id) => !named.has(id)),
        [],
      );
  });

  /** The versions that there are by the change feed. */
  async function replayed(): Promise<ReadonlySet<string>> {
    const versions = new Set<string>();
    const { rows: changes } = await people.query<{ kind: string; name: string }>(
      `SELECT kind, bucket || '/' || key || '?' || version_id AS name FROM catalog.changes
       WHERE key IS NOT NULL ORDER BY transaction, number`,
    );
    for (const { kind, name } of changes) {
      if (kind === 'put' || kind === 'delete-marker') versions.add(name);
      else if (kind === 'delete') assert.ok(versions.delete(name), `${name} went before it came`);
    }
    return versions;
  }

  /** Waits for what the horizon still hides, of a reaper's transaction under way. */
  async function tells(names: readonly string[]): Promise<void> {
    const end = performance.now() + RECLAIM_MS;
    const isTold = async () => {
      const told = await replayed();
      return told.size === names.length && names.every((name) => told.has(name));
    };
    while (!(await isTold())) {
      if (performance.now() > end) assert.deepEqual([...(await replayed())].sort(), [...names].sort());
      await sleep(100);
    }
  }

  /** What the gateway wrote of requests that it could not serve. */
  const troubles = () =>
    filesOf(store.dataDir)
      .filter((file) => file.endsWith('gateway-1.log'))
      .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
      .filter((line) => /"level":[4-9]0/.test(line))
      .join('\n');

  const filesOn = (node: string) =>
    new Set(filesOf(join(store.dataDir, node, 'store', 'blobs')).map((file) => basename(file)));

  /** Waits until the query finds nothing. */
  async function reclaimed(sql: string): Promise<void> {
    const end = performance.now() + RECLAIM_MS;
    while ((await rows(sql)).length > 0) {
      assert.ok(performance.now() < end, 'what nobody names is still there');
      await sleep(100);
    }
  }

  async function versionsOf(Bucket: string) {
    const {
      Versions = [],
      DeleteMarkers = [],
      IsTruncated,
    } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
    assert.equal(IsTruncated, false, 'more versions than a page holds');
    const of = (isMarker: boolean) => (row: { Key?: string; VersionId?: string }) => ({
      ...{ Bucket, Key: row.Key!, VersionId: row.VersionId!, isMarker },
    });
    return [...Versions.map(of(false)), ...DeleteMarkers.map(of(true))];
  }
});

/** One thing at random; answers what it was, and how it was refused. */
async function step(
  s3: S3Client,
  random: () => number,
  known: Known,
  isRight: (target: { Bucket: string; Key: string; VersionId?: string }) => Promise<void>,
): Promise<string> {
  const [Bucket, Key] = [pick(random, BUCKETS), pick(random, KEYS)];
  const target = { Bucket, Key };
  const old = known.versions.length > 0 ? pick(random, known.versions.slice(-30)) : null;
  const sourceOf = (from: { Bucket: string; Key: string; VersionId?: string }) =>
    `${from.Bucket}/${from.Key}${from.VersionId === undefined ? '' : `?versionId=${from.VersionId}`}`;
  const source = old && random() < 0.4 ? old : { Bucket: pick(random, BUCKETS), Key: pick(random, KEYS) };
  const know = (VersionId: string | undefined) => {
    if (VersionId !== undefined) known.versions.push({ ...target, VersionId });
  };
  const kind = pick(random, ['put', 'copy', 'copy', 'copy', 'delete', 'delete-version', 'multipart', 'get']);
  try {
    if (kind === 'put') {
      const Body = bytesOf(String(random()), pick(random, SIZES));
      know((await s3.send(new PutObjectCommand({ ...target, Body }))).VersionId);
    } else if (kind === 'copy') {
      const MetadataDirective = random() < 0.5 || sourceOf(source) === sourceOf(target) ? 'REPLACE' : 'COPY';
      const asked = { ...target, CopySource: sourceOf(source), MetadataDirective } as const;
      know((await s3.send(new CopyObjectCommand(asked))).VersionId);
    } else if (kind === 'delete') await s3.send(new DeleteObjectCommand(target));
    else if (kind === 'delete-version') {
      if (old) await s3.send(new DeleteObjectCommand(old));
    } else if (kind === 'get') await isRight(old && random() < 0.5 ? old : target);
    else know(await multipart(s3, random, known, target, sourceOf(source)));
    return kind;
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    if (error.name === 'ServiceUnavailable' || error.name === 'SlowDown') return 'unavailable';
    assert.ok(EXPECTED.has(error.name), `${kind}: ${String(error)}`);
    return `${kind} ${error.name}`;
  }
}

/** One part of its own or one copied from elsewhere: the last part may be of any size. */
async function multipart(
  s3: S3Client,
  random: () => number,
  known: Known,
  target: { Bucket: string; Key: string },
  CopySource: string,
): Promise<string | undefined> {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
  const part = { ...target, UploadId, PartNumber: whole(random, 1, 3) };
  let etag: string;
  if (random() < 0.5) {
    const copied = await s3.send(new UploadPartCopyCommand({ ...part, CopySource }));
    etag = copied.CopyPartResult!.ETag!;
  } else {
    const Body = bytesOf(String(random()), pick(random, SIZES.slice(1)));
    etag = (await s3.send(new UploadPartCommand({ ...part, Body }))).ETag!;
  }
  if (random() < 0.2) return undefined;
  const Parts = [{ PartNumber: part.PartNumber, ETag: etag }];
  const plain = etag.replaceAll('"', '');
  // The ETag of a whole is of its parts' digests; a part that was copied whole keeps the digest of its bytes.
  known.bodies.set(`${md5(Buffer.from(plain, 'hex'))}-1`, plain);
  const done = await s3.send(
    new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }),
  );
  return done.VersionId;
}
