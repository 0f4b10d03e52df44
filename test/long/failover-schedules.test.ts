/** Schedules of whole deployments that the unit tests do not run: 10,000, or as many as SCHEDULES says. */
import { test } from 'node:test';
import { runOutages, seedsFrom } from '../world/outages.ts';

const FIRST = 1_000_000;
const COUNT = Number(process.env.SCHEDULES ?? 10_000);

test('every promise holds in every schedule', async (t) => {
  const total = await runOutages(seedsFrom(FIRST, COUNT));
  t.diagnostic(`${COUNT} schedules from ${FIRST}: ${JSON.stringify(total)}`);
});
