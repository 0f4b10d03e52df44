/**
 * Which members this gateway asks last. In memory, per gateway; it decides an order and never a failover.
 *
 *   trusted --miss--> trusted (counting) --third miss in a row--> suspect --good probe or request--> trusted
 *
 * Misses further apart than `missWindowMs` do not add up. Pure: the time is an argument.
 */
import type { MemberId } from '../base/ids.ts';

export const SUSPECT_AFTER_MISSES = 3;
export const MISS_WINDOW_MS = 30_000;

interface Record {
  misses: number;
  lastMissAt: number;
}

export interface SuspicionView {
  isSuspect(member: MemberId): boolean;
}

export class Suspicion implements SuspicionView {
  readonly #records = new Map<MemberId, Record>();
  readonly #missesMax: number;
  readonly #missWindowMs: number;

  constructor(options: { missesMax?: number; missWindowMs?: number } = {}) {
    this.#missesMax = options.missesMax ?? SUSPECT_AFTER_MISSES;
    this.#missWindowMs = options.missWindowMs ?? MISS_WINDOW_MS;
  }

  /** No answer in time, or a broken one. `now` is monotonic, ms. Returns true when this made the member suspect. */
  miss(member: MemberId, now: number): boolean {
    const record = this.#records.get(member);
    if (!record) {
      this.#records.set(member, { misses: 1, lastMissAt: now });
      return this.#missesMax === 1;
    }
    const wasSuspect = record.misses >= this.#missesMax;
    const isStale = !wasSuspect && now - record.lastMissAt > this.#missWindowMs;
    record.misses = isStale ? 1 : Math.min(record.misses + 1, this.#missesMax);
    record.lastMissAt = now;
    return !wasSuspect && record.misses >= this.#missesMax;
  }

  /** Any valid answer, also a refusal. Returns true when the member was suspect. */
  good(member: MemberId): boolean {
    const wasSuspect = this.isSuspect(member);
    this.#records.delete(member);
    return wasSuspect;
  }

  isSuspect(member: MemberId): boolean {
    return (this.#records.get(member)?.misses ?? 0) >= this.#missesMax;
  }

  suspects(): readonly MemberId[] {
    return [...this.#records.keys()].filter((member) => this.isSuspect(member));
  }
}
