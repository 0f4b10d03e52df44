/**
 * The three outcomes, with a synchronous standby that is frozen, thawed, taken out, and with commits that are
 * cancelled or cut off under way: what is not on the twin is never acknowledged, what may be there is never refused.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import type { BucketId } from '../../../src/base/ids.ts';
import { type Catalog, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { ABANDONED_MAX } from '../../../src/ddm/link.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import type { CatalogTimeouts } from '../../../src/ddm/options.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit, mustBeDone, reasonOf } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import {
  copyAsStandby,
  freePort,
  initCluster,
  startServer,
  type TestServer,
} from '../../harness/postgres.ts';
import { signalTree } from '../../harness/process-tree.ts';

const skip = process.platform === 'linux' ? false : 'freezing a whole server needs /proc';
const SYNCHRONOUS = { synchronous_commit: 'remote_apply', wal_sender_timeout: '0' };
const WAITING =
  "SELECT pid FROM pg_stat_activity WHERE application_name = 'antipode' AND wait_event = 'SyncRep'";

async function until<T>(what: string, ask: () => Promise<T | null | undefined | false>): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(performance.now() < end, `waited too long: ${what}`);
    await sleep(20);
  }
}

describe('outcomes of commits beside a synchronous standby', { skip }, () => {
  let primary: TestServer;
  let standby: TestServer;
  let app: PostgresConnection;
  let where: PostgresConnection | null;
  let bucketId: BucketId;
  const open: Catalog[] = [];
  const servers: TestServer[] = [];

  const freeze = () => signalTree(standby.process.pid!, 'SIGSTOP');
  const thaw = () => signalTree(standby.process.pid!, 'SIGCONT');
  const catalogWith = async (timeouts: Partial<CatalogTimeouts>) => {
    const locator = locatorOf(() => where);
    const catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, timeouts });
    open.push(catalog);
    return new Kit(catalog);
  };
  /** Waits until a commit is waiting for the standby; answers its backend. */
  const waiting = () =>
    until('a commit that waits', async () => (await primary.admin(WAITING)).rows[0]?.pid as number);
  const rowsOnStandby = async (key: string) =>
    (await standby.admin(`SELECT FROM antipode.version WHERE key = '${key}'`)).rowCount;

  before(async () => {
    const dataDir = await initCluster();
    const first = await startServer(dataDir);
    await migrate(first.connection('postgres'));
    await first.stop('fast');
    const port = await freePort();
    const copy = await copyAsStandby(dataDir, port, 'twin');
    primary = await startServer(dataDir, { port, settings: SYNCHRONOUS });
    servers.push(primary);
    standby = await startServer(copy);
    servers.push(standby);
    await primary.admin("ALTER SYSTEM SET synchronous_standby_names = 'twin'");
    await primary.admin('SELECT pg_reload_conf()');
    await until('a synchronous standby', async () => {
      const { rows } = await primary.admin("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'");
      return rows.length > 0;
    });
    app = primary.connection('postgres', 'antipode_app');
    where = app;
    bucketId = await (await catalogWith({})).bucket();
  });
  after(async () => {
    if (servers.includes(standby)) thaw();
    await Promise.all(open.map((catalog) => catalog.close()));
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('a commit that is done is on the standby', async () => {
    const kit = await catalogWith({});
    await kit.put(bucketId, 'plain');
    assert.equal(await rowsOnStandby('plain'), 1);
    assert.deepEqual(await kit.catalog.status(), [
      { pair: ROOT, writable: true, synchronous: true, epoch: 1 },
    ]);
  });

  it('is unknown while the standby is frozen, and nothing is shown meanwhile', async () => {
    const kit = await catalogWith({ commitMs: 700, resolveMs: 700 });
    freeze();
    try {
      const outcomes = await Promise.all(['frozen', 'frozen-2'].map((key) => kit.tryPut(bucketId, key)));
      assert.deepEqual(outcomes, [{ outcome: 'unknown' }, { outcome: 'unknown' }]);
      assert.equal(await kit.catalog.findVersion(bucketId, 'frozen'), null);
    } finally {
      thaw();
    }
    await until('the row', () => kit.catalog.findVersion(bucketId, 'frozen'));
  });

  it('finds out what became of it once the standby goes on', async () => {
    const kit = await catalogWith({ commitMs: 500, resolveMs: 15_000 });
    freeze();
    const thawed = sleep(1500).then(thaw);
    const done = mustBeDone(await kit.tryPut(bucketId, 'thawed', { etag: 'e' }));
    await thawed;
    const found = await kit.catalog.findVersion(bucketId, 'thawed');
    assert.deepEqual([found?.versionId, found?.lastModified], [done.versionId, done.lastModified]);
    assert.equal(await rowsOnStandby('thawed'), 1);
    freeze();
    const again = sleep(1500).then(thaw);
    assert.deepEqual(mustBeDone(await kit.delete(bucketId, 'thawed')), { existed: true });
    await again;
  });

  it('says a part and a completion are done only once they are', async () => {
    const kit = await catalogWith({ commitMs: 500, resolveMs: 15_000 });
    const upload = await kit.upload(bucketId, 'parts');
    freeze();
    const first = sleep(1200).then(thaw);
    await kit.part(bucketId, upload.uploadId, 1, 5);
    await first;
    freeze();
    const second = sleep(1200).then(thaw);
    const made = mustBeDone(await kit.complete(bucketId, upload, [1], 5));
    await second;
    assert.equal(made.etag, 'whole-1');
    assert.deepEqual(mustBeDone(await kit.complete(bucketId, upload, [1], 5)), made);
  });

  it('believes no success whose wait was cancelled', async () => {
    const kit = await catalogWith({ commitMs: 15_000, resolveMs: 700 });
    freeze();
    try {
      const put = kit.tryPut(bucketId, 'cancelled');
      await primary.admin(`SELECT pg_cancel_backend(${await waiting()})`);
      // The row is visible on the primary from now on, and nowhere else.
      assert.deepEqual(await put, { outcome: 'unknown' });
      assert.equal((await primary.admin("SELECT FROM antipode.version WHERE key = 'cancelled'")).rowCount, 1);
    } finally {
      thaw();
    }
  });

  it('does not take a lost connection for a refusal', async () => {
    const kit = await catalogWith({ commitMs: 15_000, resolveMs: 700 });
    freeze();
    try {
      const put = kit.tryPut(bucketId, 'terminated');
      await primary.admin(`SELECT pg_terminate_backend(${await waiting()})`);
      assert.deepEqual(await put, { outcome: 'unknown' });
    } finally {
      thaw();
    }
  });

  it('goes on when the standby is taken out while a commit waits', async () => {
    const kit = await catalogWith({ commitMs: 15_000 });
    freeze();
    try {
      const put = kit.tryPut(bucketId, 'alone');
      await waiting();
      await primary.admin("ALTER SYSTEM SET synchronous_standby_names = ''");
      await primary.admin('SELECT pg_reload_conf()');
      assert.equal(reasonOf(await put), 'done');
      assert.equal((await kit.catalog.status())[0]?.synchronous, false);
    } finally {
      await primary.admin("ALTER SYSTEM SET synchronous_standby_names = 'twin'");
      await primary.admin('SELECT pg_reload_conf()');
      thaw();
    }
    mustBeDone(await kit.tryPut(bucketId, 'together'));
    assert.equal(await rowsOnStandby('together'), 1);
  });

  it('makes no more connections where enough commits wait that nobody waits for, and goes on afterwards', async () => {
    const waiters = Array.from({ length: ABANDONED_MAX }, () => {
      const { host, port, database, user } = app;
      return new pg.Client({ host, port, database, user: user!, application_name: 'antipode' });
    });
    await Promise.all(waiters.map((client) => client.connect()));
    const kit = await catalogWith({ commitMs: 1_000, resolveMs: 300, waitMs: 300 });
    freeze();
    const waits = waiters.map((client) => client.query("SELECT pg_logical_emit_message(true, 'test', '')"));
    try {
      const aged = `${WAITING} AND query_start < clock_timestamp() - interval '1 second'`;
      await until('old waits', async () => (await primary.admin(aged)).rowCount! >= ABANDONED_MAX);
      const before = (await primary.admin(WAITING)).rowCount!;
      await assert.rejects(kit.tryPut(bucketId, 'one too many'), CatalogUnavailable);
      assert.equal((await primary.admin(WAITING)).rowCount, before);
    } finally {
      thaw();
    }
    await Promise.all(waits);
    await Promise.all(waiters.map((client) => client.end()));
    await until(
      'a commit',
      async () =>
        reasonOf(
          await kit.tryPut(bucketId, 'one too many').catch(() => ({ outcome: 'unknown' as const })),
        ) === 'done',
    );
  });

  it('is unavailable, not unknown, where nothing was sent', async () => {
    const kit = await catalogWith({});
    const refuses = (place: PostgresConnection | null) => {
      where = place;
      return assert.rejects(kit.tryPut(bucketId, 'never'), CatalogUnavailable);
    };
    try {
      await refuses(null);
      await refuses({ ...app, port: 1 });
      await refuses(standby.connection('postgres', 'antipode_app'));
      await assert.rejects(kit.catalog.findVersion(bucketId, 'plain'), CatalogUnavailable);
      assert.deepEqual(await kit.catalog.status(), [{ pair: ROOT, writable: false, synchronous: false }]);
    } finally {
      where = app;
    }
    assert.equal(reasonOf(await kit.tryPut(bucketId, 'never', { condition: { ifNoneMatch: '*' } })), 'done');
  });
});
