/** Connections: a restarted server, a primary that moved, a server that accepts and never answers. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../src/base/clock.ts';
import { type Catalog, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit, mustBeDone, reasonOf } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { freePort, initCluster, startServer, type TestServer } from '../../harness/postgres.ts';
import { signalTree } from '../../harness/process-tree.ts';

const skip = process.platform === 'linux' ? false : 'freezing a whole server needs /proc';
/** For a server that is silent. With one that answers, a crowded machine may take longer: see `inTime`. */
const HURRY = { connectMs: 600, readMs: 600, commitMs: 600, resolveMs: 600, waitMs: 600 };
const IN_TIME_MS = 20_000;

/** Asks until it is answered. */
async function inTime<T>(ask: () => Promise<T>, isGood: (answer: T) => boolean): Promise<void> {
  const until = performance.now() + IN_TIME_MS;
  for (;;) {
    const answer = await ask().catch((error: unknown) => error as Error);
    if (!(answer instanceof Error) && isGood(answer)) return;
    assert.ok(performance.now() < until, `not in time: ${String(answer)}`);
    await sleep(50);
  }
}

describe('connections to a directory', { skip }, () => {
  let server: TestServer;
  let dataDir: string;
  let port: number;
  let where: PostgresConnection;
  let catalog: Catalog;
  let kit: Kit;

  before(async () => {
    dataDir = await initCluster();
    port = await freePort();
    server = await startServer(dataDir, { port });
    await migrate(server.connection('postgres'));
    await server.admin('CREATE DATABASE other');
    await migrate(server.connection('other'));
    where = server.connection('postgres', 'antipode_app');
    const locator = locatorOf(() => where);
    catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock });
    kit = new Kit(catalog);
  });
  after(async () => {
    await catalog.close();
    await server.stop();
  });

  it('are made anew when the server was restarted', async () => {
    const bucketId = await kit.bucket();
    await kit.put(bucketId, 'before');
    await kit.catalog.findVersion(bucketId, 'before');
    await server.stop('fast');
    await assert.rejects(kit.tryPut(bucketId, 'down'), CatalogUnavailable);
    server = await startServer(dataDir, { port });
    assert.ok(await kit.catalog.findVersion(bucketId, 'before'));
    assert.equal(reasonOf(await kit.tryPut(bucketId, 'after')), 'done');
    assert.deepEqual(await kit.keys(bucketId), ['after', 'before']);
  });

  it('follow the primary as soon as it is another one', async () => {
    await kit.bucket();
    const here = where;
    const name = 'over-there';
    where = { ...here, database: 'other' };
    mustBeDone(await catalog.createBucket({ name, owner: 'o' as never, region: 'r', objectLock: false }));
    where = here;
    const page = await catalog.listBuckets({ prefix: name, after: '', max: 1 });
    assert.deepEqual(page.buckets, []);
  });

  it('do not wait for ever on a server that accepts and never answers', async () => {
    const bucketId = await kit.bucket();
    await kit.put(bucketId, 'k');
    await kit.catalog.findVersion(bucketId, 'k');
    const locator = locatorOf(() => where);
    const hurried = new Kit(
      await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, timeouts: HURRY }),
    );
    // Both kinds have a connection by then.
    const isDone = (put: Parameters<typeof reasonOf>[0]) => reasonOf(put) === 'done';
    await inTime(() => hurried.tryPut(bucketId, 'warm'), isDone);
    await inTime(() => hurried.catalog.findVersion(bucketId, 'k'), Boolean);
    signalTree(server.process.pid!, 'SIGSTOP');
    try {
      const reads = Array.from({ length: 200 }, () => hurried.catalog.findVersion(bucketId, 'k'));
      const puts = Array.from({ length: 200 }, (_, i) => hurried.tryPut(bucketId, `frozen-${i}`));
      const [readEnds, putEnds] = await Promise.all([Promise.allSettled(reads), Promise.allSettled(puts)]);
      for (const read of readEnds)
        assert.ok(read.status === 'rejected' && read.reason instanceof CatalogUnavailable);
      const ends = putEnds.map((put) =>
        put.status === 'fulfilled' ? put.value.outcome : (put.reason as Error).name,
      );
      assert.deepEqual(new Set(ends), new Set(['unknown', 'CatalogUnavailable']));
    } finally {
      signalTree(server.process.pid!, 'SIGCONT');
    }
    await inTime(() => hurried.tryPut(bucketId, 'thawed'), isDone);
    await inTime(() => hurried.catalog.findVersion(bucketId, 'k'), Boolean);
    await hurried.catalog.close();
  });
});
