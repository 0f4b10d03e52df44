/**
 * Thousands of seeded schedules of the simulated world (test/world/schedule.ts).
 * Replay one: WORLD_SEED=123 node --test test/unit/dosm/schedules.test.ts   More of them: WORLD_SCHEDULES=20000
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSchedule, type Tally } from '../../world/schedule.ts';

const single = process.env.WORLD_SEED;
const count = Number(process.env.WORLD_SCHEDULES ?? 1_000);

test('the invariants hold in every schedule', async () => {
  const seeds = single === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(single)];
  const total: Tally = { written: 0, refused: 0, read: 0, broken: 0, ms: 0 };
  for (const seed of seeds) {
    try {
      const tally = await runSchedule(seed);
      for (const name of Object.keys(total) as (keyof Tally)[]) total[name] += tally[name];
    } catch (error) {
      console.error(`replay with: WORLD_SEED=${seed} node --test test/unit/dosm/schedules.test.ts`);
      throw error;
    }
  }
  if (single !== undefined) return;
  console.info(JSON.stringify(total));
  // A world in which nothing fails, or everything, would prove nothing.
  for (const [name, times] of Object.entries(total)) assert(times > count / 10, `${name}: ${times}`);
});

test('a seed replays: the same outcomes at the same times', async () => {
  for (const seed of [3, 4, 5]) assert.deepEqual(await runSchedule(seed), await runSchedule(seed));
});
