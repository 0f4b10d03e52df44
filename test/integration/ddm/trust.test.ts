/** Answers of a server that is not the primary any more when they arrive: they do not count, whatever they say. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import { CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { Directory } from '../../../src/ddm/directory.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import { completeOptions } from '../../../src/ddm/options.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { initCluster, startServer, type TestServer } from '../../harness/postgres.ts';

const TIMEOUTS = {
  ...{ connectMs: 10_000, waitMs: 20_000, lockMs: 30_000, statementMs: 30_000, readMs: 30_000 },
  ...{ commitMs: 30_000, resolveMs: 1_000 },
};
/** Says where it ran, once nobody holds the lock. */
const WHO = {
  name: 'who',
  text: 'SELECT current_database() AS db, pg_backend_pid() AS pid FROM (SELECT pg_advisory_xact_lock_shared(1)) AS lock',
};
type Who = { db: string; pid: number };

describe('a primary that loses its office while it is asked', () => {
  let server: TestServer;
  let named: PostgresConnection | null;
  let here: PostgresConnection;
  let there: PostgresConnection;
  let directory: Directory;
  const opened: { close(): unknown }[] = [];
  const locator = locatorOf(() => named);
  const open = (timeouts: Partial<typeof TIMEOUTS> = {}) => {
    const made = new Directory(
      ROOT,
      completeOptions({
        ...{ root: ROOT, locator, log: quiet, clock: systemClock },
        timeouts: { ...TIMEOUTS, ...timeouts },
      }),
    );
    opened.push(made);
    return made;
  };
  const who = async (asked: Directory = directory) => (await asked.read(WHO, []))[0] as Who;

  before(async () => {
    server = await startServer(await initCluster());
    for (const database of ['here', 'there']) {
      await server.admin(`CREATE DATABASE ${database}`);
      await migrate(server.connection(database));
    }
    here = { ...server.connection('here', 'antipode_app'), term: 1 };
    there = { ...server.connection('there', 'antipode_app'), term: 2 };
  });
  after(async () => {
    for (const { close } of opened.splice(0).map((o) => ({ close: () => o.close() }))) await close();
    await server.stop();
  });
  beforeEach(() => {
    named = here;
    directory = open();
  });

  /** Runs `ask`, holds it at the lock that `sql` takes in `here`, does `meanwhile`, and lets it go on. */
  async function held<T>(sql: string, ask: () => Promise<T>, meanwhile: () => unknown): Promise<T> {
    const holder = new pg.Client({ ...server.connection('here') });
    await holder.connect();
    try {
      await holder.query('BEGIN');
      await holder.query(sql);
      const asked = ask();
      asked.catch(() => {});
      const waits = "SELECT FROM pg_stat_activity WHERE datname = 'here' AND wait_event_type = 'Lock'";
      for (const until = performance.now() + 20_000; ; await sleep(20)) {
        if ((await server.admin(waits)).rowCount! > 0) break;
        assert.ok(performance.now() < until, 'nobody waits for the lock');
      }
      await meanwhile();
      await holder.query('COMMIT');
      return await asked;
    } finally {
      await holder.end();
    }
  }
  const ADVISORY = 'SELECT pg_advisory_xact_lock(1)';
  const lock = (table: string) => `LOCK TABLE antipode.${table} IN ACCESS EXCLUSIVE MODE`;

  it('a read is asked again of the one that holds it now', async () => {
    const answer = await held(ADVISORY, who, () => {
      named = there;
    });
    assert.equal(answer.db, 'there');
  });

  it('a read waits until somebody holds it', async () => {
    const answer = await held(ADVISORY, who, () => {
      named = null;
      setTimeout(() => {
        named = there;
      }, 700);
    });
    assert.equal(answer.db, 'there');
  });

  it('a read that nobody answers in time is unavailable, and the next ones at once', async () => {
    const hurried = open({ waitMs: 400 });
    const read = held(
      ADVISORY,
      () => who(hurried),
      () => {
        named = null;
      },
    );
    await assert.rejects(read, CatalogUnavailable);
    const since = performance.now();
    for (let n = 0; n < 20; n++) await assert.rejects(who(hurried), CatalogUnavailable);
    assert.ok(performance.now() - since < 20 * 400, 'each waited anew');
    named = here;
    assert.equal((await who(hurried)).db, 'here');
  });

  it('the same server in its next term is asked anew, on a connection of that term', async () => {
    const first = await who();
    let second: Who | null = null;
    second = await held(ADVISORY, who, () => {
      named = { ...here, term: 3 };
    });
    assert.equal(second.db, 'here');
    assert.notEqual(second.pid, first.pid);
  });

  it('a failure that it reports is no answer either', async () => {
    const fails = {
      name: 'fails',
      text: `SELECT 1 / (current_database() <> 'here')::int AS n FROM (${WHO.text}) AS who`,
    };
    const rows = await held(
      ADVISORY,
      () => directory.read(fails, []),
      () => {
        named = there;
      },
    );
    assert.deepEqual(rows, [{ n: 1 }]);
  });

  it('lookups and refused writes are no answers either', async () => {
    const catalog = await openCatalog({
      ...{ root: ROOT, locator, log: quiet, clock: systemClock, timeouts: TIMEOUTS },
    });
    opened.push(catalog);
    const kit = new Kit(catalog);
    const bucketId = await kit.bucket();
    await kit.put(bucketId, 'k');
    assert.ok(await catalog.findVersion(bucketId, 'k'));
    const change = () => {
      named = there;
    };
    // There it has never been.
    const found = await held(
      lock('version'),
      () => catalog.findVersion(bucketId, 'k').catch((e: Error) => e.name),
      change,
    );
    assert.ok(found === null || typeof found === 'string', JSON.stringify(found));
    named = here;
    // It exists here, so that a PUT that must create is refused; whether that is so, `here` cannot say any more.
    const put = await held(
      lock('version'),
      () => kit.tryPut(bucketId, 'k', { condition: { ifNoneMatch: '*' } }),
      change,
    );
    assert.equal(put.outcome, 'unknown');
  });

  it('shows nothing before what it has is confirmed by its twin', async () => {
    const WAITS = 'FIRST 1 ("nobody")';
    await server.admin(`ALTER SYSTEM SET synchronous_standby_names = '${WAITS}'`);
    await server.admin('SELECT pg_reload_conf()');
    try {
      for (const until = performance.now() + 20_000; ; await sleep(20)) {
        const { rows } = await server.admin('SHOW synchronous_standby_names');
        if (rows[0].synchronous_standby_names === WAITS) break;
        assert.ok(performance.now() < until);
      }
      const hurried = open({ connectMs: 700, waitMs: 700 });
      await assert.rejects(who(hurried), CatalogUnavailable);
      // Where nobody could take over, nobody needs to confirm.
      const { term: _, ...alone } = here;
      named = alone;
      assert.equal((await who(hurried)).db, 'here');
    } finally {
      await server.admin('ALTER SYSTEM RESET synchronous_standby_names');
      await server.admin('SELECT pg_reload_conf()');
    }
  });
});
