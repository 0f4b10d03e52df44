/**
 * The campaigns of test/fuzz for long, FUZZ_SECONDS (60) each, with another seed each time (FUZZ_SEED for a given one): what
 * test/unit/fuzz does in short, and the process's memory and handles at the end of it all.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CAMPAIGNS } from '../fuzz/campaigns.ts';
import { runCampaign } from '../fuzz/run.ts';
import { type FuzzTarget, startTarget } from '../fuzz/target.ts';

const LIMIT_MS = Number(process.env.FUZZ_SECONDS ?? 60) * 1_000;
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
/** After the first campaign everything that is kept for good is there. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

describe('fuzz campaigns', () => {
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => void failures.push(error);
  before(() => process.on('unhandledRejection', onFailure));
  after(() => process.off('unhandledRejection', onFailure));
  let settled = 0;

  for (const campaign of CAMPAIGNS)
    it(campaign.name, async (t) => {
      const startedAt = performance.now();
      let cases = 0;
      // A target's models keep all that was ever written and logged: a new one every now and then.
      while (performance.now() - startedAt < LIMIT_MS) {
        const target: FuzzTarget = await startTarget();
        const limitMs = Math.max(1_000, LIMIT_MS - (performance.now() - startedAt));
        try {
          cases += await runCampaign(target, campaign, { seed: SEED + cases, runs: 2_000, limitMs });
          await target.rest();
        } finally {
          await target.close();
        }
      }
      assert.deepEqual(failures, []);
      const heap = heapBytes();
      if (settled === 0) settled = heap;
      assert.ok(heap < settled + GROWTH_BYTES_MAX, `the heap grew from ${settled} to ${heap} bytes`);
      const seconds = Math.round((performance.now() - startedAt) / 1_000);
      t.diagnostic(
        `${campaign.name}: ${cases} cases in ${seconds} s, seed ${SEED}, heap ${Math.round(heap / 2 ** 20)} MiB`,
      );
    });
});
