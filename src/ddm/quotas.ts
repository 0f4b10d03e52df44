/**
 * Quotas, and what is in use. A bucket's quota lives in its directory. An account's lives in the root pair, and is shared out
 * among the directory pairs (shares.ts).
 */
import type { AccountId, BucketId } from '../base/ids.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import type { AccountUsage, BucketUsage, Catalog, Quota, Usage } from './catalog.ts';
import { type Directories, GONE } from './directories.ts';
import type { Row } from './link.ts';
import { isStorable } from './mapping.ts';
import type { Shares } from './shares.ts';
import { statement } from './statements.ts';

const FIND_ACCOUNT = statement('find-account');
const SET_BUCKET_QUOTA = statement('set-bucket-quota');
const LIST_ACCOUNT_QUOTAS = statement('list-account-quotas');
const LIST_BUCKET_USAGE = statement('list-bucket-usage');
const LIST_ACCOUNT_USAGE = statement('list-account-usage');

export type Quotas = Pick<
  Catalog,
  'setBucketQuota' | 'setAccountQuota' | 'listBucketUsage' | 'listAccountUsage'
>;

const NO_QUOTA: Quota = { bytes: null, objects: null };
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

function addAccounts(a: AccountUsage, b: AccountUsage): AccountUsage {
  return {
    account: a.account,
    buckets: a.buckets + b.buckets,
    objects: a.objects + b.objects,
    bytes: a.bytes + b.bytes,
    uploadBytes: a.uploadBytes + b.uploadBytes,
    quota: NO_QUOTA,
  };
}

export function openQuotas(directories: Directories, shares: Shares): Quotas {
  const accountOf = (row: Row): AccountUsage => ({
    account: String(row.owner) as AccountId,
    buckets: Number(row.buckets),
    ...usageOf(row),
    quota: NO_QUOTA,
  });

  return {
    async setBucketQuota(id: BucketId, change) {
      const row = await directories.atBucket(id, async (directory) => {
        const answer = await directory.write(SET_BUCKET_QUOTA, [id, JSON.stringify(change)]);
        if (answer === 'unknown') return answer;
        const said = answer.rows[0]!.answer as Row;
        return said.reason === undefined ? said : GONE;
      });
      if (row === 'unknown') return UNKNOWN;
      return row === GONE ? refused('no-such-bucket') : done(quotaOf(row.bytes, row.objects));
    },

    async setAccountQuota(id: AccountId, change) {
      if (!isStorable(id) || (await directories.root.read(FIND_ACCOUNT, [id])).length === 0)
        return refused('no-such-account');
      return done(await shares.set(id, change));
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
      for (const row of await directories.root.read(LIST_ACCOUNT_QUOTAS, [account ?? null])) {
        const owner = String(row.account) as AccountId;
        const used = accounts.get(owner) ?? {
          account: owner,
          buckets: 0,
          objects: 0,
          bytes: 0,
          uploadBytes: 0,
        };
        accounts.set(owner, { ...used, quota: quotaOf(row.bytes_max, row.objects_max) });
      }
      return [...accounts.values()].sort((a, b) =>
        Buffer.compare(Buffer.from(a.account), Buffer.from(b.account)),
      );
    },
  };
}
