/**
 * Random concurrent programs against the catalog on Postgres, through several gateways, one of them on a wire that is cut
 * now and then: whatever they are answered, an order of their calls explains it (test/model/bucket-history.ts).
 * test/long runs many more. Timing is Postgres' own, so a seed is replayed many times over:
 *   HISTORY_SEED=123 node --test test/integration/ddm/histories.test.ts
 */
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { auditOf } from '../../harness/audit.ts';
import { stopSharedServer } from '../../harness/postgres.ts';
import { HistoryRefused } from '../../history/check.ts';
import { openGateways, postgresReplay, repeated } from '../../history/postgres.ts';
import { type Swept, seedsFrom, sweep } from '../../history/sweep.ts';

const single = process.env.HISTORY_SEED;
const FOR_MS = 8_000;
const REPLAYS = 300;
const PROGRAMS_MAX = 100;

after(stopSharedServer);

describe('histories of concurrent clients', () => {
  it('are explained', async (t) => {
    const gateways = await openGateways();
    const seeds = single === undefined ? seedsFrom(1) : repeated(Number(single), REPLAYS);
    const forMs = single === undefined ? FOR_MS : Number.POSITIVE_INFINITY;
    try {
      const swept = await sweep({ ...gateways, seeds, forMs, atOnce: 2, replay: postgresReplay });
      report(t, swept);
      assert.deepEqual(await auditOf(gateways.rows), {});
    } finally {
      await gateways.close();
    }
  });
});

function report(t: TestContext, swept: Swept): void {
  t.diagnostic(`${swept.programs} programs, ${swept.calls} calls, ${swept.tried} orders tried`);
  t.diagnostic(JSON.stringify(swept.outcomes));
  if (single !== undefined) return;
  for (const what of [
    'put done',
    'put precondition-failed',
    'copy done',
    'complete done',
    'delete-version done',
  ])
    assert.ok((swept.outcomes[what] ?? 0) > 5, `${what} too seldom`);
}

/** Parts of the commit, spoilt: [function, what it says, what it is made to say]. */
const SPOILT = {
  'keys are not locked': ['lock_keys', 'PERFORM pg_advisory_xact_lock(k.h)', 'PERFORM k.h'],
  'conditions are not looked at': ['failed_condition', 'WHEN cond IS NULL THEN NULL', 'WHEN true THEN NULL'],
  'nothing follows the latest that goes': ['retire_versions', 'p.promote', 'p.promote AND false'],
  'a null version stays beside the new one': [
    'retire_versions',
    "p.action IN ('insert', 'remove')",
    "p.action = 'remove'",
  ],
  'tags reach the latest alone': ['change_versions', 'v.seq = p.seq', 'v.seq = p.seq AND v.is_latest'],
  'a completed upload is made again': [
    'complete_upload',
    "IF v_upload.state = 'completed' THEN",
    'IF false THEN',
  ],
} as const;

describe('histories of a commit that is wrong', {
  skip: single !== undefined && 'one seed is replayed',
}, () => {
  for (const [what, [name, says, instead]] of Object.entries(SPOILT))
    it(`are refused: ${what}`, async () => {
      const gateways = await openGateways({ spoil: { name, says, instead }, cuts: false });
      try {
        const seeds = seedsFrom(1, PROGRAMS_MAX);
        const work = sweep({ ...gateways, seeds, atOnce: 2, replay: postgresReplay });
        // Where keys are not locked, Postgres itself may stumble over two rows of one key.
        await assert.rejects(
          work,
          (error: Error) => error instanceof HistoryRefused || /seed \d+: /.test(error.message),
        );
      } finally {
        await gateways.close();
      }
    });
});
