/**
 * Which outcomes of requests speak for or against a node. A node that refuses, resets or stalls has missed;
 * one that answers "not found", "full", "corrupt" or "fenced" has answered. What we broke off ourselves says nothing.
 *
 * A request that waited its whole deadline makes the node suspect at once: the next one must not pay it again (a
 * refused connection costs nothing and counts as one miss of three). Being suspect only decides an order, and a probe
 * a second later ends it; a failover is declared by the monitor alone, with its own patience.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { NodeError, NodeErrorKind } from '../nodes/protocol.ts';
import type { Suspicion } from '../twin/suspicion.ts';

const IS_MISS: Readonly<Record<NodeErrorKind, boolean>> = {
  unreachable: true,
  timeout: true,
  protocol: true,
  fenced: false,
  'not-found': false,
  corrupt: false,
  full: false,
  'stale-epoch': false,
  unauthorized: false,
  conflict: false,
  aborted: false,
};

export class NodeHealth {
  readonly #suspicion: Suspicion;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'info' | 'warn'>;

  constructor(suspicion: Suspicion, clock: Clock, log: Pick<Logger, 'info' | 'warn'>) {
    this.#suspicion = suspicion;
    this.#clock = clock;
    this.#log = log;
  }

  isSuspect(member: MemberId): boolean {
    return this.#suspicion.isSuspect(member);
  }

  /** A whole request went well. */
  good(member: MemberId): void {
    if (this.#suspicion.good(member, this.#clock.monotonic()))
      this.#log.info({ member }, 'node answers again');
  }

  failed(error: NodeError): void {
    const { kind, member, message } = error;
    const now = this.#clock.monotonic();
    if (kind === 'timeout') this.#tell(this.#suspicion.suspect(member, now), member, message);
    else if (IS_MISS[kind]) this.#tell(this.#suspicion.miss(member, now), member, message);
  }

  /** The other replica was faster than this one's first byte, which was late. */
  slow(member: MemberId): void {
    this.#tell(this.#suspicion.miss(member, this.#clock.monotonic()), member, 'slow first byte');
  }

  #tell(isNew: boolean, member: MemberId, reason: string): void {
    if (isNew)
      this.#log.warn({ member, reason }, 'node is suspect: it is asked last until it answers a probe');
  }
}
