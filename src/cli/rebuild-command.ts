/**
 * `antipode rebuild-catalog`: an empty catalog is made anew from what the nodes have, or (`--diff`) compared with it. Exit codes:
 * 0 whole, 1 it could not be done (with --diff: differences that nothing explains), 3 a node was not heard.
 */
import type { Command } from 'commander';
import type { RebuildLine, RebuildSummary } from '../admin/rebuild/report.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run } from './command-kit.ts';

interface RebuildFlags extends CommonFlags {
  readonly diff?: boolean;
}

export function registerRebuild(program: Command): void {
  common(program.command('rebuild-catalog'))
    .description('make the names of an empty catalog anew from the records that the nodes keep')
    .option('--diff', 'change nothing: compare the records with the catalog as it is')
    .action((flags: RebuildFlags) =>
      run(flags, async (client) => {
        let summary: RebuildSummary | null = null;
        const path = `/rebuild-catalog${flags.diff ? '?diff=1' : ''}`;
        for await (const line of client.lines<RebuildLine>('POST', path)) {
          show(flags, line);
          if (line.type === 'summary') summary = line;
        }
        if (!summary) throw new CommandError('the answer broke off before its end: run it again', 1);
        if (summary.unheard.length > 0) process.exitCode = 3;
        else if (summary.unexplained > 0) process.exitCode = 1;
      }),
    );
}

function show(flags: RebuildFlags, line: RebuildLine): void {
  const onTerminal = process.stderr.isTTY && !flags.json;
  if (line.type === 'progress') {
    if (onTerminal) process.stderr.write(`\r\u001b[K${PHASES[line.phase]} ${line.done}`);
    return;
  }
  if (onTerminal) process.stderr.write('\r\u001b[K');
  print(flags.json ? JSON.stringify(line) : text(line, flags.diff === true));
}

const PHASES = {
  buckets: 'buckets:',
  versions: 'versions:',
  blobs: 'blobs, of 256 parts:',
  compare: 'versions compared:',
} as const;

function text(line: Exclude<RebuildLine, { type: 'progress' }>, isDiff: boolean): string {
  switch (line.type) {
    case 'unheard':
      return `${line.member} was not heard: ${line.reason}; what it alone knows may be missing`;
    case 'account':
      return `account ${line.account} ${line.message}`;
    case 'unconfirmed': {
      const part =
        line.partNumber === undefined ? '' : ` (part ${line.partNumber} of upload ${line.uploadId})`;
      const where = line.members.join(', ');
      return `no name for blob ${line.blob}, ${line.size} bytes of ${line.bucket}/${line.key}${part} on ${where}`;
    }
    case 'difference': {
      const why = line.explained ? ' (waits in the outbox)' : '';
      return `${line.kind}: ${line.bucket}/${line.key} version ${line.versionId}${why}`;
    }
    case 'summary':
      return summaryText(line, isDiff);
  }
}

function summaryText(line: RebuildSummary, isDiff: boolean): string {
  const { buckets, versions, accounts, disagreements, unconfirmed, differences, unexplained, unheard } = line;
  const found = `${buckets} buckets, ${versions} versions, ${accounts} accounts`;
  const rest = `${disagreements} disagreements, ${unconfirmed} blobs without a name, ${unheard.length} nodes not heard`;
  const upTo = line.positions.map(({ pair, position, at }) => `${pair} complete up to ${position} (${at})`);
  const compared = isDiff ? `; ${differences} differences, ${unexplained} unexplained` : '';
  return [`${found}; ${rest}${compared}`, ...upTo].join('\n');
}
