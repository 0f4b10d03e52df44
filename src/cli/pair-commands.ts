/** `antipode pair list|add|drain|weight` and `antipode rebalance`: pairs of nodes grow and shrink while clients work. */
import type { Command } from 'commander';
import type {
  DirectoryPairReport,
  NodePairReport,
  NodePairsReport,
  RebalanceLine,
} from '../admin/pairs-api.ts';
import type { AdminClient } from './admin-client.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run, show } from './command-kit.ts';
import { bar, follow } from './progress.ts';
import { bytesText, table } from './table.ts';

interface AddFlags extends CommonFlags {
  readonly directories?: boolean;
  readonly weight?: string;
}
interface DrainFlags extends CommonFlags {
  readonly cancel?: boolean;
  readonly wait?: boolean;
}

export function registerPairs(program: Command): void {
  const pair = program.command('pair').description('pairs of storage nodes and of directories');
  common(pair.command('list'))
    .description('pairs of nodes, their share of new objects, and what they hold')
    .action((flags: CommonFlags) =>
      run(flags, async (client) => {
        const report = await client.send<NodePairsReport>('GET', '/pairs');
        const others = report.directories.map(
          (pair) => `${pair.id}  ${pair.members.join(' ')}  ${pair.isRoot ? 'root directory' : 'directory'}`,
        );
        show(flags, report.pairs, [pairsText(report.pairs), ...others].join('\n'));
      }),
    );
  common(pair.command('add [address]'))
    .description("a pair more: one node's ADDRESS[:PORT], or none where the store runs on this machine")
    .option('--weight <n>', 'its share of new objects, relative to the others (1)', '1')
    .option('--directories', 'a pair of directories, which takes its share of new buckets')
    .action((address: string | undefined, { weight, directories, ...flags }: AddFlags) =>
      run(flags, async (client) => {
        if (directories) return addDirectories(client, flags, address);
        const order = { ...endpoint(address), weight: numberOf('--weight', weight ?? '1') };
        const added = await client.send<NodePairReport>('POST', '/pairs', order);
        show(flags, added, `added ${added.id}: ${added.members.join(' and ')}`);
      }),
    );
  common(pair.command('weight <pair> <weight>'))
    .description('its share of new objects, relative to the others')
    .action((id: string, weight: string, flags: CommonFlags) =>
      run(flags, async (client) => {
        const changed = await setWeight(client, id, numberOf('WEIGHT', weight));
        show(flags, changed, `${changed.id} has weight ${changed.weight}`);
      }),
    );
  common(pair.command('drain <pair>'))
    .description('no new objects for it, and what it holds moves to the others')
    .option('--cancel', 'let it take new objects again, at weight 1')
    .option('--wait', 'watch until it is empty')
    .action((id: string, flags: DrainFlags) => run(flags, (client) => drain(client, id, flags)));
  common(program.command('rebalance'))
    .description('move objects to the pairs that placement prefers now, for instance after pair add')
    .option('--dry-run', 'only count what would move')
    .action((flags: CommonFlags & { dryRun?: boolean }) =>
      run(flags, async (client) => {
        let last: RebalanceLine | null = null;
        const path = `/rebalance?dryRun=${flags.dryRun ? 1 : 0}`;
        for await (const line of client.lines<RebalanceLine>('POST', path)) {
          last = line;
          if (flags.json) print(JSON.stringify(line));
          else if (!line.done)
            print(`${line.pair}: ${line.moved} moved (${bytesText(line.movedBytes)}) so far`);
        }
        if (!last?.done) throw new CommandError('the rebalance broke off: run it again', 1);
        if (!flags.json)
          print(
            `${flags.dryRun ? 'would move' : 'moved'} ${last.moved} blobs, ${last.waiting} wait (${last.seen} looked at, those that moved once more on their new pair)`,
          );
        if (last.waiting > 0) process.exitCode = 1;
      }),
    );
}

async function addDirectories(client: AdminClient, flags: CommonFlags, address?: string): Promise<void> {
  if (address !== undefined)
    throw new CommandError('directories are added on this machine alone: give no address', 2);
  for await (const added of client.lines<DirectoryPairReport>('POST', '/pairs/directories'))
    return show(
      flags,
      added,
      `added ${added.id}: ${added.members.join(' and ')}; new buckets are spread over it`,
    );
  throw new CommandError('the answer broke off: antipode pair list shows whether the pair is there', 1);
}

async function drain(client: AdminClient, id: string, flags: DrainFlags): Promise<void> {
  const changed = await setWeight(client, id, flags.cancel ? 1 : 0);
  if (flags.cancel) return show(flags, changed, `${changed.id} takes new objects again`);
  if (!flags.wait) return show(flags, changed, `${changed.id} drains: antipode pair list shows how far`);
  const whole = changed.blobs ?? 0;
  const drained = await follow({
    isJson: flags.json === true,
    ask: async () => {
      const { pairs } = await client.send<NodePairsReport>('GET', '/pairs');
      return pairs.find((pair) => pair.id === changed.id) ?? changed;
    },
    lines: (pair) => [
      `${pair.id} ${bar(whole - (pair.blobs ?? whole), whole)} ${pair.blobs ?? '?'} blobs left`,
    ],
    isOver: (pair) => pair.state !== 'draining',
  });
  show(flags, drained, `${drained.id} is ${drained.state}`);
}

const setWeight = (client: AdminClient, id: string, weight: number): Promise<NodePairReport> =>
  client.send('PATCH', `/pairs/${encodeURIComponent(id)}`, { weight });

function endpoint(text: string | undefined): { address?: string; port?: number } {
  if (text === undefined) return {};
  const match = /^(?:\[(.+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? text;
  return { address, ...(match?.[3] === undefined ? {} : { port: Number(match[3]) }) };
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (!(Number.isFinite(value) && value > 0))
    throw new CommandError(`${name}: "${text}" is not a number above 0`, 2);
  return value;
}

const pairsText = (pairs: readonly NodePairReport[]): string =>
  table(
    ['PAIR', 'NODES', 'WEIGHT', 'BLOBS', ''],
    pairs.map((pair) => [pair.id, pair.members.join(' '), pair.weight, pair.blobs ?? '?', pair.state]),
  );
