/** Schedules of the simulated world that the unit tests do not run: 20,000, or as many as SCHEDULES says. */
import { test } from 'node:test';
import { runSchedules } from '../world/schedule.ts';

const FIRST = 1_000_000;
const COUNT = Number(process.env.SCHEDULES ?? 20_000);

test('the invariants hold in every schedule', async (t) => {
  const total = await runSchedules(Array.from({ length: COUNT }, (_, index) => FIRST + index));
  t.diagnostic(`${COUNT} schedules from ${FIRST}: ${JSON.stringify(total)}`);
});
