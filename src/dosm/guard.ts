/**
 * Ends every wait of one operation when its caller gives up or its time is over. A plain Promise.race with a
 * long-lived promise would keep each raced value (a chunk) alive until the end; this keeps only what is pending.
 */
import { type Clock, OVER } from '../base/clock.ts';

export { OVER };

export class Guard {
  readonly #ended = new AbortController();
  readonly #stop = new AbortController();
  readonly #pending = new Set<(reason: unknown) => void>();
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.#end(this.#outer!.reason);

  constructor(o: { clock: Clock; deadlineMs: number; late: () => Error; signal?: AbortSignal | undefined }) {
    this.#outer = o.signal;
    if (o.signal?.aborted) this.#end(o.signal.reason);
    else o.signal?.addEventListener('abort', this.#onOuterAbort, { once: true });
    o.clock.sleep(o.deadlineMs, this.#stop.signal).then(
      () => this.#end(o.late()),
      () => {},
    );
  }

  /** Aborted when the operation must end; the reason is the error to throw. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** The outcome of `promise`, or a rejection as soon as the operation must end. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (reason: unknown) => {
        this.#pending.delete(end);
        reject(reason);
      };
      if (this.signal.aborted) reject(this.signal.reason);
      else this.#pending.add(end);
      promise.then(
        (value) => {
          this.#pending.delete(end);
          resolve(value);
        },
        (error) => end(error),
      );
    });
  }

  close(): void {
    this.#outer?.removeEventListener('abort', this.#onOuterAbort);
    this.#stop.abort(OVER);
  }

  #end(reason: unknown): void {
    this.#stop.abort(OVER);
    this.#ended.abort(reason);
    for (const end of this.#pending) end(reason);
  }
}
