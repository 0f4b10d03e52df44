/**
 * What one gateway has seen of each member: whom it asks last, for how long nothing good came from one, and for how long
 * nothing bad. In memory, per gateway. Requests and probes report here alike; it decides nothing but the order of asking.
 *
 *   trusted --miss--> trusted (counting) --third miss in a row--> suspect --good probe or request--> trusted
 *   trusted --silence to a request's deadline--> suspect
 *
 * Misses further apart than `missWindowMs` do not add up. Pure: the time (monotonic, ms) is an argument.
 */
import type { MemberId } from '../base/ids.ts';

export const SUSPECT_AFTER_MISSES = 3;
export const MISS_WINDOW_MS = 30_000;

interface Record {
  misses: number;
  lastMissAt: number;
  /** The last good answer, or when watching began (again). */
  silentSince: number;
  lastGoodAt: number | null;
  /** The first good answer since the last miss; null after a miss. */
  goodSince: number | null;
}

/** What has been seen of one member, in ms before the moment that was asked about. */
export interface Pulse {
  readonly isSuspect: boolean;
  /** Without any good answer. */
  readonly silentMs: number;
  /** Since the last good answer; null: there was none. */
  readonly goodAgoMs: number | null;
  /** With good answers and without a miss. */
  readonly goodForMs: number;
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

  /**
   * Silence counts from now on: watching begins, or begins again after a pause of our own (a process that was stopped
   * has heard nobody, and that speaks against nobody).
   */
  watch(member: MemberId, now: number): void {
    const record = this.#of(member, now);
    record.silentSince = now;
    record.misses = 0;
    record.goodSince = null;
  }

  /** No answer in time, or a broken one. Returns true when this made the member suspect. */
  miss(member: MemberId, now: number): boolean {
    const record = this.#of(member, now);
    const wasSuspect = record.misses >= this.#missesMax;
    const isStale = !wasSuspect && now - record.lastMissAt > this.#missWindowMs;
    record.misses = isStale ? 1 : Math.min(record.misses + 1, this.#missesMax);
    record.lastMissAt = now;
    record.goodSince = null;
    return !wasSuspect && record.misses >= this.#missesMax;
  }

  /** A miss that says enough by itself. Returns true when this made the member suspect. */
  suspect(member: MemberId, now: number): boolean {
    const record = this.#of(member, now);
    const wasSuspect = record.misses >= this.#missesMax;
    record.misses = this.#missesMax;
    record.lastMissAt = now;
    record.goodSince = null;
    return !wasSuspect;
  }

  /** Any valid answer, also a refusal. Returns true when the member was suspect. */
  good(member: MemberId, now: number): boolean {
    const record = this.#of(member, now);
    const wasSuspect = record.misses >= this.#missesMax;
    record.misses = 0;
    record.silentSince = now;
    record.lastGoodAt = now;
    record.goodSince ??= now;
    return wasSuspect;
  }

  isSuspect(member: MemberId): boolean {
    return (this.#records.get(member)?.misses ?? 0) >= this.#missesMax;
  }

  suspects(): readonly MemberId[] {
    return [...this.#records.keys()].filter((member) => this.isSuspect(member));
  }

  pulse(member: MemberId, now: number): Pulse {
    const record = this.#records.get(member);
    if (!record) return { isSuspect: false, silentMs: 0, goodAgoMs: null, goodForMs: 0 };
    return {
      isSuspect: this.isSuspect(member),
      silentMs: now - record.silentSince,
      goodAgoMs: record.lastGoodAt === null ? null : now - record.lastGoodAt,
      goodForMs: record.goodSince === null ? 0 : now - record.goodSince,
    };
  }

  #of(member: MemberId, now: number): Record {
    let record = this.#records.get(member);
    if (!record) {
      record = {
        misses: 0,
        lastMissAt: Number.NEGATIVE_INFINITY,
        silentSince: now,
        lastGoodAt: null,
        goodSince: null,
      };
      this.#records.set(member, record);
    }
    return record;
  }
}
