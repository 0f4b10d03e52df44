/** `antipode failover enter|leave|history`: an operator's word on conditions, and what they have been. */
import type { Command } from 'commander';
import type { ConditionEventReport, FailoverReport, HistoryReport } from '../admin/api.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, run, show } from './command-kit.ts';
import { table } from './table.ts';

/** A directory's twin takes over: the old primary's word runs out or it ends in order, WAL is replayed. */
const ENTER_MS = 180_000;

interface EnterFlags extends CommonFlags {
  readonly reason?: string;
  readonly force?: boolean;
  readonly assertDown?: boolean;
}

export function registerFailover(program: Command): void {
  const failover = program
    .command('failover')
    .description('take nodes or a center out of service, and let them return');
  common(failover.command('enter <subject...>'))
    .description(
      "take a node, or a center's nodes, out of service: NODE, or center NAME; it stays so until leave",
    )
    .option('--reason <text>', 'why, for the history')
    .option('--force', 'although the twin does not serve: bytes that only they have are then out of reach')
    .option(
      '--assert-down',
      'a directory: your word that it answers nobody; its twin takes over from it, or goes on without it',
    )
    .action((words: string[], { reason, force = false, assertDown = false, ...flags }: EnterFlags) =>
      run(flags, async (client) => {
        const subject = subjectOf(words);
        const order = { subject, force, assertDown, ...(reason === undefined ? {} : { reason }) };
        const done = await client.send<FailoverReport>('POST', '/failover/enter', order, ENTER_MS);
        show(flags, done, enterText(done));
      }),
    );
  common(failover.command('leave <subject...>'))
    .description('let it return: it is resynced when it answers, and then serves')
    .option('--force', 'a node whose twin does not serve: it serves at once, with what it has')
    .action((words: string[], { force = false, ...flags }: CommonFlags & { force?: boolean }) =>
      run(flags, async (client) => {
        const order = { subject: subjectOf(words), force };
        const done = await client.send<FailoverReport>('POST', '/failover/leave', order);
        show(flags, done, leaveText(done));
      }),
    );
  common(failover.command('history'))
    .description('every change of a condition, of nodes and directories, newest first')
    .option('--max <n>', 'at most so many (100)', '100')
    .action(({ max, ...flags }: CommonFlags & { max: string }) =>
      run(flags, async (client) => {
        const { events, missing = [] } = await client.send<HistoryReport>(
          'GET',
          `/failover/history?${new URLSearchParams({ max })}`,
        );
        const lacks = missing.map((pair) => `${pair} does not answer: what was decided about it is missing`);
        show(flags, events, [historyText(events), ...lacks].join('\n'));
      }),
    );
}

function subjectOf(words: readonly string[]): string {
  if (words.length > 2 || (words.length === 2 && words[0] !== 'center'))
    throw new CommandError('name one node (NODE) or one center (center NAME)', 2);
  return words.join(' ');
}

function enterText({ subject, epoch, members }: FailoverReport): string {
  const lines = members.map((m) => `${m.member} is ${m.condition} since ${m.since}`);
  return [...lines, `epoch ${epoch}; it stays so until: antipode failover leave ${subject}`].join('\n');
}

function leaveText({ members }: FailoverReport): string {
  return members
    .map((m) =>
      m.condition === 'failed-over'
        ? `${m.member} may return: it is resynced when it answers, and then serves`
        : `${m.member} is ${m.condition}`,
    )
    .join('\n');
}

const historyText = (events: readonly ConditionEventReport[]): string =>
  table(
    ['AT', 'EPOCH', 'SUBJECT', 'CONDITION', 'DECIDED BY', 'WHY'],
    events.map((e) => [e.at, e.epoch, e.subject, e.state, e.decidedBy, e.why]),
  );
