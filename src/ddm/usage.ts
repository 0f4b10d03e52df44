/** Quotas and usage, as callers of the catalog see them. What counts as what: docs/quotas.md. */
import type { AccountId } from '../base/ids.ts';

/** Limits, inclusive; null: none. */
export interface Quota {
  /** Of versions and of the parts of open uploads. */
  readonly bytes: number | null;
  /** Versions; delete markers count as nothing. */
  readonly objects: number | null;
}
/** What is absent stays as it is. */
export type QuotaChange = Partial<Quota>;

/** What is in use, exactly: what a full count of the rows says. */
export interface Usage {
  readonly objects: number;
  readonly bytes: number;
  /** Parts of uploads that are neither completed nor aborted. */
  readonly uploadBytes: number;
}
export interface BucketUsage extends Usage {
  readonly bucket: string;
  readonly owner: AccountId;
  readonly quota: Quota;
}
/** The buckets that the account owns, whoever wrote into them. */
export interface AccountUsage extends Usage {
  readonly account: AccountId;
  readonly buckets: number;
  readonly quota: Quota;
}
