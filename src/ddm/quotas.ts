/**
 * Quotas, and what is in use. A bucket's quota lives in its directory. An account's is shared out among the directory
 * pairs, the root pair taking what does not divide, so that the shares add up to it: each pair holds the account's
 * buckets of its own to its share, in their commits. With one pair, its share is the quota.
 */
import type { AccountId, BucketId } from '../base/ids.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import type { AccountUsage, BucketUsage, Catalog, Quota, QuotaChange, Usage } from './catalog.ts';
import type { Directories } from './directories.ts';
import type { Row } from './link.ts';
import { isStorable } from './mapping.ts';
import { statement } from './statements.ts';

const FIND_ACCOUNT = statement('find-account');
const SET_BUCKET_QUOTA = statement('set-bucket-quota');
const SET_ACCOUNT_QUOTA = statement('set-account-quota');
const LIST_BUCKET_USAGE = statement('list-bucket-usage');
const LIST_ACCOUNT_USAGE = statement('list-account-usage');

export type Quotas = Pick<
  Catalog,
  'setBucketQuota' | 'setAccountQuota' | 'listBucketUsage' | 'listAccountUsage'
>;

const limitOf = (value: unknown) => (value === null || value === undefined ? null : Number(value));
const quotaOf = (bytes: unknown, objects: unknown): Quota => ({
  bytes: limitOf(bytes),
  objects: limitOf(objects),
});
const usageOf = (row: Row): Usage => ({
  objects: Number(row.objects),
  bytes: Number(row.bytes),
  uploadBytes: Number(row.upload_bytes),
});

/** A share of a change: numbers are divided, "no limit" and "as it was" are everybody's. */
export function shareOfChange(change: QuotaChange, pairs: number, isRoot: boolean): QuotaChange {
  const share = (limit: number) => Math.floor(limit / pairs) + (isRoot ? limit % pairs : 0);
  return Object.fromEntries(
    Object.entries(change)
      .filter(([, limit]) => limit !== undefined)
      .map(([name, limit]: [string, number | null]) => [name, limit === null ? null : share(limit)]),
  );
}

const added = (a: number | null, b: number | null) => (a === null || b === null ? null : a + b);

function addAccounts(a: AccountUsage, b: AccountUsage): AccountUsage {
  return {
    account: a.account,
    buckets: a.buckets + b.buckets,
    objects: a.objects + b.objects,
    bytes: a.bytes + b.bytes,
    uploadBytes: a.uploadBytes + b.uploadBytes,
    quota: { bytes: added(a.quota.bytes, b.quota.bytes), objects: added(a.quota.objects, b.quota.objects) },
  };
}

export function openQuotas(directories: Directories): Quotas {
  const accountOf = (row: Row): AccountUsage => ({
    account: String(row.owner) as AccountId,
    buckets: Number(row.buckets),
    ...usageOf(row),
    quota: quotaOf(row.bytes_max, row.objects_max),
  });

  return {
    async setBucketQuota(id: BucketId, change) {
      const directory = await directories.ofBucket(id);
      if (!directory) return refused('no-such-bucket');
      const answer = await directory.write(SET_BUCKET_QUOTA, [id, JSON.stringify(change)]);
      if (answer === 'unknown') return UNKNOWN;
      const row = answer.rows[0]!.answer as Row;
      return row.reason === undefined ? done(quotaOf(row.bytes, row.objects)) : refused('no-such-bucket');
    },

    async setAccountQuota(id: AccountId, change) {
      if (!isStorable(id) || (await directories.root.read(FIND_ACCOUNT, [id])).length === 0)
        return refused('no-such-account');
      const all = directories.all();
      let quota: Quota | null = null;
      for (const directory of all) {
        const share = shareOfChange(change, all.length, directory === directories.root);
        const answer = await directory.write(SET_ACCOUNT_QUOTA, [id, JSON.stringify(share)]);
        // Said again, it is the same: the shares do not depend on what was there.
        if (answer === 'unknown') return UNKNOWN;
        const { bytes, objects } = answer.rows[0]!.answer as Row;
        const here = quotaOf(bytes, objects);
        quota = quota
          ? { bytes: added(quota.bytes, here.bytes), objects: added(quota.objects, here.objects) }
          : here;
      }
      return quota ? done(quota) : UNKNOWN;
    },

    async listBucketUsage({ name, owner, after, max }) {
      const values = [name ?? null, owner ?? null, after, max + 1];
      const found = await Promise.all(directories.all().map((d) => d.read(LIST_BUCKET_USAGE, values)));
      const buckets = found
        .flat()
        .map(
          (row): BucketUsage => ({
            bucket: String(row.name),
            owner: String(row.owner) as AccountId,
            ...usageOf(row),
            quota: quotaOf(row.bytes_max, row.objects_max),
          }),
        )
        .sort((a, b) => (a.bucket < b.bucket ? -1 : 1));
      return { buckets: buckets.slice(0, max), truncated: buckets.length > max };
    },

    async listAccountUsage(account) {
      const found = await Promise.all(
        directories.all().map((d) => d.read(LIST_ACCOUNT_USAGE, [account ?? null])),
      );
      const accounts = new Map<AccountId, AccountUsage>();
      for (const usage of found.flat().map(accountOf)) {
        const before = accounts.get(usage.account);
        accounts.set(usage.account, before ? addAccounts(before, usage) : usage);
      }
      return [...accounts.values()].sort((a, b) =>
        Buffer.compare(Buffer.from(a.account), Buffer.from(b.account)),
      );
    },
  };
}
