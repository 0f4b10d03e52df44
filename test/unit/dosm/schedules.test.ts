/**
 * 300 seeded schedules of the simulated world (test/world/schedule.ts); test/long runs many more.
 * Replay one: WORLD_SEED=123 node --test test/unit/dosm/schedules.test.ts
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSchedule, runSchedules } from '../../world/schedule.ts';

const single = process.env.WORLD_SEED;
const count = Number(process.env.WORLD_SCHEDULES ?? 300);

test('the invariants hold in every schedule', async () => {
  if (single !== undefined) {
    await runSchedules([Number(single)]);
    return;
  }
  const total = await runSchedules(Array.from({ length: count }, (_, seed) => seed));
  console.info(JSON.stringify(total));
  // A world in which nothing fails, or everything, would prove nothing.
  for (const [name, times] of Object.entries(total)) assert(times > count / 10, `${name}: ${times}`);
});

test('a seed replays: the same outcomes at the same times', async () => {
  for (const seed of [3, 4, 5]) assert.deepEqual(await runSchedule(seed), await runSchedule(seed));
});
