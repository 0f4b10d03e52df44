/** Runs campaigns, in short in `npm test` and for long in test/long. A failure prints its smallest case, to be kept in corpus/. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Campaign } from './campaigns.ts';
import type { FuzzCase, FuzzTarget } from './target.ts';

export type KeptCase = FuzzCase & { readonly why: string };

/** Cases that something was wrong with once, or that others fell over. */
export function corpus(): KeptCase[] {
  const folder = join(import.meta.dirname, 'corpus');
  return readdirSync(folder)
    .sort()
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as KeptCase[]);
}

/** @returns how many cases were tried */
export async function runCampaign(
  target: FuzzTarget,
  campaign: Campaign,
  o: { readonly seed: number; readonly runs: number; readonly limitMs?: number },
): Promise<number> {
  const property = fc.asyncProperty(campaign.cases, (c) => target.run(c));
  const limit = o.limitMs === undefined ? {} : { interruptAfterTimeLimit: o.limitMs };
  const result = await fc.check(property, { seed: o.seed, numRuns: o.runs, ...limit });
  if (!result.failed) return result.numRuns;
  if (result.interrupted && result.counterexample === null) return result.numRuns;
  const smallest = JSON.stringify(result.counterexample?.[0]);
  throw new Error(
    `seed ${o.seed}, after ${result.numRuns} cases: ${String(result.errorInstance)}\n${smallest}`,
  );
}
