/**
 * A short, seeded run of each campaign against the S3 port in process: AWS's answer or a clean refusal, nothing that looks
 * like a fault of ours, and somebody else is served meanwhile. For long: test/long/fuzz.test.ts.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CAMPAIGNS } from '../../fuzz/campaigns.ts';
import { corpus, runCampaign } from '../../fuzz/run.ts';
import { type FuzzTarget, startTarget } from '../../fuzz/target.ts';

const SEED = 1;

describe('requests that nobody sends', () => {
  let target: FuzzTarget;
  before(async () => {
    target = await startTarget();
  });
  after(() => target?.close());

  for (const campaign of CAMPAIGNS)
    it(campaign.name, async () => {
      assert.equal(await runCampaign(target, campaign, { seed: SEED, runs: campaign.runs }), campaign.runs);
    });

  it('that are kept because they were of interest once', async () => {
    for (const kept of corpus())
      await target.run(kept).catch((cause) => assert.fail(`${kept.why}: ${cause}`));
  });

  it('leave nothing behind', () => target.rest());
});
