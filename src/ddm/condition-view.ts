/**
 * What one gateway knows of the conditions: the root pair's record as it was read last, at most about `pollMs` old while
 * the root answers. One question at a time for all callers. When the root is away, what is known stays: a gateway goes on
 * by it, and declares nothing (that needs the root). An older epoch never replaces a younger one.
 */
import type { Logger } from 'pino';
import { type Clock, OVER, type Random } from '../base/clock.ts';
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import { type Conditions, type ConditionView, FIRST_EPOCH, type RecordedState } from '../twin/condition.ts';

export interface ConditionViewOptions {
  readonly read: () => Promise<Conditions>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly pollMs?: number;
  /** Of one question to the root. */
  readonly deadlineMs?: number;
}

const POLL_MS = 1_000;
const DEADLINE_MS = 1_500;

export class CachedConditions implements ConditionView {
  readonly #o: ConditionViewOptions;
  readonly #stop = new AbortController();
  readonly #polling: Promise<void>;
  #known: Conditions;
  #readAt: number;
  #isAway = false;
  #reading: Promise<void> | null = null;

  constructor(initial: Conditions, options: ConditionViewOptions) {
    this.#o = options;
    this.#known = initial;
    this.#readAt = options.clock.monotonic();
    this.#polling = this.#poll().catch(() => {
      // The sleep was aborted: that is how the loop ends.
    });
  }

  current(): Conditions {
    return this.#known;
  }
  stateOf(member: MemberId): RecordedState {
    return this.#known.members.get(member)?.state ?? 'serving';
  }
  epochOf(pair: PairId): Epoch {
    return this.#known.pairEpochs.get(pair) ?? FIRST_EPOCH;
  }
  isCenterOut(center: string): boolean {
    return this.#known.centers.get(center)?.state === 'failed-over';
  }
  /** Since the root was last heard. */
  get ageMs(): number {
    return this.#o.clock.monotonic() - this.#readAt;
  }

  async reload(atLeast?: Epoch): Promise<Conditions> {
    const isEnough = () => atLeast !== undefined && this.#known.epoch >= atLeast;
    if (isEnough()) return this.#known;
    // A question under way may have been answered before what the caller has heard of: only for an epoch is it worth a look.
    if (this.#reading && atLeast !== undefined) {
      await this.#reading;
      if (isEnough()) return this.#known;
    }
    await this.#readAnew();
    return this.#known;
  }

  /** A record that came with the answer to a change. */
  take(conditions: Conditions): void {
    const before = this.#known;
    if (conditions.epoch < before.epoch) return;
    this.#known = conditions;
    if (conditions.epoch > before.epoch)
      this.#o.log.info({ epoch: conditions.epoch, out: namesOut(conditions) }, 'conditions have changed');
  }

  async close(): Promise<void> {
    this.#stop.abort(OVER);
    await this.#polling;
  }

  /** By a question that begins after this call; all who wait for the next one share it. */
  #readAnew(): Promise<void> {
    if (!this.#reading) return this.#read();
    return this.#reading.then(() => this.#reading ?? this.#read());
  }

  #read(): Promise<void> {
    this.#reading = this.#ask().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #ask(): Promise<void> {
    const { clock, read, deadlineMs = DEADLINE_MS, log } = this.#o;
    try {
      this.take(await within(clock, deadlineMs, read()));
      this.#readAt = clock.monotonic();
      if (this.#isAway) log.info('the root pair answers again');
      this.#isAway = false;
    } catch (error) {
      if (!this.#isAway)
        log.warn({ err: error }, 'the root pair does not answer; the conditions stay as known');
      this.#isAway = true;
    }
  }

  async #poll(): Promise<never> {
    const { clock, random, pollMs = POLL_MS } = this.#o;
    for (;;) {
      await clock.sleep(pollMs * (0.75 + random() / 2), this.#stop.signal);
      await (this.#reading ?? this.#read());
    }
  }
}

const namesOut = ({ members }: Conditions): readonly string[] =>
  [...members.values()].filter(({ state }) => state !== 'serving').map((m) => `${m.member} ${m.state}`);
