/** `antipode bucket list` and `bucket set`: buckets of all accounts, and what an operator decides about one. */
import type { Command } from 'commander';
import type { BucketReport } from '../admin/api.ts';
import type { AdminClient } from './admin-client.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, run, show } from './command-kit.ts';
import { table } from './table.ts';

interface ListFlags extends CommonFlags {
  readonly owner?: string;
  readonly prefix?: string;
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
