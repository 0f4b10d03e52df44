/**
 * `antipode verify`: compares the catalog with what every node has. Exit codes: 0 every blob is where it should be,
 * 1 exceptions (or it could not be done), 3 no exception was found and not every member was heard.
 */
import type { Command } from 'commander';
import type { VerifyLine, VerifySummary } from '../admin/api.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run } from './command-kit.ts';
import { bar } from './progress.ts';

interface VerifyFlags extends CommonFlags {
  readonly bucket?: string;
  readonly deep?: boolean;
}

export function registerVerify(program: Command): void {
  common(program.command('verify'))
    .description(
      'compare the catalog with what every node has; exit 1 with exceptions, 3 when a member is not heard',
    )
    .option('--bucket <name>', 'only the objects of this bucket')
    .option('--deep', 'read every byte of every replica')
    .action((flags: VerifyFlags) =>
      run(flags, async (client) => {
        const query = new URLSearchParams({
          ...(flags.bucket === undefined ? {} : { bucket: flags.bucket }),
          ...(flags.deep ? { deep: '1' } : {}),
        });
        let summary: VerifySummary | null = null;
        for await (const line of client.lines<VerifyLine>('POST', `/verify?${query}`)) {
          show(flags, line);
          if (line.type === 'summary') summary = line;
        }
        if (!summary) throw new CommandError('the answer broke off before its end: run it again', 1);
        if (summary.exceptions > 0) process.exitCode = 1;
        else if (summary.unknown > 0) process.exitCode = 3;
      }),
    );
}

function show(flags: VerifyFlags, line: VerifyLine): void {
  const onTerminal = process.stderr.isTTY && !flags.json;
  if (line.type === 'progress') {
    // Progress is for eyes; a script reads what is found and the last line.
    if (onTerminal) process.stderr.write(`\r${bar(line.done, 1)} ${line.blobs} blobs`);
    return;
  }
  if (onTerminal) process.stderr.write('\r\u001b[K');
  print(flags.json ? json(line) : text(line));
}

/** The last line is the counts alone. */
function json(line: Exclude<VerifyLine, { type: 'progress' }>): string {
  if (line.type !== 'summary') return JSON.stringify(line);
  const { type: _, ...counts } = line;
  return JSON.stringify(counts);
}

function text(line: Exclude<VerifyLine, { type: 'progress' }>): string {
  switch (line.type) {
    case 'exception':
      return `${line.kind}: blob ${line.blob}${line.member === null ? '' : ` on ${line.member}`}`;
    case 'unanswered':
      return `${line.member} was not heard: ${line.reason}`;
    case 'summary': {
      const { objects, blobs, replicas, handoffs, exceptions, unknown, inFlight } = line;
      return (
        `${objects} objects, ${blobs} blobs, ${replicas} replicas, ${handoffs} handoffs, ` +
        `${inFlight} in flight: ${exceptions} exceptions, ${unknown} unknown`
      );
    }
  }
}
