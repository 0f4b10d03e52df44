/**
 * Many at once write, overwrite, delete, copy and upload at random, through two gateways, into buckets with and without
 * quotas that change meanwhile. At every moment the audit finds the figures to be what a full count says, and no
 * quota that is not being lowered is exceeded.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { type BucketId, newWriteId } from '../../../src/base/ids.ts';
import type { VersionContent } from '../../../src/ddm/catalog.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { deal } from '../../../src/ddm/shares.ts';
import { blobOf, Kit, mustBeDone, OWNER, reasonOf } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import { seededRandom } from '../../world/seeded-random.ts';

after(stopSharedServer);

const SEED = Number(process.env.SEED ?? 1);
const WORKERS = 12;
const STEPS = 70;
const KEYS = 8;
const ACCOUNT_BYTES = 260;
const BUCKET_OBJECTS = 9;

async function multipart(k: Kit, random: () => number, bucketId: BucketId, key: string) {
  const upload = await k.upload(bucketId, key);
  const sent: number[] = [];
  for (const partNumber of [1, 2, 2, 3]) {
    const size = 1 + Math.floor(random() * 9);
    const content = { kind: 'blob', blob: blobOf(size), intentAt: Date.now() } as const;
    const part = {
      bucketId,
      uploadId: upload.uploadId,
      partNumber,
      size,
      etag: `part-${partNumber}`,
      content,
    };
    const outcome = await k.catalog.putPart({ writeId: newWriteId(), ...part });
    if (outcome.outcome === 'done') sent[partNumber] = size;
  }
  const numbers = [1, 3].filter((number) => sent[number] !== undefined);
  const size = numbers.reduce((sum, number) => sum + sent[number]!, 0);
  // Some stay open, and count.
  if (random() < 0.2) return;
  if (random() < 0.3 || numbers.length === 0)
    return await k.catalog.abortUpload(bucketId, key, upload.uploadId);
  const completed = await k.complete(bucketId, upload, numbers, size);
  if (reasonOf(completed) === 'over-quota') await k.catalog.abortUpload(bucketId, key, upload.uploadId);
  return completed;
}

/** One worker's step; answers how it ended. */
async function step(k: Kit, random: () => number, buckets: readonly BucketId[], contents: VersionContent[]) {
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)]!;
  const bucketId = pick(buckets);
  const key = `k${Math.floor(random() * KEYS)}`;
  const size = Math.floor(random() * 12);
  switch (Math.floor(random() * 10)) {
    case 0:
    case 1:
    case 2:
      return await k.tryPut(bucketId, key, size === 0 ? { size, content: { kind: 'empty' } } : { size });
    case 3: {
      const found = await k.catalog.findVersion(bucketId, key);
      if (found) contents.push(found.content);
      return;
    }
    case 4: {
      const content = pick(contents);
      return content && (await k.tryPut(bucketId, key, { size, content: { kind: 'share', content } }));
    }
    case 5:
      return await k.delete(bucketId, key);
    case 6: {
      const [version] = (await k.versions(bucketId)).filter((name) => name.startsWith(`${key}@`));
      const versionId = version?.replace(/^.*@|[!*]/g, '');
      return await k.delete(bucketId, key, { versionId: versionId ?? 'null' });
    }
    case 7:
    case 8:
      return await multipart(k, random, bucketId, key);
    default:
      if (random() < 0.5)
        return await k.catalog.setVersioning(bucketId, random() < 0.5 ? 'enabled' : 'suspended');
      // The last bucket's quota comes and goes; the first one's stays.
      return await k.catalog.setBucketQuota(buckets.at(-1)!, {
        objects: random() < 0.5 ? null : 6,
        bytes: 90,
      });
  }
}

describe('usage under concurrency', () => {
  it('is what a full count says, and below every quota, at every moment', async () => {
    const { app, server } = await testDatabase();
    const open = () => openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
    const catalogs = [await open(), await open()];
    const kits = catalogs.map((catalog) => new Kit(catalog));
    const [k] = kits as [Kit, Kit];
    mustBeDone(await k.catalog.createAccount({ id: OWNER, displayName: 'Owner', isRoot: false }));
    const buckets = [await k.bucket(), await k.bucket({ versioning: 'enabled' }), await k.bucket()];
    mustBeDone(await k.catalog.setBucketQuota(buckets[0]!, { objects: BUCKET_OBJECTS }));
    mustBeDone(await k.catalog.setAccountQuota(OWNER, { bytes: ACCOUNT_BYTES }));
    const rows = async (sql: string) => (await server.admin(sql, app.database)).rows;

    const ends = new Map<string, number>();
    let running = true;
    const worker = async (number: number) => {
      const random = seededRandom(SEED * 1000 + number);
      const contents: VersionContent[] = [];
      for (let i = 0; i < STEPS; i++) {
        const outcome = await step(kits[number % 2]!, random, buckets, contents);
        const name = outcome ? reasonOf(outcome) : 'none';
        ends.set(name, (ends.get(name) ?? 0) + 1);
      }
    };
    let audits = 0;
    const watch = async () => {
      do {
        assert.deepEqual(await rows('SELECT * FROM antipode.audit_usage()'), [], `seed ${SEED}`);
        const over = `SELECT * FROM antipode.quota
          WHERE subject = 'account/${OWNER}' AND bytes > ${ACCOUNT_BYTES}
             OR subject = 'bucket/${buckets[0]}' AND objects > ${BUCKET_OBJECTS}`;
        assert.deepEqual(await rows(over), [], `seed ${SEED}`);
        await rows('SELECT antipode.tidy(0, 50)');
        audits++;
      } while (running);
    };
    const watching = watch();
    await Promise.all(Array.from({ length: WORKERS }, (_, number) => worker(number))).finally(() => {
      running = false;
    });
    await watching;
    await watch();
    const said = JSON.stringify([...ends]);
    assert.ok(
      !ends.has('unknown') && (ends.get('over-quota') ?? 0) > 20 && (ends.get('done') ?? 0) > 100,
      said,
    );
    assert.ok(audits > 2);

    const account = (await k.catalog.listAccountUsage(OWNER))[0]!;
    assert.ok(account.bytes + account.uploadBytes <= ACCOUNT_BYTES && account.bytes > 0);
    const stats = `SELECT deadlocks::integer AS n FROM pg_stat_database WHERE datname = '${app.database}'`;
    assert.deepEqual(await rows(stats), [{ n: 0 }]);
    await Promise.all(catalogs.map((catalog) => catalog.close()));
  });

  it('is found wrong by the audit when it is', async () => {
    const { app, server } = await testDatabase();
    const catalog = await openCatalog({
      root: ROOT,
      locator: locatorOf(app),
      log: quiet,
      clock: systemClock,
    });
    const k = new Kit(catalog);
    const bucketId = await k.bucket();
    mustBeDone(await catalog.setBucketQuota(bucketId, { objects: 5 }));
    await k.put(bucketId, 'k', { size: 5 });
    const upload = await k.upload(bucketId, 'u');
    await k.part(bucketId, upload.uploadId, 1, 4);
    const audit = async () => {
      const { rows } = await server.admin('SELECT subject FROM antipode.audit_usage()', app.database);
      return rows.map(({ subject }) => subject);
    };
    assert.deepEqual(await audit(), []);
    await server.admin('UPDATE antipode.version SET size = 6', app.database);
    assert.deepEqual(await audit(), [`bucket/${bucketId}`, `usage/${bucketId}`]);
    await server.admin('UPDATE antipode.version SET size = 5', app.database);
    await server.admin('UPDATE antipode.upload_part SET size = 3', app.database);
    assert.deepEqual(await audit(), [`bucket/${bucketId}`, `uploads/${bucketId}`]);
    await server.admin('UPDATE antipode.upload_part SET size = 4', app.database);
    await server.admin('UPDATE antipode.quota SET objects = 0', app.database);
    assert.deepEqual(await audit(), [`bucket/${bucketId}`]);
    await catalog.close();
  });
});

describe('the shares of an account quota', () => {
  it('add up to it, over any number of directory pairs', () => {
    for (const used of [[0], [3, 40], [0, 0, 0], [7, 0, 0, 50, 1, 2, 3]])
      for (const needy of [-1, 0, used.length - 1]) {
        const shares = deal(101, used, needy, 30).map((share) => share!);
        assert.equal(
          shares.reduce((sum, share) => sum + share, 0),
          101,
        );
        assert.ok(shares.every((share, at) => share >= used[at]!));
        if (needy >= 0) assert.ok(shares[needy]! >= used[needy]! + Math.min(30, 101 - sumOf(used)));
      }
    assert.deepEqual(deal(null, [1, 2], 0, 5), [null, null]);
    // Set below what is in use: nobody may grow.
    assert.deepEqual(deal(10, [8, 9], 1, 5), [8, 9]);
  });
});

const sumOf = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
