/**
 * Notifications that wait for their webhooks, per directory pair. They are put there from the change feed in the transaction
 * that advances the feed's reader, so that each event stands there once; the target's lease says which gateway delivers. A
 * key's events to a target wait one behind the other: only the first of them is ever handed out.
 */
import type { PairId } from '../base/ids.ts';
import type { BucketRecord, Position } from './change-feed.ts';

export const NOTIFICATIONS_READER = 'notifications';

export interface NewNotification {
  readonly target: string;
  readonly bucketId: number;
  readonly bucket: string;
  readonly key: string;
  /** The change's; stable, so that receivers can tell a repetition. */
  readonly event: string;
  /** `ObjectCreated:Put`, `s3:TestEvent`. */
  readonly name: string;
  readonly at: Date;
  /** What is sent. */
  readonly body: string;
}
export interface QueuedNotification extends NewNotification {
  readonly id: number;
  readonly attempts: number;
  readonly queuedAt: Date;
}
/** A page of the feed, dealt with. */
export interface FannedOut {
  readonly from: Position;
  readonly to: Position;
  /** Buckets whose record has changed; null: it has no configuration any more. */
  readonly buckets: ReadonlyMap<number, BucketRecord | null>;
  readonly notifications: readonly NewNotification[];
}
export interface Attempted {
  readonly delivered: readonly number[];
  readonly failed: readonly { readonly id: number; readonly error: string; readonly dueInMs: number }[];
  readonly dead: readonly { readonly id: number; readonly error: string }[];
}
export interface DeadLetter extends NewNotification {
  readonly pair: PairId;
  readonly id: number;
  readonly attempts: number;
  readonly diedAt: Date;
  readonly error: string;
}
export interface DeadLetterQuery {
  readonly target?: string | undefined;
  readonly bucket?: string | undefined;
  /** One change's. */
  readonly event?: string | undefined;
}
export interface TargetBacklog {
  readonly pair: PairId;
  readonly target: string;
  /** Counted up to BACKLOG_COUNTED_MAX each. */
  readonly queued: number;
  readonly oldestAt?: Date;
  readonly dead: number;
}
export const BACKLOG_COUNTED_MAX = 10_000;

/** All reject with CatalogUnavailable when the pair cannot be reached. */
export interface NotificationQueue {
  /** Takes or renews the lease of a target, or of the feed (target ''). False: another gateway has it. */
  leaseNotifications(pair: PairId, target: string, owner: string, leaseMs: number): Promise<boolean>;
  /** Makes the reader of the feed, and notes the buckets that have a configuration, unless that has been done. */
  openNotifications(pair: PairId): Promise<void>;
  /** Buckets with a configuration, as they were at the reader's place. */
  notificationBuckets(pair: PairId): Promise<readonly BucketRecord[]>;
  /** False: the reader is not at `from` any more, and nothing was done. */
  queueNotifications(pair: PairId, page: FannedOut): Promise<boolean>;
  /** After a gap: goes on behind it, with the configurations of now. */
  skipNotifications(pair: PairId, to: Position): Promise<void>;
  /** What is due, the first of their keys alone, the longest due first. */
  dueNotifications(
    pair: PairId,
    target: string,
    without: readonly number[],
    max: number,
  ): Promise<readonly QueuedNotification[]>;
  /** False: the lease is another gateway's, and nothing was done. */
  settleNotifications(pair: PairId, target: string, owner: string, attempted: Attempted): Promise<boolean>;
  /** Dead letters of before then are forgotten. Whether there may be more of them. */
  trimDeadLetters(pair: PairId, keepMs: number, max: number): Promise<boolean>;
  notificationBacklog(): Promise<readonly TargetBacklog[]>;

  /** For people. Newest first. */
  listDeadLetters(query: DeadLetterQuery, max: number): Promise<readonly DeadLetter[]>;
  /** Behind what waits for the same key. How many. */
  redeliverDeadLetters(query: DeadLetterQuery): Promise<number>;
  dropDeadLetters(query: DeadLetterQuery): Promise<number>;
}
