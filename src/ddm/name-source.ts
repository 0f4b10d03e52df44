/**
 * What nodes are told of names, so that a catalog can be made anew from them: a record for each object version, bucket, account
 * and quota, under an id that follows from what it is about. Bodies are documents that only the catalog reads; everybody
 * else passes them on as text.
 */
import { createHash } from 'node:crypto';
import type { BucketId, PairId } from '../base/ids.ts';

/** Of a record: 32 hex digits. `name` begins with its kind. */
export const recordId = (...name: readonly (string | number)[]): string =>
  createHash('sha256').update(name.join('\0')).digest('hex').slice(0, 32);

export interface VersionName {
  readonly bucketId: BucketId;
  readonly key: string;
  readonly versionId: string;
}
/** The key stands last: what comes before it has no NUL. */
export const versionRecordId = ({ bucketId, key, versionId }: VersionName): string =>
  recordId('version', bucketId, versionId, key);

/** What is to be kept of one thing; null: it is gone. */
export interface NameDocument {
  readonly id: string;
  readonly body: string | null;
  /** Of one that is gone: what is still to be known of it. */
  readonly epitaph?: string;
}

export interface FeedState {
  readonly floor: number;
  readonly trimmed: boolean;
  /** The catalog is of an earlier time than the nodes: what nobody names any more is still to be found. */
  readonly restored: boolean;
  readonly layout: string;
  readonly told: Readonly<Record<string, string>>;
  readonly marks: readonly { readonly number: number; readonly at: number }[];
  /** The last change number that was given. */
  readonly highest: number;
}
export interface WalkState {
  readonly bucketId: number;
  readonly key: string;
  readonly seq: number;
  readonly done: boolean;
  /** Changes from before the walk may still be under way: ask again. */
  readonly ready: boolean;
}
export interface WalkedVersion extends NameDocument {
  readonly bucketId: BucketId;
  readonly bucket: string;
  readonly key: string;
  readonly seq: number;
  readonly versionId: string;
  readonly body: string;
}

/** What the feed of name records asks of the catalog. All reject with CatalogUnavailable. */
export interface NameSource {
  /** Takes or renews the lease; null: another gateway has it. */
  leaseNames(owner: string, leaseMs: number): Promise<FeedState | null>;
  /** Under the lease; nothing happens without it. */
  saveNames(owner: string, change: Partial<Omit<FeedState, 'highest'>>): Promise<void>;
  /** A change number above all that were given and above `above`. */
  nextNameChange(above?: number): Promise<number>;
  beginWalk(pair: PairId, floor: number): Promise<WalkState>;
  saveWalk(pair: PairId, floor: number, place: Omit<WalkState, 'ready'>): Promise<void>;
  /** Directories whose versions have all been written to the nodes; of others the nodes lack what the feed says they have been told. */
  walkedPairs(): Promise<ReadonlySet<PairId>>;
  walkVersions(
    pair: PairId,
    after: Omit<WalkState, 'ready' | 'done'>,
    max: number,
  ): Promise<readonly WalkedVersion[]>;
  /** In the order asked for. */
  versionDocuments(pair: PairId, names: readonly VersionName[]): Promise<readonly NameDocument[]>;
  /** Of these buckets; all that the directory has by default. */
  bucketDocuments(pair: PairId, ids?: readonly BucketId[]): Promise<readonly NameDocument[]>;
  /** Accounts (without secrets) and quotas, which have no events of their own: by name, with their documents. */
  settingDocuments(): Promise<ReadonlyMap<string, string>>;
}
