/**
 * Strong consistency over S3: clients of two gateways write, read, delete and list while nodes, a center and gateways are
 * killed and stopped, connections cut and failover entered and left, and while the directories fail over. The history of each round must be explained by one
 * order of its calls; afterwards everything comes home and verify finds nothing.
 * Another program: HISTORY_SEED=7 node --test test/fault/history/s3-history.test.ts
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Gateway, startGateway } from '../../harness/gateway.ts';
import { type Store, startStore } from '../../harness/store.ts';
import { FAULTS, HISTORY_SETTINGS, runRounds, untilWell } from '../../history/s3-faults.ts';
import { antipode } from '../store/cluster-kit.ts';

const SEED = Number(process.env.HISTORY_SEED ?? 1);
const ROUND_MS = 2_800;
/** Long enough for a promotion in their middle. */
const DIRECTORY_ROUND_MS = 4_000;
const DIRECTORY_ROUNDS = ['switch the directories', 'kill the primary directory'] as const;

describe('histories over S3, through two gateways', () => {
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

  it('are explained, whatever fails', async (t) => {
    const ran = await runRounds({
      ...{ store, second, seed: SEED, rounds: FAULTS, roundMs: ROUND_MS },
      print: (line) => t.diagnostic(line),
    });
    t.diagnostic(JSON.stringify(ran));
    assert(ran.counts['put done']! > 50 && ran.counts['get read']! > 50 && ran.counts['list read']! > 15);
    assert(ran.counts['put refused']! > 5);
  });

  it('are explained while the directories change places, and their primary is killed', async (t) => {
    const ran = await runRounds({
      ...{ store, second, seed: SEED + 1, rounds: DIRECTORY_ROUNDS, roundMs: DIRECTORY_ROUND_MS },
      print: (line) => t.diagnostic(line),
    });
    t.diagnostic(JSON.stringify(ran));
    assert(ran.counts['put done']! > 3 && ran.counts['get read']! > 3);
  });

  it('everything comes home: verify finds nothing', async () => {
    await untilWell(second.store);
    const ended = await antipode(store, 'verify', '--deep', '--json');
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
  });
});
