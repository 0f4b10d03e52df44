/** Object lock beyond the contract: two gateways at once, other doors than a gateway, and sessions in other time zones. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import { newWriteId } from '../../../src/base/ids.ts';
import type { Catalog } from '../../../src/ddm/catalog.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { ATTRIBUTES, Kit, reasonOf } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

const open: Catalog[] = [];
const kitOn = async (connection: PostgresConnection) => {
  const catalog = await openCatalog({
    ...{ root: ROOT, locator: locatorOf(connection), log: quiet, clock: systemClock },
  });
  open.push(catalog);
  return new Kit(catalog);
};
after(async () => {
  await Promise.all(open.map((catalog) => catalog.close()));
  await stopSharedServer();
});

/** One statement as the gateway's role. */
async function sql(connection: PostgresConnection, text: string, values: unknown[], options = '') {
  const { host, port, database, user, password } = connection;
  const client = new pg.Client({ host, port, database, user, password, options });
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

describe('two gateways', () => {
  it('never both lock a version and remove it', async () => {
    const { app } = await testDatabase();
    const [here, there] = [await kitOn(app), await kitOn(app)];
    const bucketId = await here.bucket({ objectLock: true });
    const retention = { mode: 'COMPLIANCE', until: new Date(Date.now() + 3_600_000) } as const;
    await Promise.all(
      Array.from({ length: 40 }, async (_, round) => {
        const key = `k${round}`;
        const { versionId } = await here.put(bucketId, key);
        const change = { writeId: newWriteId(), bucketId, key, versionId };
        const [locked, removed] = await Promise.all([
          round % 2 === 0
            ? here.catalog.setLegalHold({ ...change, legalHold: true })
            : here.catalog.setRetention({ ...change, retention }),
          there.delete(bucketId, key, { versionId, bypassGovernance: true }),
        ]);
        const both = `${reasonOf(locked)}, ${reasonOf(removed)}`;
        assert.ok(['done, locked', 'no-such-version, done'].includes(both), both);
      }),
    );
  });
});

describe('whatever commits', () => {
  it('meets the locks, as they are in the commit itself', async () => {
    const { app } = await testDatabase();
    const kit = await kitOn(app);
    const bucketId = await kit.bucket({ objectLock: true });
    const retention = { mode: 'COMPLIANCE', until: new Date(Date.now() + 3_600_000) } as const;
    const { versionId } = await kit.put(bucketId, 'k', { attributes: { ...ATTRIBUTES, retention } });
    const versionSeq = Number.parseInt(versionId.slice(0, 16), 16);
    const common = { bucket: bucketId, key: 'k', versionId, versionSeq, bypass: true };
    for (const operation of [
      { ...common, op: 'delete', owner: 'anybody' },
      { ...common, op: 'retention', retention: null },
      { ...common, op: 'retention', retention: { ...retention, until: new Date() } },
    ]) {
      const batch = JSON.stringify([{ ...operation, writeId: newWriteId() }]);
      const [row] = await sql(app, 'SELECT antipode.commit_batch($1, 1000) AS answer', [batch]);
      assert.deepEqual(row.answer, [{ reason: 'locked' }]);
    }
    assert.deepEqual((await kit.catalog.findVersion(bucketId, 'k', versionId))?.retention, retention);
  });

  it('gives days of 24 hours and years of the calendar in every time zone', async () => {
    const { app } = await testDatabase();
    const until = async (period: string, from: string, zone: string) => {
      const text = 'SELECT antipode.retained_until($1, $2) AS until';
      const [row] = await sql(app, text, [period, from], `-c TimeZone=${zone}`);
      return row.until.toISOString();
    };
    for (const zone of ['UTC', 'America/New_York', 'Pacific/Auckland']) {
      // The clocks of New York change in between.
      assert.equal(await until('{"days":10}', '2026-03-01T12:00:00Z', zone), '2026-03-11T12:00:00.000Z');
      assert.equal(await until('{"years":1}', '2027-02-28T23:30:00Z', zone), '2028-02-28T23:30:00.000Z');
      assert.equal(await until('{"years":1}', '2028-02-29T01:00:00Z', zone), '2029-02-28T01:00:00.000Z');
    }
  });
});
