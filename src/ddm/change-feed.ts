/**
 * The change feed: every change of the namespace, read from the outbox that each directory pair keeps of its own buckets.
 *
 * - At least once: a change has an id that stays the same however often it is read.
 * - In order per key, and a bucket's own changes in order with those of its keys. Between keys the order is one that
 *   never changes, but not that of commits. Between directory pairs there is none.
 * - Complete: a position says that everything before it has been read, whatever was under way then. What is read has been
 *   committed, on the twin too, so that positions outlive a promotion. (Why: migrations/0021_feed.sql.)
 * - A named consumer's place is durable and keeps what it has not read from being trimmed, up to a stated age; what is
 *   trimmed all the same it is told as a gap, again and again until it has gone on behind it.
 * Positions mean something in their pair alone; after a restore to a point in time those later than it mean nothing.
 */
import type { BucketId, PairId } from '../base/ids.ts';
import type { Cause } from './catalog.ts';

/** `TRANSACTION-NUMBER`, two decimal numbers: what stands at it and before it has been read. */
export type Position = string & { readonly __position: true };
/** `now`: what is committed from now on (and what is under way). `beginning`: what is still kept. */
export type FeedStart = 'now' | 'beginning' | Position;

export const CHANGE_KINDS = [
  'put',
  'delete-marker',
  'delete',
  'tags',
  'retention',
  'legal-hold',
  'acl',
  'encryption',
  'storage-class',
  'bucket-created',
  'bucket-changed',
  'bucket-deleted',
  // A bucket that moves to another directory pair goes on in that pair's feed.
  'bucket-arrived',
  'bucket-left',
] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** A bucket as it was after its change (before it, where it went away). */
export interface BucketRecord {
  readonly id: number;
  readonly name: string;
  readonly owner: string;
  readonly region: string;
  readonly createdAtMs: number;
  readonly versioning: 'unversioned' | 'enabled' | 'suspended';
  readonly objectLock: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface Change {
  readonly pair: PairId;
  /** Stable: the id of the write, or one given to a bucket's change. */
  readonly event: string;
  readonly position: Position;
  /** Rises with every change of a key: of two, the higher one came later. */
  readonly number: number;
  readonly at: Date;
  readonly kind: ChangeKind;
  readonly bucketId: BucketId;
  readonly bucket: string;
  /** Not of a bucket's own changes. */
  readonly key?: string;
  /** Of the version that came, went or was changed; 'null' takes the place of the one that was called so. */
  readonly versionId?: string;
  /** Of a delete: what was removed was a delete marker. */
  readonly deleteMarker?: boolean;
  /** Of what was put. */
  readonly size?: number;
  readonly etag?: string;
  readonly bucketRecord?: BucketRecord;
  readonly cause?: Cause;
}

export interface Gap {
  /** Changes with the gap itself: it grew. */
  readonly event: string;
  readonly from: Position;
  readonly to: Position;
  /** How many changes were trimmed unread; null where nobody counted (a reader without a name). */
  readonly changes: number | null;
}

export interface ChangePage {
  readonly pair: PairId;
  /** Then there are no changes with it. Advance to its end, and read on from there. */
  readonly gap?: Gap;
  readonly changes: readonly Change[];
  /** To advance to once all of this is dealt with, and to read on from. */
  readonly position: Position;
  /** Whether there is more to be had at once. */
  readonly more: boolean;
}

export interface ChangeQuery {
  /** A consumer: its gap is told, and without `after` it is read from its place. */
  readonly reader?: string;
  readonly after?: Position;
  readonly max: number;
}

export interface ReaderState {
  readonly pair: PairId;
  readonly name: string;
  readonly position: Position;
  readonly createdAt: Date;
  readonly advancedAt: Date;
  /** Changes that it has not read, counted up to UNREAD_COUNTED_MAX. */
  readonly unread: number;
  /** When the first of them was made. */
  readonly unreadSince?: Date;
  /** Trimmed unread, and not yet passed. */
  readonly gapChanges?: number;
}
export const UNREAD_COUNTED_MAX = 10_000;
export const CHANGES_AT_ONCE_MAX = 1_000;
export const READER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export class NoSuchReader extends Error {
  override readonly name = 'NoSuchReader';
}

/** All reject with CatalogUnavailable when the pair cannot be reached. */
export interface ChangeFeed {
  /** Each pair has a feed of its own. */
  feedPairs(): readonly PairId[];
  /** Makes a consumer, or finds it: then `from` means nothing. Answers its place. */
  openReader(pair: PairId, name: string, from: FeedStart): Promise<Position>;
  /** @throws {NoSuchReader} @throws {TypeError} neither a consumer nor a position */
  readChanges(pair: PairId, query: ChangeQuery): Promise<ChangePage>;
  /** Never goes back. @throws {NoSuchReader} */
  advanceReader(pair: PairId, name: string, position: Position): Promise<void>;
  /** Of every pair, by name. */
  listReaders(): Promise<readonly ReaderState[]>;
  /** In every pair. Whether there was one. */
  dropReader(name: string): Promise<boolean>;
  feedStart(pair: PairId, from: 'now' | 'beginning'): Promise<Position>;
}

const POSITION = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,18})$/;

export function isPosition(text: FeedStart): text is Position {
  return POSITION.test(text);
}
export function splitPosition(position: Position): readonly [tx: string, id: string] {
  const parts = POSITION.exec(position);
  if (!parts) throw new TypeError('not a position of the feed');
  return [parts[1]!, parts[2]!];
}
export const positionOf = (tx: unknown, id: unknown): Position => `${String(tx)}-${String(id)}` as Position;

/** Below 0: `a` comes first. */
export function comparePositions(a: Position, b: Position): number {
  const [aTx, aId] = splitPosition(a).map(BigInt) as [bigint, bigint];
  const [bTx, bId] = splitPosition(b).map(BigInt) as [bigint, bigint];
  if (aTx !== bTx) return aTx < bTx ? -1 : 1;
  return aId < bId ? -1 : aId > bId ? 1 : 0;
}
