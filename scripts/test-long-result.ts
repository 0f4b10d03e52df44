/**
 * Writes down how the last run of each long test went: date, commit, machine and the figures that it reported. Files that
 * were not run this time keep what stands there of them.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { relative } from 'node:path';
import type { FileResult } from './test-files.ts';

const PATH = 'docs/test-long-result.md';
const HEAD = '# The last run of each long test\n\nWritten by `npm run test:long`.\n';

export function writeLongResult(results: readonly FileResult[]): void {
  const sections = existsSync(PATH) ? sectionsOf(readFileSync(PATH, 'utf8')) : new Map<string, string>();
  const run = describeRun();
  for (const r of results) {
    const file = relative(process.cwd(), r.file);
    const counts = `${r.passed} passed, ${r.failed} failed, ${r.skipped} skipped in ${Math.round(r.durationMs / 1000)} s`;
    const figures = r.figures.map((figure) => `- ${figure}`).join('\n');
    sections.set(file, `${counts}\n\n${run}\n${figures === '' ? '' : `\n${figures}\n`}`);
  }
  const text = [...sections]
    .filter(([file]) => existsSync(file))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, section]) => `\n## ${file}\n\n${section.trim()}\n`)
    .join('');
  writeFileSync(PATH, HEAD + text);
}

function describeRun(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes on top';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${new Date().toISOString()}, commit ${git('rev-parse', '--short', 'HEAD')}${changed}, ${availableParallelism()} cores, ${memory}, Node ${process.versions.node}`;
}

/** By file. */
function sectionsOf(text: string): Map<string, string> {
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const end = section.indexOf('\n');
      return [section.slice(0, end).trim(), section.slice(end + 1)];
    }),
  );
}
