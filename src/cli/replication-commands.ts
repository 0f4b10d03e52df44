/**
 * `antipode resync`, `scrub` and `repairs`: watching replicas come home. The work is the store's own: to interrupt a
 * command stops the watching alone, and to run it again goes on watching.
 */
import type { Command } from 'commander';
import type {
  MemberResyncReport,
  NodeScrubReport,
  RepairReport,
  RepairsPage,
  ResyncsReport,
  ScrubsReport,
} from '../admin/replication-api.ts';
import type { AdminClient } from './admin-client.ts';
import { type CommonFlags, common, print, run, show } from './command-kit.ts';
import { bar, follow } from './progress.ts';
import { parseSize } from './sizes.ts';
import { bytesText, table } from './table.ts';

interface ScrubFlags extends CommonFlags {
  readonly member?: string;
  readonly rate?: string;
  readonly status?: boolean;
}

/** As for `verify`: a member did not answer. */
const EXIT_SILENT = 3;

export function registerReplication(program: Command): void {
  common(program.command('resync'))
    .description('bring members back that may return, and watch until they serve')
    .action((flags: CommonFlags) => run(flags, (client) => resync(client, flags)));
  common(program.command('scrub'))
    .description('read and verify every byte on the nodes now, and watch until it is done')
    .option('--member <id>', 'only this node')
    .option('--rate <size>', 'bytes a second that each node reads, until its process ends (0: off)')
    .option('--status', 'start nothing: show how far it is')
    .action((flags: ScrubFlags) => run(flags, (client) => scrub(client, flags)));
  common(program.command('repairs'))
    .description('replicas that are not where the map says, and wait to be brought there')
    .option('--member <id>', 'only those of this node')
    .action((flags: CommonFlags & { member?: string }) =>
      run(flags, async (client) => {
        const repairs = await allRepairs(client, flags.member);
        show(flags, repairs, repairs.length === 0 ? 'no repairs are queued' : repairsText(repairs));
      }),
    );
}

// ------------------------------------------------------------------------------------------------ resync

async function resync(client: AdminClient, flags: CommonFlags): Promise<void> {
  await client.send<ResyncsReport>('POST', '/resync', {});
  const { members } = await follow({
    isJson: flags.json === true,
    ask: () => client.send<ResyncsReport>('GET', '/resync'),
    lines: (report) => report.members.filter(isAway).map(resyncLine),
    isOver: (report) => !report.members.some(isComing),
  });
  const away = members.filter(isAway);
  if (!flags.json) print(away.length === 0 ? 'every node serves' : awayText(away));
  if (away.length > 0) process.exitCode = 1;
}

const isAway = ({ condition }: MemberResyncReport): boolean => condition !== 'serving';
/** Under way, or about to be: it answers and may return. */
const isComing = ({ condition, answers, mayReturn }: MemberResyncReport): boolean =>
  condition === 'resyncing' || (condition === 'failed-over' && answers && mayReturn);

function resyncLine(report: MemberResyncReport): string {
  const { member, condition, resync } = report;
  if (condition !== 'resyncing' || !resync) return `${member}  ${condition}: ${stateText(report)}`;
  const { phase, pulledBlobs, toPull, pulledBytes, lag, lastError } = resync;
  const figures = `${pulledBlobs} of ${toPull} blobs, ${bytesText(pulledBytes)}, ${lag} to carry home`;
  return `${member}  ${bar(pulledBlobs, toPull)}  ${phase}: ${figures}${lastError === undefined ? '' : `; ${lastError}`}`;
}

function stateText({ condition, answers, mayReturn, why }: MemberResyncReport): string {
  if (condition === 'resyncing') return 'begins';
  if (!mayReturn) return `${why}; it waits for failover leave`;
  return answers ? `${why}; it answers, and is resynced soon` : `${why}; it does not answer`;
}

const awayText = (away: readonly MemberResyncReport[]): string =>
  away.map((report) => `${report.member} is ${report.condition}: ${stateText(report)}`).join('\n');

// ------------------------------------------------------------------------------------------------- scrub

async function scrub(client: AdminClient, flags: ScrubFlags): Promise<void> {
  const isJson = flags.json === true;
  const only = flags.member === undefined ? {} : { member: flags.member };
  const rate = flags.rate === undefined ? {} : { bytesPerSecondMax: parseSize(flags.rate) ?? 0 };
  const isOff = rate.bytesPerSecondMax === 0;
  if (flags.status) {
    const report = await client.send<ScrubsReport>('GET', '/scrub');
    return show(flags, report, report.nodes.map(scrubLine).join('\n'));
  }
  const begun = await client.send<ScrubsReport>('POST', '/scrub', { ...only, ...rate, start: !isOff });
  if (isOff) return show(flags, begun, 'the scrub is off');
  const since = new Map(begun.nodes.map((node) => [node.member, node.roundStartedAt ?? null]));
  const mine = ({ nodes }: ScrubsReport) => nodes.filter((node) => since.has(node.member));
  const last = await follow({
    isJson,
    ask: async () => ({ nodes: mine(await client.send<ScrubsReport>('GET', '/scrub')) }),
    lines: ({ nodes }) => nodes.map(scrubLine),
    isOver: ({ nodes }) => nodes.every((node) => !node.answers || hasEnded(node, since.get(node.member))),
  });
  const repairs = await allRepairs(client);
  const bad = repairs.filter(({ reason }) => reason !== 'handoff' && reason !== 'lag').length;
  if (!isJson) print(`done; ${bad} damaged or missing replicas wait for repair (antipode repairs)`);
  if (bad > 0) process.exitCode = 1;
  if (last.nodes.some((node) => !node.answers)) process.exitCode = EXIT_SILENT;
}

/** Times are ISO 8601: they compare as text. */
const hasEnded = ({ lastRoundEndedAt }: NodeScrubReport, since: string | null | undefined): boolean =>
  typeof lastRoundEndedAt === 'string' && (!since || lastRoundEndedAt >= since);

function scrubLine(node: NodeScrubReport): string {
  const { member, answers, reason, bytes = 0, storedBytes = 0, bytesPerSecondMax = 0, damaged = 0 } = node;
  if (!answers) return `${member}  does not answer: ${reason}`;
  const rate = bytesPerSecondMax === 0 ? 'off' : `at most ${bytesText(bytesPerSecondMax)}/s`;
  const ended = node.lastRoundEndedAt ? `, last round ended ${node.lastRoundEndedAt}` : '';
  const progress = node.roundStartedAt ? bar(bytes, storedBytes) : bar(1, 1);
  return `${member}  ${progress}  ${bytesText(bytes)} of ${bytesText(storedBytes)}, ${rate}, ${damaged} damaged${ended}`;
}

// ----------------------------------------------------------------------------------------------- repairs

async function allRepairs(client: AdminClient, member?: string): Promise<RepairReport[]> {
  const repairs: RepairReport[] = [];
  for (;;) {
    const query = new URLSearchParams(member === undefined ? {} : { member });
    const last = repairs.at(-1);
    if (last) {
      query.set('afterMember', last.member);
      query.set('afterBlob', last.blob);
    }
    const page = await client.send<RepairsPage>('GET', `/repairs?${query}`);
    repairs.push(...page.repairs);
    if (!page.truncated || page.repairs.length === 0) return repairs;
  }
}

const repairsText = (repairs: readonly RepairReport[]): string =>
  table(
    ['BLOB', 'SIZE', 'PAIR', 'MEMBER', 'REASON', 'SINCE', 'TRIED', 'LAST ERROR'],
    repairs.map((r) => [
      ...[r.blob, bytesText(r.size), r.pair, r.member, r.reason, r.since, r.attempts, r.lastError],
    ]),
  );
