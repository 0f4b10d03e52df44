/**
 * One gateway's eye on the members: probes each about every `probeMs` (the answers of requests count as well, through
 * `suspicion`), asks the root for the changes that judge.ts concludes, and makes every member that answers stand as the
 * record says: admits it, fences it, tells it the pair's epoch. Any number of gateways do the same at once: the record
 * decides by compare-and-set, and what is told is the record's. Without the root nothing is declared.
 *
 * Knows nothing of what the members keep: probes, declarations and the telling are arguments.
 */
import type { Logger } from 'pino';
import { type Clock, OVER, type Random } from '../base/clock.ts';
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { ConditionView } from './condition.ts';
import {
  admission,
  type Declaration,
  type Heard,
  type JudgeTimings,
  judge,
  type Stance,
  type Watched,
} from './judge.ts';
import { Lanes } from './lanes.ts';
import type { Suspicion } from './suspicion.ts';

export interface MonitorTimings extends JudgeTimings {
  readonly probeMs: number;
  /** Of one probe, and of one telling. */
  readonly probeDeadlineMs: number;
  /** After an unanswered question to the root, the next one. */
  readonly retryMs: number;
}

export const MONITOR_TIMINGS: MonitorTimings = {
  probeMs: 500,
  probeDeadlineMs: 1_250,
  failAfterMs: 5_000,
  backAfterMs: 10_000,
  freshMs: 2_000,
  gatherMs: 1_500,
  retryMs: 1_000,
};

/** Why a change was not made. */
export interface Refusal {
  readonly reason: string;
  readonly detail?: string;
}

export interface MonitorOptions {
  readonly watched: readonly Watched[];
  readonly conditions: ConditionView;
  /** Shared with those who send requests. */
  readonly suspicion: Suspicion;
  /** Rejects when the member does not answer well. */
  readonly probe: (member: MemberId, signal: AbortSignal) => Promise<Heard>;
  /** Sets the member's stance, durably. Rejects when it cannot; an error's `epoch` is the younger one that the member knows. */
  readonly tell: (member: MemberId, told: { state: Stance; epoch: Epoch }) => Promise<Heard>;
  /** Asks the root, and brings the view up to date. null: done. Rejects when the root gives no answer. */
  readonly declare: (declaration: Declaration) => Promise<Refusal | null>;
  /** Records the data folder of a member that serves and has none recorded; the view is up to date afterwards. */
  readonly adoptStore: (member: MemberId, storeId: string) => Promise<void>;
  /** The record has been read anew and the member still knows a later epoch of its pair: it goes on above that one. */
  readonly raiseEpoch?: (pair: PairId, known: Epoch) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly timings?: Partial<MonitorTimings>;
}

export interface Monitor {
  /** The last word of a member. */
  heard(member: MemberId): Heard | null;
  /** Why a member that answers is not admitted, if it is not. */
  notAdmitted(member: MemberId): string | null;
  /** Tells members now what the record says of them: after a change that somebody else in this process has made. */
  spread(members: readonly MemberId[]): Promise<void>;
  /**
   * Resolves when every member that serves by the record stands so or is refused, at the latest after `ms`, with those that
   * do not.
   */
  settled(ms: number): Promise<readonly MemberId[]>;
  /** Members that have joined. Those that are watched already go on as they are. */
  watch(more: readonly Watched[]): void;
  close(): Promise<void>;
}

const PROBES_AT_ONCE = 256;
const SETTLE_POLL_MS = 25;
/** A sleep that took so much longer than asked for: this process stood still, and heard nobody meanwhile. */
const PAUSE_MS = 1_500;
/** Adopt, then tell; reload, then tell. */
const STEPS_MAX = 3;

export function startMonitor(options: MonitorOptions): Monitor {
  return new Watch(options);
}

class Watch implements Monitor {
  readonly #o: MonitorOptions;
  readonly #timings: MonitorTimings;
  readonly #stop = new AbortController();
  readonly #lanes = new Lanes(PROBES_AT_ONCE);
  readonly #heard = new Map<MemberId, Heard>();
  readonly #refused = new Map<MemberId, string>();
  readonly #watched: Map<MemberId, Watched>;
  readonly #running: Promise<void>[];
  #isRootAway = false;

  constructor(options: MonitorOptions) {
    this.#o = options;
    this.#timings = { ...MONITOR_TIMINGS, ...options.timings };
    this.#watched = new Map(options.watched.map((w) => [w.member, w]));
    this.#beginAnew();
    const loops = [...options.watched.map((w) => this.#watch(w)), this.#judge()];
    this.#running = loops.map((loop) => this.#toItsEnd(loop));
  }

  async #toItsEnd(loop: Promise<never>): Promise<void> {
    await loop.catch((error: unknown) => {
      // The sleep was aborted: that is how a loop ends.
      if (!this.#stop.signal.aborted) this.#o.log.warn({ err: error }, 'a watch has ended');
    });
  }

  watch(more: readonly Watched[]): void {
    for (const w of more) {
      if (this.#watched.has(w.member) || this.#stop.signal.aborted) continue;
      this.#watched.set(w.member, w);
      this.#o.suspicion.watch(w.member, this.#o.clock.monotonic());
      this.#running.push(this.#toItsEnd(this.#watch(w)));
    }
  }

  heard(member: MemberId): Heard | null {
    return this.#heard.get(member) ?? null;
  }

  notAdmitted(member: MemberId): string | null {
    return this.#refused.get(member) ?? null;
  }

  async spread(members: readonly MemberId[]): Promise<void> {
    await Promise.all(
      members.map(async (member) => {
        const w = this.#watched.get(member);
        if (w) await this.#ask(w);
      }),
    );
  }

  async settled(ms: number): Promise<readonly MemberId[]> {
    const { clock, conditions } = this.#o;
    const until = clock.monotonic() + ms;
    for (;;) {
      const missing = [...this.#watched.values()]
        .map((w) => w.member)
        .filter((m) => conditions.stateOf(m) === 'serving' && !this.#standsServing(m));
      const areRefused = missing.every((member) => this.#refused.has(member));
      if (areRefused || clock.monotonic() >= until) return missing;
      await clock.sleep(SETTLE_POLL_MS, this.#stop.signal);
    }
  }

  /** A member that says nothing of its stance has none: it takes every request. */
  #standsServing(member: MemberId): boolean {
    const heard = this.#heard.get(member);
    return heard !== undefined && (heard.state ?? 'serving') === 'serving';
  }

  async close(): Promise<void> {
    this.#stop.abort(OVER);
    await Promise.all(this.#running);
  }

  async #watch(w: Watched): Promise<never> {
    const { clock, random } = this.#o;
    const { probeMs } = this.#timings;
    for (;;) {
      const nextAt = clock.monotonic() + probeMs * (0.75 + random() / 2);
      await this.#lanes.run(() => this.#ask(w));
      await clock.sleep(Math.max(nextAt - clock.monotonic(), probeMs / 10), this.#stop.signal);
    }
  }

  /** One probe; what the answer calls for follows at once. */
  async #ask(w: Watched): Promise<void> {
    const { suspicion, clock, log } = this.#o;
    const { member } = w;
    try {
      const heard = await this.#bounded((signal) => this.#o.probe(member, signal));
      this.#heard.set(member, heard);
      if (suspicion.good(member, clock.monotonic())) log.info({ member }, 'answers again');
      await this.#makeStand(w, heard);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (suspicion.miss(member, clock.monotonic()))
        log.warn({ member, err: error }, 'is suspect: it is asked last until it answers');
    }
  }

  /** Never rejects. */
  async #makeStand(w: Watched, heard: Heard): Promise<void> {
    const { conditions, log } = this.#o;
    const { member } = w;
    try {
      for (let step = 0; step < STEPS_MAX; step += 1) {
        const next = admission(conditions.current(), w, heard);
        if (next.do === 'refuse') {
          if (!this.#refused.has(member)) log.warn({ member, why: next.why }, 'is not admitted');
          this.#refused.set(member, next.why);
          return;
        }
        this.#refused.delete(member);
        if (next.do === 'nothing') return;
        if (next.do === 'reload') await this.#follow(w.pair, next.epoch);
        if (next.do === 'adopt') await this.#o.adoptStore(member, next.storeId);
        if (next.do !== 'tell') continue;
        const { state, epoch } = next;
        const answer = await this.#bounded(() => this.#o.tell(member, { state, epoch }));
        this.#heard.set(member, answer);
        log.info({ member, state, epoch }, 'was told its condition');
        return;
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const younger = (error as { epoch?: Epoch }).epoch;
      if (younger !== undefined) await conditions.reload(younger);
      else log.warn({ member, err: error }, 'could not be told its condition');
    }
  }

  /** A member knows a later epoch of its pair than we do. */
  async #follow(pair: PairId, known: Epoch): Promise<void> {
    const { conditions, raiseEpoch } = this.#o;
    await conditions.reload(known);
    if (raiseEpoch && conditions.epochOf(pair) < known) await raiseEpoch(pair, known);
  }

  async #judge(): Promise<never> {
    const { clock, conditions, suspicion } = this.#o;
    const timings = this.#timings;
    const tickMs = timings.probeMs / 2;
    for (;;) {
      const sleptAt = clock.monotonic();
      await clock.sleep(tickMs, this.#stop.signal);
      const now = clock.monotonic();
      if (now - sleptAt > tickMs + PAUSE_MS) {
        this.#beginAnew();
        continue;
      }
      const changes = judge({
        conditions: conditions.current(),
        watched: [...this.#watched.values()],
        pulseOf: (member) => suspicion.pulse(member, now),
        heardOf: (member) => this.heard(member),
        timings,
      });
      for (const change of changes) {
        if (!(await this.#declare(change))) break;
      }
    }
  }

  /** False: the root did not answer. */
  async #declare(change: Declaration): Promise<boolean> {
    const { log, clock, conditions } = this.#o;
    const { subject, to, why } = change;
    const name = subject.kind === 'member' ? subject.member : `center ${subject.center}`;
    try {
      const refusal = await this.#o.declare(change);
      this.#isRootAway = false;
      if (refusal) {
        log.warn({ subject: name, to, why, ...refusal }, 'the root refuses the change of condition');
        await conditions.reload();
        await clock.sleep(this.#timings.probeMs, this.#stop.signal);
        return true;
      }
      log.warn({ subject: name, to, why, epoch: conditions.current().epoch }, 'condition changed');
      void this.spread(this.#pairsOf(change)).catch(() => {
        // Never rejects but at the end of the watch.
      });
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) throw error;
      if (!this.#isRootAway)
        log.warn({ subject: name, to, why, err: error }, 'the root does not answer: nothing is declared');
      this.#isRootAway = true;
      await clock.sleep(this.#timings.retryMs, this.#stop.signal);
      return false;
    }
  }

  /** Both members of every pair that a change is about. */
  #pairsOf({ subject }: Declaration): readonly MemberId[] {
    const own = [...this.#watched.values()].filter((w) =>
      subject.kind === 'member' ? w.member === subject.member : w.center === subject.center,
    );
    return own.flatMap((w) => [w.twin, w.member]);
  }

  #beginAnew(): void {
    const now = this.#o.clock.monotonic();
    for (const member of this.#watched.keys()) this.#o.suspicion.watch(member, now);
  }

  async #bounded<T>(question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, over.signal]);
    try {
      return await within(this.#o.clock, this.#timings.probeDeadlineMs, question(signal));
    } finally {
      over.abort(OVER);
    }
  }
}
