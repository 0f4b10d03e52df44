/**
 * Histories over S3 for longer than the fault tests: HISTORY_ROUNDS rounds (200) of failures of nodes, gateways and
 * directories in a random order, with what comes of one still going on in the next.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { antipode } from '../fault/store/cluster-kit.ts';
import { type Gateway, startGateway } from '../harness/gateway.ts';
import { type Store, startStore } from '../harness/store.ts';
import { DIRECTORY_FAULTS, untilDirectoriesWell } from '../history/directory-faults.ts';
import { FAULTS, HISTORY_SETTINGS, runRounds, untilWell } from '../history/s3-faults.ts';
import { pick, seededRandom } from '../world/seeded-random.ts';

const SEED = Number(process.env.HISTORY_SEED ?? 1_000);
const ROUNDS = Number(process.env.HISTORY_ROUNDS ?? 200);

describe('long histories over S3, through two gateways', () => {
  let store: Store;
  let second: Gateway;
  before(async () => {
    store = await startStore({ nodesPerCenter: 2, settings: HISTORY_SETTINGS });
    second = await startGateway(store);
  });
  after(async () => {
    await second?.kill();
    await store?.kill();
  });

  it('are explained, and everything comes home', async (t) => {
    const random = seededRandom(SEED);
    const kinds = [...FAULTS, ...DIRECTORY_FAULTS];
    const rounds = Array.from({ length: ROUNDS }, () => pick(random, kinds));
    const ran = await runRounds({ store, second, seed: SEED, rounds, roundMs: 4_000, print: () => {} });
    t.diagnostic(`seed ${SEED}, ${ROUNDS} rounds: ${JSON.stringify(ran)}`);
    await untilDirectoriesWell(store);
    await untilWell(second.store);
    const ended = await antipode(store, 'verify', '--deep', '--json');
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
  });
});
