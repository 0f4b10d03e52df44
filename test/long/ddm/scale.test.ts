/** What a page costs in a bucket of a million and of ten million keys, against one of ten thousand. */
import { after, before, describe, it } from 'node:test';
import { migrate } from '../../../src/ddm/migrate.ts';
import { initCluster, startServer, type TestServer } from '../../harness/postgres.ts';
import { assertCosts } from '../../harness/scale-checks.ts';

describe('the cost of a page in a very large bucket', () => {
  let server: TestServer;
  before(async () => {
    server = await startServer(await initCluster(), {
      settings: {
        autovacuum: 'off',
        max_wal_size: '8GB',
        shared_buffers: '512MB',
        maintenance_work_mem: '512MB',
      },
    });
    await server.admin('CREATE DATABASE template_scale');
    await migrate(server.connection('template_scale'));
  });
  after(() => server?.stop());

  for (const large of [1_000_000, 10_000_000])
    it(`of ${large.toLocaleString('en')} keys, behind a million delete markers or removed rows`, async (t) => {
      await assertCosts(t, server, { small: 10_000, large, behind: 1_000_000 });
    });
});
