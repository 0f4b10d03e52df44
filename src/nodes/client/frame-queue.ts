/**
 * The body of a streamed write: what is pushed is handed to undici part by part. push() resolves when undici asks for
 * more, which it does when the socket has room again: that is the backpressure. One producer, one consumer.
 */
export class FrameQueue implements AsyncIterableIterator<Buffer> {
  #parts: Buffer[] = [];
  #ended = false;
  #pull: ((result: IteratorResult<Buffer>) => void) | null = null;
  #drained: (() => void) | null = null;

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls `drained` when the parts have been taken and more is asked for. */
  push(parts: readonly Buffer[], drained: () => void): void {
    this.#parts.push(...parts);
    this.#drained = drained;
    this.#feed();
  }

  end(): void {
    this.#ended = true;
    this.#feed();
  }

  #feed(): void {
    const pull = this.#pull;
    if (!pull) return;
    const part = this.#parts.shift();
    if (!part && !this.#ended) return;
    this.#pull = null;
    pull(part ? { value: part, done: false } : { value: undefined, done: true });
  }

  next(): Promise<IteratorResult<Buffer>> {
    const part = this.#parts.shift();
    if (part) return Promise.resolve({ value: part, done: false });
    const drained = this.#drained;
    this.#drained = null;
    drained?.();
    // drained() may have pushed again
    return new Promise((resolve) => {
      this.#pull = resolve;
      this.#feed();
    });
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.#ended = true;
    this.#parts = [];
    return Promise.resolve({ value: undefined, done: true });
  }
}
