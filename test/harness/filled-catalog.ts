/**
 * A catalog with something of everything, for what people ask of it: three buckets, versions, markers, locks, uploads, copies,
 * duplicates, repairs, a node and a directory in failover. Sizes tell objects apart; times are set where a question is about them.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { systemClock } from '../../src/base/clock.ts';
import { type AccountId, type BucketId, type MemberId, newWriteId, type PairId } from '../../src/base/ids.ts';
import type { BlobRef, Catalog, ObjectAttributes, PutVersion } from '../../src/ddm/catalog.ts';
import type { PostgresConnection } from '../../src/ddm/locator.ts';
import { openCatalog } from '../../src/ddm/postgres-catalog.ts';
import { A12, B11, ClusterKit, clusterOf, P11, P12 } from '../contract/cluster-kit.ts';
import { ATTRIBUTES, blobOf, mustBeDone } from '../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from './catalog.ts';

export const ADA = 'ada' as AccountId;
export const SECRET = 'the sealed secret of a key';
const DAY_MS = 86_400_000;

export interface FilledCatalog {
  readonly catalog: Catalog;
  /** As the owner. */
  readonly sql: (text: string, values?: unknown[]) => Promise<readonly Record<string, unknown>[]>;
  close(): Promise<void>;
}

interface Put extends Partial<Omit<PutVersion, 'attributes' | 'content'>>, Partial<ObjectAttributes> {
  readonly pair?: PairId;
  readonly content?: PutVersion['content'];
  readonly parked?: { readonly offMap: readonly MemberId[]; readonly absent: readonly MemberId[] };
}

class Filler extends ClusterKit {
  async named(name: string, o: { versioned?: boolean; objectLock?: boolean } = {}): Promise<BucketId> {
    const owner = { name, owner: ADA, region: 'us-east-1', objectLock: o.objectLock ?? false };
    const { id } = mustBeDone(await this.catalog.createBucket(owner));
    if (o.versioned) mustBeDone(await this.catalog.setVersioning(id, 'enabled'));
    return id;
  }

  /** An object of so many bytes; answers its blob. */
  async object(bucketId: BucketId, key: string, size: number, o: Put = {}): Promise<BlobRef> {
    const { system, user, tags, storageClass, retention, legalHold, pair = P11, parked, ...rest } = o;
    const given = { system, user, tags, storageClass, retention, legalHold };
    const attributes = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const blob = { ...blobOf(size), pair, ...parked };
    await this.put(bucketId, key, {
      ...{ owner: ADA, size, etag: `etag-${size}`, attributes: { ...ATTRIBUTES, ...attributes } },
      content: size === 0 ? { kind: 'empty' } : { kind: 'blob', blob, intentAt: Date.now() },
      ...rest,
    });
    return blob;
  }
}

export async function fillCatalog(
  app: PostgresConnection,
  owner: PostgresConnection,
): Promise<FilledCatalog> {
  const catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  const k = new Filler(catalog);
  await catalog.registerTopology(clusterOf());
  const { photos, logs } = await fillBuckets(k);
  await fillAccounts(catalog);
  await fillUploads(k, photos);
  mustBeDone(await catalog.setBucketQuota(logs, { bytes: 80 }));
  await k.changed('node-b12', 'failed-over', {
    why: 'its disk is gone',
    decidedBy: 'gateway-1',
    mayReturn: true,
  });
  const client = new pg.Client({ ...owner });
  await client.connect();
  await setTimes(client);
  return {
    catalog,
    sql: async (text, values) => (await client.query(text, values)).rows,
    async close() {
      await client.end();
      await catalog.close();
    },
  };
}

async function fillAccounts(catalog: Catalog): Promise<void> {
  const accounts = [
    { id: 'root' as AccountId, displayName: 'root', isRoot: true },
    { id: ADA, displayName: 'Ada', isRoot: false },
    { id: 'idle' as AccountId, displayName: 'Idle', isRoot: false },
  ];
  for (const account of accounts) mustBeDone(await catalog.createAccount(account));
  for (const accessKeyId of ['AKOLD', 'AKNEW'])
    mustBeDone(
      await catalog.createAccessKey({ accessKeyId, account: ADA, sealedSecret: Buffer.from(SECRET) }),
    );
}

async function fillBuckets(k: Filler): Promise<{ photos: BucketId; logs: BucketId }> {
  const photos = await k.named('photos');
  const same = { algorithm: 'CRC32', type: 'FULL_OBJECT', value: 'c2FtZQ==' } as const;
  const jpeg = { system: { contentType: 'image/jpeg' } };
  const first = await k.object(photos, '2025/01/a.jpg', 100, {
    ...{ ...jpeg, checksum: same, user: { camera: 'K-3' }, tags: { project: 'apollo' } },
  });
  await k.object(photos, '2025/01/b.jpg', 100, {
    ...jpeg,
    checksum: same,
    user: { camera: 'K-1' },
    pair: P12,
  });
  await k.object(photos, '2025/01/copy.jpg', 100, {
    ...{ ...jpeg, content: { kind: 'share', content: { kind: 'blob', blob: first } } },
  });
  const torn = await k.object(photos, '2025/02/c.png', 300, {
    ...{ system: { contentType: 'image/png' }, tags: { project: 'gemini' } },
  });
  const gone = await k.object(photos, '2024/old.txt', 5);
  await k.object(photos, 'bad\u0007key', 1);
  await k.object(photos, 'README', 2);
  await k.object(photos, 'readme', 3);
  await k.object(photos, 'empty', 0);
  await k.object(photos, 'temporary', 9);
  mustBeDone(await k.delete(photos, 'temporary'));
  const movie = await k.upload(photos, 'movie.mp4');
  await k.part(photos, movie.uploadId, 1, 20_000_000);
  await k.part(photos, movie.uploadId, 2, 10_000_000);
  mustBeDone(await k.complete(photos, movie, [1, 2], 30_000_000));

  const logs = await k.named('logs', { versioned: true });
  for (const size of [10, 20, 30]) await k.object(logs, 'app.log', size);
  await k.object(logs, 'gone.log', 7);
  mustBeDone(await k.delete(logs, 'gone.log'));
  mustBeDone(await k.delete(logs, 'ghost.log'));
  await k.object(logs, 'parked.log', 8, { parked: { offMap: [A12], absent: [B11] } });

  const vault = await k.named('vault', { objectLock: true });
  const until = (days: number) => new Date(Date.now() + days * DAY_MS);
  await k.object(vault, 'soon.pdf', 50, { retention: { mode: 'COMPLIANCE', until: until(3) } });
  await k.object(vault, 'later.pdf', 60, { retention: { mode: 'GOVERNANCE', until: until(60) } });
  await k.object(vault, 'held.pdf', 70, { legalHold: true });

  await k.miss(B11, [torn]);
  await k.miss(B11, [gone], 'lost');
  await k.miss('node-a11' as MemberId, [gone], 'lost');
  return { photos, logs };
}

async function fillUploads(k: Filler, photos: BucketId): Promise<void> {
  const left = await k.upload(photos, 'left.bin');
  await k.part(photos, left.uploadId, 1, 11);
  await k.part(photos, left.uploadId, 2, 12);
  await k.catalog.createUpload({
    ...{ writeId: newWriteId(), bucketId: photos, key: 'fresh.bin', owner: ADA },
    attributes: { ...ATTRIBUTES, tags: { nonce: randomBytes(4).toString('hex') } },
  });
}

/** Everything is an hour old but for what questions look for; directory-b5 is the primary since three days. */
async function setTimes(client: pg.Client): Promise<void> {
  await client.query(`
    UPDATE antipode.version SET last_modified = date_trunc('second', now()) - interval '1 hour';
    UPDATE antipode.version SET last_modified = date_trunc('second', now()) - interval '2 years' WHERE key = '2024/old.txt';
    UPDATE antipode.version SET last_modified = date_trunc('second', now()) - interval '10 days' WHERE key = 'app.log' AND size = 10;
    UPDATE antipode.upload SET initiated = date_trunc('second', now()) - interval '10 days' WHERE key = 'left.bin';
    UPDATE root.access_key SET created_at = now() - interval '2 years' WHERE access_key_id = 'AKOLD';
    INSERT INTO antipode.timeline (timeline, member, at, why, decided_by)
    VALUES (2, 'directory-b5', now() - interval '3 days', 'directory-a5 was killed', 'launcher'),
           (1, 'directory-a5', now() - interval '90 days', 'long ago', 'launcher');
    INSERT INTO antipode.directory_decision (pair, at, what, member, why, decided_by, timeline)
    VALUES ('directory/5', now() - interval '3 days', 'promoted', 'directory-b5', 'directory-a5 was killed', 'launcher', 2);`);
}
