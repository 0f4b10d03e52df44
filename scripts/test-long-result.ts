/** Writes down how the last run of the long tests went: date, commit, machine and the figures that they reported. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { relative } from 'node:path';
import type { FileResult } from './test-files.ts';

const PATH = 'docs/test-long-result.md';

export function writeLongResult(results: readonly FileResult[]): void {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes on top';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const lines = [
    '# The last run of the long tests',
    '',
    'Written by `npm run test:long`.',
    '',
    `- date: ${new Date().toISOString()}`,
    `- commit: ${git('rev-parse', 'HEAD')}${changed}`,
    `- machine: ${availableParallelism()} cores, ${memory}, Node ${process.versions.node}`,
    '',
  ];
  for (const r of results) {
    lines.push(`## ${relative(process.cwd(), r.file)}`, '');
    lines.push(
      `${r.passed} passed, ${r.failed} failed, ${r.skipped} skipped in ${Math.round(r.durationMs / 1000)} s`,
      '',
    );
    for (const figure of r.figures) lines.push(`- ${figure}`);
    if (r.figures.length > 0) lines.push('');
  }
  writeFileSync(PATH, `${lines.join('\n').trimEnd()}\n`);
}
