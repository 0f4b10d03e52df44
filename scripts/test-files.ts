/**
 * Runs test files, each in a process (and process group) of its own, some at a time, and says how each went as it
 * ends. A file that does not end within its deadline is killed with its group and counts as failed.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { TestLine } from './test-reporter.ts';

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly durationMs: number;
  /** What tests reported with `t.diagnostic`. */
  readonly figures: readonly string[];
}

export interface FilesOptions {
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly fileDeadlineMs: number;
  readonly print: (line: string) => void;
}

const REPORTER = join(import.meta.dirname, 'test-reporter.ts');
/** Of what a failed file wrote to stdout and stderr. */
const OUTPUT_CHARS_KEPT = 12_000;

/** Live children, so that an interrupted run leaves none behind. */
const groups = new Set<number>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const pid of groups) killGroup(pid);
    process.exit(130);
  });
}
const COMPILE_CACHE = join(import.meta.dirname, '..', 'node_modules', '.cache', 'antipode');

export async function runFiles(options: FilesOptions): Promise<FileResult[]> {
  const waiting = [...options.files];
  const results: FileResult[] = [];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      results.push(await runFile(file, options));
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return results;
}

async function runFile(file: string, { fileDeadlineMs, print }: FilesOptions): Promise<FileResult> {
  const folder = mkdtempSync(join(tmpdir(), 'antipode-test-'));
  const report = join(folder, 'report.jsonl');
  const startedAt = performance.now();
  const args = [`--test-reporter=${REPORTER}`, `--test-reporter-destination=${report}`, file];
  // Each file loads much of the same source: compiled once, by whoever comes first.
  const env = { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env };
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
  if (child.pid !== undefined) groups.add(child.pid);
  let output = '';
  const keep = (text: Buffer) => {
    output = (output + text.toString()).slice(-OUTPUT_CHARS_KEPT);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);

  let late = false;
  const ended = new Promise<string | null>((resolve) => {
    const deadline = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) killGroup(child.pid);
    }, fileDeadlineMs);
    child.once('error', (error) => resolve(error.message));
    // Not 'close': a grandchild that kept stdout open must not keep the run waiting.
    child.once('exit', (code, signal) => {
      clearTimeout(deadline);
      resolve(code === 0 ? null : `ended with ${signal ?? `exit code ${code}`}`);
    });
  });
  const problem = await ended;
  if (child.pid !== undefined) {
    killGroup(child.pid);
    groups.delete(child.pid);
  }
  const lines = readReport(report);
  rmSync(folder, { recursive: true, force: true });

  const name = relative(process.cwd(), file);
  const failures = lines.filter((l) => l.kind === 'failed').map((l) => `${l.name}\n${indent(l.error)}`);
  if (late) failures.push(`the file did not end within ${fileDeadlineMs / 1000} s`);
  else if (problem !== null && failures.length === 0) failures.push(`the file ${problem}`);
  else if (lines.every((l) => l.kind === 'figure')) failures.push('the file holds no test');
  const result: FileResult = {
    file,
    passed: lines.filter((l) => l.kind === 'passed').length,
    failed: failures.length,
    skipped: lines.filter((l) => l.kind === 'skipped').length,
    durationMs: performance.now() - startedAt,
    figures: lines.flatMap((l) => (l.kind === 'figure' ? [l.text] : [])),
  };
  for (const failure of failures) print(`  ✗ ${name}: ${failure}`);
  for (const l of lines) if (l.kind === 'skipped') print(`  - ${name}: skipped ${l.name} (${l.reason})`);
  if (failures.length > 0 && output.trim() !== '') print(indent(`what ${name} wrote:\n${output.trimEnd()}`));
  print(`  ${failures.length === 0 ? 'ok' : 'FAILED'} ${name}: ${counts(result)}`);
  return result;
}

function readReport(path: string): TestLine[] {
  try {
    const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
    return whole.map((line) => JSON.parse(line) as TestLine);
  } catch {
    // The process died before the reporter opened its file; its exit code tells.
    return [];
  }
}

/** Ends what is left of a test file's process group. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}

const indent = (text: string) => text.replaceAll(/^/gm, '      ');

function counts(r: FileResult): string {
  const parts = [`${r.passed} passed`];
  if (r.failed > 0) parts.push(`${r.failed} failed`);
  if (r.skipped > 0) parts.push(`${r.skipped} skipped`);
  return `${parts.join(', ')}, ${(r.durationMs / 1000).toFixed(1)} s`;
}
