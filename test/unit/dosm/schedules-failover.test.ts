/**
 * 60 seeded schedules of whole deployments (test/world/outage.ts): several gateways, nodes and disks through kills, stops,
 * cut lines, lost disks, declarations, handoffs and resyncs. test/long runs many more. Replay one, with its trace:
 * WORLD_SEED=123 WORLD_TRACE=trace.txt node --test test/unit/dosm/schedules-failover.test.ts
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOutage } from '../../world/outage.ts';
import { runOutages, seedsFrom } from '../../world/outages.ts';
import { INCIDENTS } from '../../world/storm.ts';

const single = process.env.WORLD_SEED;
const COUNT = Number(process.env.WORLD_SCHEDULES ?? 60);
/** What a world without which would prove nothing has seen. */
const MUST_HAPPEN = [
  ...['puts', 'gets', 'deletes', 'refused', 'unknown', 'notThere', 'duplicate', 'strike'],
  ...['condition-failed-over', 'condition-resyncing', 'condition-serving', 'commit-stale-epoch', 'leave'],
  ...['handoff-stored', 'repairs-finished', 'removed', 'replace-disk', 'rot'],
  ...['directory-promoted', 'commit-lost', 'commit-survives'],
  ...Object.keys(INCIDENTS).map((kind) => `incident-${kind}`),
];

const skip = single !== undefined && 'one seed was asked for';

test('the seed that was asked for', { skip: single === undefined && 'WORLD_SEED is not set' }, async () => {
  await runOutages([Number(single)]);
});

test('every promise holds in every schedule', { skip }, async (t) => {
  const total = await runOutages(seedsFrom(1, COUNT));
  t.diagnostic(JSON.stringify(total));
  for (const name of MUST_HAPPEN) assert((total.counts[name] ?? 0) > 0, `${name} never happened`);
});

test('a seed replays: the same trace, to the last line', { skip }, async () => {
  for (const seed of seedsFrom(1, 4)) {
    const [one, other] = [await runOutage(seed), await runOutage(seed)];
    assert.equal(one.hash, other.hash);
    assert.notEqual(one.hash, (await runOutage(seed + 1)).hash);
  }
});
