/** `antipode bucket list` and `bucket set`: buckets of all accounts, and what an operator decides about one. */
import type { Command } from 'commander';
import type { BucketReport } from '../admin/api.ts';
import type { BucketMoveReport, BucketMovesReport } from '../admin/bucket-moves-api.ts';
import type { AdminClient } from './admin-client.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run, show } from './command-kit.ts';
import { follow } from './progress.ts';
import { table } from './table.ts';

interface ListFlags extends CommonFlags {
  readonly owner?: string;
  readonly prefix?: string;
}
interface MoveFlags extends CommonFlags {
  readonly to?: string;
  readonly cancel?: boolean;
  readonly wait?: boolean;
}
interface SetFlags extends CommonFlags {
  readonly durability?: string;
}

export function registerBuckets(bucket: Command): void {
  common(bucket.command('list'))
    .description('list buckets')
    .option('--owner <id>', 'only those of this account')
    .option('--prefix <text>', 'only those whose names start so')
    .action((flags: ListFlags) =>
      run(flags, async (client) => {
        const buckets = await listBuckets(client, flags);
        const rows = buckets.map((b) => [
          ...[b.name, b.owner, b.versioning, b.durability, b.directory, b.createdAt],
        ]);
        const head = ['BUCKET', 'OWNER', 'VERSIONING', 'DURABILITY', 'DIRECTORY', 'CREATED'];
        show(flags, buckets, table(head, rows));
      }),
    );
  common(bucket.command('move <bucket>'))
    .description('move a bucket to another directory pair, while clients work')
    .option('--to <pair>', 'directory/6, or 6')
    .option('--cancel', 'call the move off, as long as it copies')
    .option('--no-wait', 'begin it and do not watch')
    .action((name: string, flags: MoveFlags) => run(flags, (client) => move(client, name, flags)));
  common(bucket.command('moves [bucket]'))
    .description('moves of buckets between directories, those that ended included')
    .action((name: string | undefined, flags: CommonFlags) =>
      run(flags, async (client) => {
        const moves = await movesOf(client, name);
        const rows = moves.map((m) => [
          ...[m.bucket, m.source, m.target, m.phase, m.versions, `${m.frozenMs} ms`, m.startedAt],
          m.lastError ?? '',
        ]);
        const head = ['BUCKET', 'FROM', 'TO', 'PHASE', 'ROWS', 'FROZEN', 'STARTED', ''];
        show(flags, moves, table(head, rows));
      }),
    );
  common(bucket.command('set <bucket>'))
    .description('decide when a write into a bucket is acknowledged')
    .option('--durability <kind>', 'two-copies, both-centers or one')
    .action((name: string, flags: SetFlags) => {
      const { durability } = flags;
      if (durability === undefined) throw new CommandError('nothing to set: give --durability', 2);
      return run(flags, async (client) => {
        const path = `/buckets/${encodeURIComponent(name)}/durability`;
        const set = await client.send<{ durability: string }>('PATCH', path, { durability });
        show(flags, { name, ...set }, `${name}: durability ${set.durability}`);
      });
    });
}

const movesOf = async (client: AdminClient, name?: string): Promise<readonly BucketMoveReport[]> => {
  const query = name === undefined ? '' : `?bucket=${encodeURIComponent(name)}`;
  return (await client.send<BucketMovesReport>('GET', `/bucket-moves${query}`)).moves;
};

/** Begun again, it is watched again: the store goes on with it by itself. */
async function move(client: AdminClient, name: string, flags: MoveFlags): Promise<void> {
  const path = `/buckets/${encodeURIComponent(name)}/move`;
  if (flags.cancel) {
    await client.send<unknown>('DELETE', path);
    return show(flags, { bucket: name, cancelled: true }, `${name}: the move is called off`);
  }
  if (flags.to === undefined) throw new CommandError('where to? give --to PAIR', 2);
  const begun = await client.send<BucketMoveReport>('POST', path, { to: flags.to });
  if (flags.wait === false)
    return show(flags, begun, `${name}: moving from ${begun.source} to ${begun.target}`);
  const isOver = ({ phase }: BucketMoveReport) => phase === 'done' || phase === 'cancelled';
  const ended = await follow({
    isJson: flags.json === true,
    ask: async () => (await movesOf(client, name))[0] ?? begun,
    lines: (m) => [`${name} ${m.source} → ${m.target}: ${m.phase}, ${m.versions} rows copied`],
    isOver,
  });
  if (ended.phase === 'cancelled')
    throw new CommandError(
      `${name} stays in ${ended.source}: ${ended.lastError ?? 'the move was called off'}`,
      1,
    );
  if (!flags.json) print(`${name} is in ${ended.target}; writes waited ${ended.frozenMs} ms`);
}

async function listBuckets(client: AdminClient, flags: ListFlags): Promise<BucketReport[]> {
  const buckets: BucketReport[] = [];
  for (;;) {
    const query = new URLSearchParams({ prefix: flags.prefix ?? '', after: buckets.at(-1)?.name ?? '' });
    if (flags.owner !== undefined) query.set('owner', flags.owner);
    const page = await client.send<{ buckets: BucketReport[]; truncated: boolean }>(
      'GET',
      `/buckets?${query}`,
    );
    buckets.push(...page.buckets);
    if (!page.truncated || page.buckets.length === 0) return buckets;
  }
}
