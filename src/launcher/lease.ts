/**
 * How a primary that is cut off stops answering before its twin takes over, without a supervisor. The standby's agent
 * gives the primary's agent leases; each is a duration, and everybody counts it by a monotonic clock from an event that
 * comes earlier the more they rely on it:
 *
 *   gateway         from when it asked the primary's agent how much is left
 *   primary's agent from when it asked for the lease
 *   standby's agent from when it gave it, and a margin for clocks that run unequally
 *
 * So whoever still trusts the primary does so before the standby takes it for over. docs/adr/0006 has the argument.
 */
import type { Clock } from '../base/clock.ts';

/** The primary's side. */
export class HeldLease {
  readonly #clock: Clock;
  #until = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param askedAt monotonic, before the question was sent */
  given(askedAt: number, leaseMs: number): void {
    this.#until = Math.max(this.#until, askedAt + leaseMs);
  }
  giveUp(): void {
    this.#until = Number.NEGATIVE_INFINITY;
  }
  get leftMs(): number {
    return Math.max(0, this.#until - this.#clock.monotonic());
  }
}

/** The standby's side. */
export class GivenLease {
  readonly #clock: Clock;
  readonly #marginMs: number;
  #overAt: number;

  /** @param earlierMs the longest lease that may have been given before this process started: it is not known when */
  constructor(clock: Clock, o: { marginMs: number; earlierMs: number }) {
    this.#clock = clock;
    this.#marginMs = o.marginMs;
    this.#overAt = clock.monotonic() + o.earlierMs + o.marginMs;
  }

  /** Before the answer is sent. */
  give(leaseMs: number): void {
    this.#overAt = Math.max(this.#overAt, this.#clock.monotonic() + leaseMs + this.#marginMs);
  }
  /** Until nobody can rely on any of them. */
  get leftMs(): number {
    return Math.max(0, this.#overAt - this.#clock.monotonic());
  }
}
