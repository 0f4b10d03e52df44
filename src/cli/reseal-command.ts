/**
 * `antipode reseal`: what older master keys have sealed is sealed under the newest. Exit codes: 0 nothing is left under older
 * keys, 1 something is.
 */
import type { Command } from 'commander';
import type { ResealLine, ResealSummary } from '../admin/reseal.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run } from './command-kit.ts';

export function registerReseal(program: Command): void {
  common(program.command('reseal'))
    .description('seal what older master keys have sealed under the newest; exit 1 when something is left')
    .action((flags: CommonFlags) =>
      run(flags, async (client) => {
        let summary: ResealSummary | null = null;
        for await (const line of client.lines<ResealLine>('POST', '/reseal')) {
          show(flags, line);
          if (line.type === 'summary') summary = line;
        }
        if (!summary) throw new CommandError('the answer broke off before its end: run it again', 1);
        if (summary.left + summary.uploads > 0) process.exitCode = 1;
      }),
    );
}

function show(flags: CommonFlags, line: ResealLine): void {
  const onTerminal = process.stderr.isTTY && !flags.json;
  if (line.type === 'progress') {
    if (onTerminal) process.stderr.write(`\r\u001b[K${line.versions} versions, now in ${line.bucket}`);
    return;
  }
  if (onTerminal) process.stderr.write('\r\u001b[K');
  print(flags.json ? JSON.stringify(line) : text(line));
}

function text(line: Exclude<ResealLine, { type: 'progress' }>): string {
  if (line.type === 'exception') return `${line.subject}: ${line.reason}`;
  const { masterKey, versions, resealed, accessKeys, left, uploads } = line;
  return (
    `${resealed} of ${versions} versions and ${accessKeys} access keys sealed under master key ${masterKey}; ` +
    `${left} left under older keys, and ${uploads} uploads in progress`
  );
}
