/**
 * The lines between processes. A message takes a random time (so messages overtake each other), is lost where the line
 * is cut, and comes twice now and then where the sender allows that. A line is cut in both directions, silently or
 * with a refusal. What a line did is remembered, so that a checker can ask whether it was good all the time.
 */
import type { Random } from '../../src/base/clock.ts';
import type { Trace } from './trace.ts';
import type { VirtualClock } from './virtual-clock.ts';

export type Cut = 'silent' | 'refused';
interface Line {
  cut: Cut | null;
  /** Added to every message, ms. */
  slowMs: number;
  /** When it last was not good. */
  disturbedAt: number;
}

const keyOf = (a: string, b: string): string => (a < b ? `${a}~${b}` : `${b}~${a}`);

export class Network {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #trace: Trace;
  readonly #lines = new Map<string, Line>();
  /** Machines that take and send nothing, and since when those that do have. */
  readonly #shut = new Map<string, Cut>();
  readonly #openSince = new Map<string, number>();
  /** The share of messages that are sent again after a loss: 200 ms or more late. */
  #lossRate = 0;
  #lossEndedAt = 0;
  duplicateRate = 0;

  constructor(clock: VirtualClock, random: Random, trace: Trace) {
    this.#clock = clock;
    this.#random = random;
    this.#trace = trace;
  }

  set lossRate(share: number) {
    if (this.#lossRate > 0) this.#lossEndedAt = this.#clock.monotonic();
    this.#lossRate = share;
  }

  cut(a: string, b: string, how: Cut): void {
    this.#trace.note('cut', `${keyOf(a, b)} ${how}`);
    this.#line(a, b).cut = how;
  }

  heal(a: string, b: string): void {
    const line = this.#line(a, b);
    if (!line.cut && line.slowMs === 0) return;
    this.#trace.note('heal', keyOf(a, b));
    line.disturbedAt = this.#clock.monotonic();
    line.cut = null;
    line.slowMs = 0;
  }

  slow(a: string, b: string, ms: number): void {
    this.#trace.note('slow', `${keyOf(a, b)} ${ms}`);
    this.#line(a, b).slowMs = ms;
  }

  healAll(): void {
    for (const key of [...this.#lines.keys()]) {
      const [a, b] = key.split('~');
      this.heal(a!, b!);
    }
    this.lossRate = 0;
  }

  shut(machine: string, how: Cut): void {
    this.#shut.set(machine, how);
  }

  open(machine: string): void {
    this.#shut.delete(machine);
    this.#openSince.set(machine, this.#clock.monotonic());
  }

  isCut(a: string, b: string): boolean {
    return this.#line(a, b).cut !== null;
  }

  /** Since when the line has been good; Infinity: it is not now. */
  goodSince(a: string, b: string): number {
    const { cut, slowMs, disturbedAt } = this.#line(a, b);
    if (cut !== null || slowMs > 0 || this.#lossRate > 0) return Number.POSITIVE_INFINITY;
    if (this.#shut.has(a) || this.#shut.has(b)) return Number.POSITIVE_INFINITY;
    const opened = [a, b].map((machine) => this.#openSince.get(machine) ?? 0);
    return Math.max(disturbedAt, this.#lossEndedAt, ...opened);
  }

  /** One way. Where the line is cut (at the sending or at the arrival) `refused` is called, or nothing. */
  send(
    from: string,
    to: string,
    arrive: () => void,
    options: { refused?: () => void; mayRepeat?: boolean } = {},
  ): void {
    const line = this.#line(from, to);
    const cutNow = (): Cut | null => this.#shut.get(from) ?? this.#shut.get(to) ?? line.cut;
    if (cutNow() === 'refused' && options.refused) this.#clock.after(this.#delayMs(line), options.refused);
    if (cutNow()) return;
    const deliver = () => {
      if (cutNow() === 'refused') options.refused?.();
      if (!cutNow()) arrive();
    };
    this.#clock.after(this.#delayMs(line), deliver);
    if (options.mayRepeat && this.#random() < this.duplicateRate) {
      this.#trace.note('duplicate', `${from} to ${to}`);
      this.#clock.after(this.#delayMs(line) + 1_000 * this.#random(), deliver);
    }
  }

  #delayMs(line: Line): number {
    const again = this.#random() < this.#lossRate ? 200 + 300 * this.#random() : 0;
    return 0.1 + 2 * this.#random() + line.slowMs + again;
  }

  #line(a: string, b: string): Line {
    const key = keyOf(a, b);
    let line = this.#lines.get(key);
    if (!line) {
      line = { cut: null, slowMs: 0, disturbedAt: 0 };
      this.#lines.set(key, line);
    }
    return line;
  }
}
