/**
 * Asking members who has something that is not where the map says: the contract of both transports. Knows nothing of
 * what is looked for: a subject is opaque bytes, and what a member says of it (`detail`) is opaque too.
 *
 * One question goes to one center: by multicast it is exactly one datagram to the center's group, point to point one
 * question to each member. Questions and answers are authenticated (HMAC over nonce, epoch and content, both ways); an
 * answer with another nonce, a bad MAC, an epoch below the member's, or a second one of a member is ignored. Members in
 * failover are left out: they are not asked point to point, and the datagram names them, so that they keep silent.
 * An answer is a hint: whoever uses it verifies the bytes.
 */
import type { Epoch, MemberId } from '../base/ids.ts';

export type SearchTransport = 'multicast' | 'point-to-point';
/** `auto`: multicast first, then point to point for the members that did not answer. */
export type SearchMode = SearchTransport | 'auto';

export interface SearchQuestion {
  readonly kind: 'blob' | 'bucket';
  /** E.g. a blob id, or a bucket's name. At most 128 bytes of UTF-8. */
  readonly subject: string;
  readonly center: string;
  /** Members of the center whose answers are awaited. */
  readonly members: readonly MemberId[];
  /** Members of the center that must not answer. */
  readonly leftOut: readonly MemberId[];
  /** The cluster's epoch as the asker knows it. */
  readonly epoch: Epoch;
  /** Whether this answer ends the search: others are then hardly waited for. Absent: everybody's answer is awaited. */
  readonly isEnough?: (answer: SearchAnswer) => boolean;
}

/** What one member said. `detail` is JSON and means something to the asker of that kind alone. */
export interface SearchAnswer {
  readonly member: MemberId;
  readonly has: boolean;
  readonly detail?: unknown;
}

export type AskedState =
  | 'has'
  | 'has-not'
  | 'silent' // asked, and no valid answer in time
  | 'left-out'; // in failover: not asked

/** What happened in one step, for the trace of `locate`. */
export interface SearchStep {
  readonly center: string;
  /** `none`: nobody was asked, since everybody is left out. */
  readonly transport: SearchTransport | 'none';
  readonly asked: readonly { readonly member: MemberId; readonly state: AskedState }[];
  readonly answers: readonly SearchAnswer[];
  /** A member refused because its epoch is above the asker's: the asker should read the record and ask again. */
  readonly staleAt?: Epoch;
  readonly ms: number;
}

/** Asks one center once. Never rejects: what cannot be sent is `silent`. Bounded by its deadline and the signal. */
export interface Searcher {
  ask(question: SearchQuestion, signal?: AbortSignal): Promise<readonly SearchStep[]>;
  close(): Promise<void>;
}
