/**
 * Many at once do everything at random; afterwards the reference counts, the usage figures and the "latest" marks must
 * be what a full recount of the rows finds, and the database must have seen no deadlock.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { BucketId } from '../../../src/base/ids.ts';
import type { Catalog, ObjectVersion } from '../../../src/ddm/catalog.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit } from '../../contract/contract-kit.ts';
import { auditOf } from '../../harness/audit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import { seededRandom } from '../../world/seeded-random.ts';

after(stopSharedServer);

const WORKERS = 16;
const STEPS = 60;
const KEYS = 12;

/** One worker's step: something at random, most of it on few keys, so that all meet. */
async function step(k: Kit, random: () => number, buckets: readonly BucketId[], contents: ObjectVersion[]) {
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)]!;
  const bucketId = pick(buckets);
  const key = `k${Math.floor(random() * KEYS)}`;
  const versionOf = async () => {
    const page = await k.catalog.listVersions({
      bucketId,
      prefix: key,
      delimiter: '',
      keyMarker: '',
      maxKeys: 5,
    });
    const entry = pick(page.entries);
    return entry?.kind === 'item' && entry.item.key === key ? entry.item.versionId : 'null';
  };
  const size = 1 + Math.floor(random() * 9);
  switch (Math.floor(random() * 9)) {
    case 0:
    case 1:
      return await k.tryPut(bucketId, key, { size });
    case 2: {
      const found = await k.catalog.findVersion(bucketId, key);
      if (found && !found.isDeleteMarker) contents.push(found);
      return;
    }
    case 3: {
      const source = pick(contents);
      if (!source) return;
      const { size, content } = source;
      return await k.tryPut(bucketId, key, { size, content: { kind: 'share', content } });
    }
    case 4:
      return await k.delete(bucketId, key);
    case 5:
      return await k.delete(bucketId, key, { versionId: await versionOf() });
    case 6: {
      const upload = await k.upload(bucketId, key);
      for (const number of [1, 2, 3]) await k.part(bucketId, upload.uploadId, number, number);
      if (random() < 0.3) return await k.catalog.abortUpload(bucketId, key, upload.uploadId);
      return await k.complete(bucketId, upload, [1, 3], 4);
    }
    case 7:
      return await k.catalog.setVersioning(bucketId, random() < 0.5 ? 'enabled' : 'suspended');
    default: {
      const taken = await k.catalog.takeDyingBlobs(20, 0);
      return await k.catalog.forgetBlobs(taken.map(({ blob }) => blob.id));
    }
  }
}

describe('references under concurrency', () => {
  it('are what a recount finds', async () => {
    const { app, server } = await testDatabase();
    // Two gateways: what one combiner keeps apart inside, the database must keep apart between them.
    const open = () => openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
    const catalogs: Catalog[] = [await open(), await open()];
    const kits = catalogs.map((catalog) => new Kit(catalog));
    const buckets = [await kits[0]!.bucket(), await kits[0]!.bucket({ versioning: 'suspended' })];
    const contents: ObjectVersion[] = [];
    const outcomes = new Map<string, number>();
    const worker = async (number: number) => {
      const random = seededRandom(number + 1);
      for (let i = 0; i < STEPS; i++) {
        const outcome = await step(kits[number % 2]!, random, buckets, contents);
        const name = !outcome ? 'none' : outcome.outcome === 'refused' ? outcome.reason : outcome.outcome;
        outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, (_, number) => worker(number)));
    assert.ok(!outcomes.has('unknown'), JSON.stringify([...outcomes]));

    const rows = async (sql: string) => (await server.admin(sql, app.database)).rows;
    assert.deepEqual(await auditOf(rows), {});
    await server.admin('SELECT antipode.tidy(0, 1000000)', app.database);
    assert.deepEqual(await auditOf(rows), {});
    const stats = `SELECT deadlocks::integer AS n FROM pg_stat_database WHERE datname = '${app.database}'`;
    assert.deepEqual(await rows(stats), [{ n: 0 }]);
    await Promise.all(catalogs.map((catalog) => catalog.close()));
  });
});
