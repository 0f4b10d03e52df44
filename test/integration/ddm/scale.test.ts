/**
 * What a page costs does not follow the size of its bucket: at most twice as many blocks at 20 times as many keys, also
 * behind 200,000 delete markers or removed rows. test/long/ddm/scale.test.ts does the same with 10 million.
 */
import { after, before, describe, it } from 'node:test';
import { migrate } from '../../../src/ddm/migrate.ts';
import { initCluster, startServer, type TestServer } from '../../harness/postgres.ts';
import { assertCosts } from '../../harness/scale-checks.ts';

describe('the cost of a page in a large bucket', () => {
  let server: TestServer;
  before(async () => {
    server = await startServer(await initCluster(), { settings: { autovacuum: 'off', max_wal_size: '4GB' } });
    await server.admin('CREATE DATABASE template_scale');
    await migrate(server.connection('template_scale'));
  });
  after(() => server?.stop());

  it('is that of a small one', async (t) => {
    await assertCosts(t, server, { small: 10_000, large: 200_000, behind: 200_000 });
  });
});
