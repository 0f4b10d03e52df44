/**
 * Timers that tell a dead node from a busy one, and a late answer from an event loop that is late itself.
 * A deadline runs only while somebody waits and starts anew with every sign of life of its own call. When it expires,
 * what the sockets hold is read first; and while the node shows life on other calls, the wait goes on, up to
 * PATIENCE times the deadline: a dead node is silent on all of them, so it is found out no later.
 */
import type { Clock } from '../../base/clock.ts';

const PATIENCE = 5;

/** When a node was last heard of, on any call. */
export class Life {
  readonly #clock: Clock;
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  silentMs(): number {
    return this.#clock.monotonic() - this.#heardAt;
  }
}

export class Deadline {
  readonly #life: Life;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #check: ReturnType<typeof setImmediate> | null = null;
  #ms = 0;
  #armedMs = 0;
  #waited = 0;
  #expired: () => void = () => {};

  constructor(life: Life) {
    this.#life = life;
  }

  start(ms: number, expired: () => void): void {
    this.stop();
    this.#ms = ms;
    this.#expired = expired;
    this.#arm(ms);
  }

  /** A sign of life on this call; does nothing while nobody waits. */
  refresh(): void {
    if (this.#timer && this.#armedMs === this.#ms) {
      this.#waited = 0;
      this.#timer.refresh();
    } else if (this.#timer || this.#check) this.start(this.#ms, this.#expired);
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#check) clearImmediate(this.#check);
    this.#timer = null;
    this.#check = null;
    this.#waited = 0;
  }

  #arm(ms: number): void {
    this.#armedMs = ms;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#waited += ms;
      // Timers run before sockets are read: an answer may be there already.
      this.#check = setImmediate(() => {
        this.#check = null;
        this.#judge();
      });
    }, ms);
  }

  #judge(): void {
    const left = this.#ms - this.#life.silentMs();
    if (left > 0 && this.#waited < PATIENCE * this.#ms) this.#arm(Math.max(1, Math.ceil(left)));
    else {
      this.#waited = 0;
      this.#expired();
    }
  }
}
