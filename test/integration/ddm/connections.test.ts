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
const TIMEOUTS = { connectMs: 600, readMs: 600, commitMs: 600, resolveMs: 600, waitMs: 600 };

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
    catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, timeouts: TIMEOUTS });
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
    signalTree(server.process.pid!, 'SIGSTOP');
    try {
      const reads = Array.from({ length: 200 }, () => kit.catalog.findVersion(bucketId, 'k'));
      const puts = Array.from({ length: 200 }, (_, i) => kit.tryPut(bucketId, `frozen-${i}`));
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
    await sleep(50);
    assert.equal(reasonOf(await kit.tryPut(bucketId, 'thawed')), 'done');
    assert.ok(await kit.catalog.findVersion(bucketId, 'k'));
  });
});
