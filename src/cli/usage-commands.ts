/** `antipode usage`, and `quota` of buckets and users: what is in use, and what may be. */
import type { Command } from 'commander';
import type { QuotaReport, UsagePage, UsageReport } from '../admin/api.ts';
import type { AdminClient } from './admin-client.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, run, show } from './command-kit.ts';
import { parseCount, parseSize } from './sizes.ts';
import { bytesText, table } from './table.ts';

interface QuotaFlags extends CommonFlags {
  readonly bytes?: string;
  readonly objects?: string;
}
interface UsageFlags extends CommonFlags {
  readonly bucket?: string;
  readonly user?: string;
}

export function registerQuota(parent: Command, kind: 'bucket' | 'user'): void {
  const whose = kind === 'bucket' ? 'a bucket' : 'all buckets of an account';
  common(parent.command(`quota <${kind === 'bucket' ? 'bucket' : 'id'}>`))
    .description(`show or set what ${whose} may hold`)
    .option('--bytes <size>', 'at most these bytes (KiB, MiB, GiB, TiB), or none')
    .option('--objects <n>', 'at most this many objects (versions), or none')
    .action((name: string, flags: QuotaFlags) => {
      const { bytes, objects } = flags;
      const change = {
        ...(bytes === undefined ? {} : { bytes: parseSize(bytes) }),
        ...(objects === undefined ? {} : { objects: parseCount(objects) }),
      };
      return run(flags, async (client) => {
        const path = `/${kind}s/${encodeURIComponent(name)}/quota`;
        if (Object.keys(change).length > 0) await client.send<QuotaReport>('PATCH', path, change);
        const page = await usagePage(client, { [kind]: name });
        const found = kind === 'bucket' ? page.buckets[0]! : page.users[0]!;
        show(flags, found, quotaText(name, found));
      });
    });
}

export function registerUsage(program: Command): void {
  common(program.command('usage'))
    .description('what buckets and accounts hold, and their quotas')
    .option('--bucket <name>', 'only this bucket')
    .option('--user <id>', 'only this account and its buckets')
    .action((flags: UsageFlags) => {
      const { bucket, user } = flags;
      if (bucket !== undefined && user !== undefined)
        throw new CommandError('give --bucket or --user, not both', 2);
      return run(flags, async (client) => {
        const { users, buckets } = await allUsage(client, {
          ...(bucket && { bucket }),
          ...(user && { user }),
        });
        const accounts = bucket === undefined ? `${userTable(users)}\n\n` : '';
        show(flags, { users, buckets }, accounts + bucketTable(buckets));
      });
    });
}

const usagePage = (client: AdminClient, query: Record<string, string>) =>
  client.send<UsagePage>('GET', `/usage?${new URLSearchParams(query)}`);

async function allUsage(client: AdminClient, query: Record<string, string>) {
  const first = await usagePage(client, query);
  const buckets = [...first.buckets];
  for (let page = first; page.truncated && page.buckets.length > 0; ) {
    page = await usagePage(client, { ...query, after: buckets.at(-1)!.bucket });
    buckets.push(...page.buckets);
  }
  return { users: first.users, buckets };
}

const limitText = (limit: number | null) => (limit === null ? null : bytesText(limit));
const FIGURES = ['OBJECTS', 'OF', 'BYTES', 'UPLOADS', 'OF'];
const figures = (u: UsageReport) => [
  ...[u.objects, u.quota.objects, bytesText(u.bytes), bytesText(u.uploadBytes), limitText(u.quota.bytes)],
];
const userTable = (users: UsagePage['users']) =>
  table(
    ['USER', 'BUCKETS', ...FIGURES],
    users.map((u) => [u.user, u.buckets, ...figures(u)]),
  );
const bucketTable = (buckets: UsagePage['buckets']) =>
  table(
    ['BUCKET', 'OWNER', ...FIGURES],
    buckets.map((b) => [b.bucket, b.owner, ...figures(b)]),
  );

function quotaText(name: string, { quota, objects, bytes, uploadBytes }: UsageReport): string {
  const of = (limit: string | number | null) => (limit === null ? '(no quota)' : `of ${limit}`);
  return [
    `${name}: ${bytesText(bytes + uploadBytes)} ${of(limitText(quota.bytes))}`,
    `${objects} objects ${of(quota.objects)}`,
  ].join(', ');
}
