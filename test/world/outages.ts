/** Many schedules, one after another; the first that fails is printed with the command that replays it. */
import { type OutageOptions, type Outcome, runOutage } from './outage.ts';

/** What all of them did, by name. */
export interface Total {
  readonly seeds: number;
  readonly ms: number;
  readonly counts: Readonly<Record<string, number>>;
}

export const replayOf = (seed: number): string =>
  `WORLD_SEED=${seed} WORLD_TRACE=trace.txt node_modules/.bin/node --test test/unit/dosm/schedules-failover.test.ts`;

export async function runOutages(seeds: Iterable<number>, options: OutageOptions = {}): Promise<Total> {
  const counts = new Map<string, number>();
  let ms = 0;
  let ran = 0;
  for (const seed of seeds) {
    let outcome: Outcome;
    try {
      outcome = await runOutage(seed, options);
    } catch (error) {
      console.error(`replay with: ${replayOf(seed)}`);
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    ran += 1;
    ms += outcome.ms;
    const add = (name: string, times: number) => counts.set(name, (counts.get(name) ?? 0) + times);
    for (const [name, times] of outcome.counts) add(name, times);
    for (const [name, times] of Object.entries(outcome.tally)) add(name, times);
  }
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return { seeds: ran, ms: Math.round(ms), counts: Object.fromEntries(sorted) };
}

/** `from`, from + 1, …: so many. */
export const seedsFrom = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index);
