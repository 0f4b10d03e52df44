/** Twenty thousand schedules of the simulated world that the unit tests do not run. */
import { test } from 'node:test';
import { runSchedules } from '../world/schedule.ts';

const FIRST = 1_000_000;
const COUNT = 20_000;

test('the invariants hold in every schedule', async () => {
  const total = await runSchedules(Array.from({ length: COUNT }, (_, index) => FIRST + index));
  console.info(JSON.stringify(total));
});
