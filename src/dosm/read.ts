/**
 * The bytes of a read's segments, one blob after the other. Nothing is handed out before it has been verified, the
 * first chunk before read() resolves; the next blob is opened while the last chunks of the current one drain.
 * Ends early in one way only: by throwing.
 */
import { BlobStream, type ReadContext, type ReadDeps, type Segment } from './blob-stream.ts';
import type { ReadRequest } from './dosm.ts';

export async function openRead(deps: ReadDeps, request: ReadRequest): Promise<AsyncIterable<Buffer>> {
  const read = new Read(deps, request);
  await read.start();
  return read;
}

class Read implements AsyncIterable<Buffer>, AsyncIterator<Buffer> {
  readonly #deps: ReadDeps;
  readonly #segments: readonly Segment[];
  readonly #context: ReadContext;
  readonly #stop = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort = () => this.#close(this.#outer!.reason);
  #at = 0;
  #current: BlobStream | null = null;
  #ahead: { stream: BlobStream; started: Promise<void> } | null = null;

  constructor(deps: ReadDeps, request: ReadRequest) {
    this.#deps = deps;
    this.#segments = request.segments;
    this.#context = { failed: new Set(), signal: this.#stop.signal };
    this.#outer = request.signal;
  }

  async start(): Promise<void> {
    if (this.#outer?.aborted) throw this.#outer.reason;
    this.#outer?.addEventListener('abort', this.#onOuterAbort, { once: true });
    try {
      if (this.#segments.length > 0) await this.#advance();
    } catch (error) {
      this.#close(error);
      throw error;
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    try {
      for (;;) {
        if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
        if (!this.#current) break;
        this.#openAhead();
        const value = await this.#current.next();
        if (value) return { done: false, value };
        this.#at += 1;
        this.#current = null;
        if (this.#at < this.#segments.length) await this.#advance();
      }
    } catch (error) {
      const reason = this.#stop.signal.aborted ? this.#stop.signal.reason : error;
      this.#close(reason);
      throw reason;
    }
    this.#outer?.removeEventListener('abort', this.#onOuterAbort);
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#close(new Error('the reader went away'));
    return { done: true, value: undefined };
  }

  /** Makes segment `#at` the current one. */
  async #advance(): Promise<void> {
    const { stream, started } = this.#ahead ?? this.#open(this.#at);
    this.#ahead = null;
    this.#current = stream;
    await started;
  }

  #openAhead(): void {
    const following = this.#at + 1;
    if (this.#ahead || following >= this.#segments.length) return;
    if (this.#current!.chunksLeft <= this.#deps.tuning.readAheadChunks) this.#ahead = this.#open(following);
  }

  #open(index: number): { stream: BlobStream; started: Promise<void> } {
    const stream = new BlobStream(this.#deps, this.#segments[index]!, this.#context);
    const started = stream.start();
    started.catch(() => {});
    return { stream, started };
  }

  #close(reason: unknown): void {
    this.#outer?.removeEventListener('abort', this.#onOuterAbort);
    this.#current?.close();
    this.#ahead?.stream.close();
    this.#stop.abort(reason);
  }
}
