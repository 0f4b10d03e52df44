/** The lifecycle job's contract on Postgres, and what SQL and the change feed show of it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import { openCatalog, type PostgresCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit, mustBeDone } from '../../contract/contract-kit.ts';
import { lifecycleContract, runLifecycles } from '../../contract/lifecycle-contract.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

let catalog: PostgresCatalog;
let sql: pg.Client;
before(async () => {
  const { app, owner } = await testDatabase();
  catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  sql = new pg.Client({ ...owner });
  await sql.connect();
});
after(async () => {
  await sql?.end();
  await catalog?.close();
  await stopSharedServer();
});

async function age(ms: number): Promise<void> {
  const older = (column: string) => `${column} = ${column} - interval '${ms} milliseconds'`;
  await sql.query(`UPDATE antipode.version SET ${older('last_modified')}`);
  await sql.query(`UPDATE antipode.upload SET ${older('initiated')}`);
  const run = ['leased_until', 'touched_at', 'started_at', 'finished_at', 'next_at'].map(older).join(', ');
  await sql.query(`UPDATE antipode.lifecycle_run SET ${run}`);
}

lifecycleContract(() => ({ catalog, age }));

describe('what is seen of it', () => {
  it('catalog.lifecycle has counts and the next pass, catalog.changes the cause', async () => {
    const kit = new Kit(catalog);
    const id = await kit.bucket();
    await kit.put(id, 'k');
    await age(2 * 24 * 3_600_000);
    const common = { isEnabled: true, form: 'filter', filter: {} } as const;
    const rules = [{ ...common, id: 'r', expiration: { days: 1 } }];
    mustBeDone(
      await catalog.setBucketSetting(id, 'lifecycle', { rules, minimumSize: 'all_storage_classes_128K' }),
    );
    const shown = async () => {
      const { rows } = await sql.query(
        `SELECT rules, state, passes, scanned, expired, removed, next_at > finished_at AS later, last_error
         FROM catalog.lifecycle`,
      );
      return rows;
    };
    const counts = { scanned: '0', expired: '0', removed: '0' };
    const before = { rules: 1, state: 'waiting', passes: '0', ...counts, later: null, last_error: null };
    assert.deepEqual(await shown(), [before]);
    await runLifecycles(catalog);
    const then = { ...before, state: 'idle', passes: '1', scanned: '1', expired: '1', later: true };
    assert.deepEqual(await shown(), [then]);
    const causes = await sql.query(
      `SELECT DISTINCT kind, cause->>'via' AS via FROM catalog.changes WHERE cause->>'via' LIKE 'Lifecycle%' ORDER BY 1`,
    );
    assert.deepEqual(causes.rows, [
      { kind: 'delete', via: 'LifecycleExpiration' },
      { kind: 'delete-marker', via: 'LifecycleExpiration' },
      { kind: 'storage-class', via: 'LifecycleTransition' },
    ]);
  });
});
