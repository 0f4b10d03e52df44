/** Quotas and usage of the model catalog: usage is a full count of the rows, every time. */
import type { AccountId, BucketId } from '../../src/base/ids.ts';
import type { AccountUsage, BucketUsage, Quota, QuotaChange, Usage } from '../../src/ddm/catalog.ts';
import type { BucketRow } from './model-buckets.ts';
import { compareKeys } from './model-listing.ts';

const NONE: Quota = { bytes: null, objects: null };
const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

function usageOf(rows: readonly BucketRow[]): Usage {
  const versions = rows.flatMap((row) => [...row.keys.values()].flat());
  const parts = rows.flatMap((row) => [...row.uploads.values()].flatMap(({ parts }) => [...parts.values()]));
  return {
    objects: versions.filter((version) => !version.isDeleteMarker).length,
    bytes: sum(versions.map((version) => version.size)),
    uploadBytes: sum(parts.map((part) => part.size)),
  };
}

export class ModelQuotas {
  readonly #buckets: ReadonlyMap<BucketId, BucketRow>;
  readonly #ofBucket = new Map<BucketId, Quota>();
  readonly #ofAccount = new Map<AccountId, Quota>();

  constructor(buckets: ReadonlyMap<BucketId, BucketRow>) {
    this.#buckets = buckets;
  }

  #owned(account: AccountId): BucketRow[] {
    return [...this.#buckets.values()].filter(({ bucket }) => bucket.owner === account);
  }

  setBucket(id: BucketId, change: QuotaChange): Quota {
    const quota = { ...(this.#ofBucket.get(id) ?? NONE), ...change };
    this.#ofBucket.set(id, quota);
    return quota;
  }
  setAccount(id: AccountId, change: QuotaChange): Quota {
    const quota = { ...(this.#ofAccount.get(id) ?? NONE), ...change };
    this.#ofAccount.set(id, quota);
    return quota;
  }
  forgetAccount(id: AccountId): void {
    this.#ofAccount.delete(id);
  }

  /** Whether a quota forbids the bucket to grow so; what does not grow is never forbidden. */
  forbids(row: BucketRow, growth: { readonly objects: number; readonly bytes: number }): boolean {
    const { id, owner } = row.bucket;
    const subjects: [Quota | undefined, readonly BucketRow[]][] = [
      [this.#ofBucket.get(id), [row]],
      [this.#ofAccount.get(owner), this.#owned(owner)],
    ];
    return subjects.some(([quota, rows]) => {
      if (!quota) return false;
      const { objects, bytes, uploadBytes } = usageOf(rows);
      const isOver = (used: number, more: number, limit: number | null) =>
        more > 0 && limit !== null && used + more > limit;
      return (
        isOver(objects, growth.objects, quota.objects) ||
        isOver(bytes + uploadBytes, growth.bytes, quota.bytes)
      );
    });
  }

  /** What a new object of this size adds, with the version that it takes the place of. */
  growthOf(row: BucketRow, key: string, size: number): { objects: number; bytes: number } {
    const versions = row.bucket.versioning === 'enabled' ? [] : (row.keys.get(key) ?? []);
    const replaced = versions.find(({ versionId }) => versionId === 'null');
    const freed = replaced && !replaced.isDeleteMarker ? 1 : 0;
    return { objects: 1 - freed, bytes: size - (replaced?.size ?? 0) };
  }

  bucketUsage(query: { name?: string; owner?: AccountId; after: string; max: number }) {
    const buckets = [...this.#buckets.values()]
      .filter(({ bucket: b }) => query.name === undefined || b.name === query.name)
      .filter(({ bucket: b }) => query.owner === undefined || b.owner === query.owner)
      .filter(({ bucket: b }) => b.name > query.after)
      .map((row): BucketUsage => {
        const { id, name, owner } = row.bucket;
        return { bucket: name, owner, ...usageOf([row]), quota: this.#ofBucket.get(id) ?? NONE };
      })
      .sort((a, b) => compareKeys(a.bucket, b.bucket));
    return { buckets: buckets.slice(0, query.max), truncated: buckets.length > query.max };
  }

  accountUsage(only?: AccountId): AccountUsage[] {
    const limited = [...this.#ofAccount].filter(([, q]) => q.bytes !== null || q.objects !== null);
    const owners = [...this.#buckets.values()].map(({ bucket }) => bucket.owner);
    return [...new Set([...owners, ...limited.map(([id]) => id)])]
      .filter((account) => only === undefined || account === only)
      .map((account): AccountUsage => {
        const rows = this.#owned(account);
        const quota = this.#ofAccount.get(account) ?? NONE;
        return { account, buckets: rows.length, ...usageOf(rows), quota };
      })
      .sort((a, b) => compareKeys(a.account, b.account));
  }
}
