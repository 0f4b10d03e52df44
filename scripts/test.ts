/**
 * `npm test`: lint, types, then every test, cheapest first. Ends with `N passed, N failed, N skipped`, alone on a
 * line, and exits 1 when anything failed.
 *   --only PATTERN   only test files whose path contains PATTERN (and neither lint nor types)
 *   --long           also test/long; writes docs/test-long-result.md
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type FileResult, runFiles } from './test-files.ts';
import { writeLongResult } from './test-long-result.ts';

interface Phase {
  readonly name: string;
  readonly folders: readonly string[];
  /**
   * Files at once: one more than cores where some of them wait; of those that start whole stores, few, so that a deadline
   * measures the store and not the crowd.
   */
  readonly concurrency: number;
  readonly fileDeadlineMs: number;
}

const MINUTE_MS = 60_000;
const cores = availableParallelism();
const PHASES: readonly Phase[] = [
  { name: 'unit', folders: ['test/unit'], concurrency: cores + 1, fileDeadlineMs: 4 * MINUTE_MS },
  { name: 'contract', folders: ['test/contract'], concurrency: cores, fileDeadlineMs: 4 * MINUTE_MS },
  {
    name: 'integration',
    folders: ['test/integration'],
    concurrency: Math.min(cores + 1, 4),
    fileDeadlineMs: 5 * MINUTE_MS,
  },
  {
    name: 'whole stores',
    folders: ['test/system', 'test/clients', 'test/fault'],
    concurrency: 2,
    fileDeadlineMs: 6 * MINUTE_MS,
  },
];
/** Files that take longest, begun first in their phase, so that its end is not one file running alone. */
const SLOW = [
  'clients/aws-cli',
  'store/conditions',
  'history/s3-history',
  'store/lost-directories',
  'store/directories',
  'store/writes',
  'launcher/promotion',
];
const LONG: Phase = { name: 'long', folders: ['test/long'], concurrency: 1, fileDeadlineMs: 90 * MINUTE_MS };
const SLOWEST_SHOWN = 25;

const root = resolve(import.meta.dirname, '..');
process.chdir(root);
const { values: flags } = parseArgs({ options: { long: { type: 'boolean' }, only: { type: 'string' } } });
const print = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

const isSlow = (file: string) => SLOW.some((name) => file.includes(name));

/** Runs a checker to its end; true when it was content. */
function check(name: string, command: string, args: readonly string[]): boolean {
  const startedAt = performance.now();
  const { status, error } = spawnSync(join('node_modules', '.bin', command), args, { stdio: 'inherit' });
  print(
    `  ${status === 0 ? 'ok' : 'FAILED'} ${name}: ${error ? error.message : seconds(performance.now() - startedAt)}`,
  );
  return status === 0;
}

let passed = 0;
let failed = 0;
let skipped = 0;
const results: FileResult[] = [];

if (flags.only === undefined) {
  print('── lint and types');
  for (const ok of [check('biome', 'biome', ['check', '.']), check('tsc', 'tsc', ['--noEmit'])]) {
    if (ok) passed++;
    else failed++;
  }
}
for (const phase of flags.long ? [...PHASES, LONG] : PHASES) {
  const files = phase.folders
    .flatMap((folder) => globSync(`${folder}/**/*.test.ts`).sort())
    .filter((file) => flags.only === undefined || file.includes(flags.only))
    .toSorted((a, b) => Number(isSlow(b)) - Number(isSlow(a)))
    .map((file) => resolve(file));
  if (files.length === 0) continue;
  const startedAt = performance.now();
  print(`── ${phase.name} (${files.length} files)`);
  const own = await runFiles({ ...phase, files, print });
  results.push(...own);
  print(`   ${phase.name}: ${seconds(performance.now() - startedAt)}`);
}
for (const result of results) {
  passed += result.passed;
  failed += result.failed;
  skipped += result.skipped;
}

if (results.length === 0) {
  print('no test file matches');
  failed++;
} else {
  print('── slowest files');
  const slowest = results.toSorted((a, b) => b.durationMs - a.durationMs).slice(0, SLOWEST_SHOWN);
  for (const r of slowest) print(`   ${seconds(r.durationMs).padStart(8)} ${relative(root, r.file)}`);
}
if (failed > 0) {
  print('── failed');
  for (const r of results) if (r.failed > 0) print(`   ${relative(root, r.file)}`);
}
if (flags.long) writeLongResult(results.filter((r) => r.file.includes(`${LONG.folders[0]}/`)));
print('');
print(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
