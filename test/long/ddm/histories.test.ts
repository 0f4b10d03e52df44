/**
 * Random concurrent programs against the catalog on Postgres for ten minutes, with seeds that the short run does not use,
 * and a full recount of references, usage and "latest" marks at the end. HISTORY_MINUTES changes how long.
 */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { auditOf } from '../../harness/audit.ts';
import { stopSharedServer } from '../../harness/postgres.ts';
import { openGateways, postgresReplay } from '../../history/postgres.ts';
import { seedsFrom, sweep } from '../../history/sweep.ts';

const FIRST_SEED = 1_000_000;
const FOR_MS = Number(process.env.HISTORY_MINUTES ?? 10) * 60_000;
/** A fresh database now and then, so that tables do not grow without end. */
const ROUNDS = 5;

after(stopSharedServer);

it('the histories of concurrent clients are explained', async (t) => {
  let first = FIRST_SEED;
  const total = { programs: 0, calls: 0, tried: 0 };
  const outcomes: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round++) {
    const gateways = await openGateways();
    try {
      const forMs = FOR_MS / ROUNDS;
      const swept = await sweep({
        ...gateways,
        seeds: seedsFrom(first),
        forMs,
        atOnce: 3,
        replay: postgresReplay,
      });
      first = swept.lastSeed + 1;
      total.programs += swept.programs;
      total.calls += swept.calls;
      total.tried += swept.tried;
      for (const [what, times] of Object.entries(swept.outcomes))
        outcomes[what] = (outcomes[what] ?? 0) + times;
      assert.deepEqual(await auditOf(gateways.rows), {});
    } finally {
      await gateways.close();
    }
  }
  t.diagnostic(
    `${total.programs} programs (seeds ${FIRST_SEED} to ${first - 1}), ${total.calls} calls, ${total.tried} orders tried`,
  );
  t.diagnostic(JSON.stringify(outcomes));
});
