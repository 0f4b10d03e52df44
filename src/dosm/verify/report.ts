/** What `verify` says: exceptions as they are found, progress now and then, and a last line with the counts. Types alone. */
import type { BlobId, MemberId } from '../../base/ids.ts';

export type ExceptionKind =
  | 'missing' // a member that should have the blob does not
  | 'different' // it has a blob of this id with another length or digest
  | 'corrupt' // its bytes do not verify (deep)
  | 'handoff-missing' // a recorded handoff is not where the record says
  | 'stray' // a replica on a member that neither the map nor the record names
  | 'unknown-blob' // confirmed on a member, and no row of any directory names it
  | 'no-pair'; // the row names a pair that the topology does not have

export interface VerifyException {
  readonly type: 'exception';
  readonly kind: ExceptionKind;
  readonly blob: BlobId;
  readonly member: MemberId | null;
}
export interface VerifyProgress {
  readonly type: 'progress';
  /** 0 … 1, of the space of ids. */
  readonly done: number;
  readonly blobs: number;
}
/** A member whose inventory could not be read: what it has is unknown. */
export interface VerifyUnanswered {
  readonly type: 'unanswered';
  readonly member: MemberId;
  readonly reason: string;
}
export interface VerifySummary {
  readonly type: 'summary';
  readonly objects: number;
  readonly blobs: number;
  /** Proper ones, on the map. */
  readonly replicas: number;
  /** Recorded, and where the record says. */
  readonly handoffs: number;
  readonly exceptions: number;
  /** Replicas that should be on members that did not answer or do not serve. */
  readonly unknown: number;
  /** Writes under way, and what died and is being reclaimed: neither is an exception. */
  readonly inFlight: number;
}
export type VerifyLine = VerifyException | VerifyProgress | VerifyUnanswered | VerifySummary;
