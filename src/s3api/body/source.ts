/**
 * Pulls the bytes of a request from its socket, slice by slice as they arrived: a stream's own read() and iterator join
 * what has piled up, that is, copy it. At most QUEUED_BYTES_MAX wait here, then the socket is paused.
 * Ends in one of four ways: the end of the body, the client gone, the client stalled, or the request's own signal.
 * The stall deadline runs only while a reader waits: a slow store is not a slow client.
 */
import type { Readable } from 'node:stream';
import { type Clock, OVER } from '../../base/clock.ts';
import { bytesPassed } from '../../base/young-garbage.ts';
import { S3Error } from '../errors.ts';

/** The client went away in mid-body. Nobody is left to read the answer; it is logged as the client's doing. */
export class ClientDisconnected extends S3Error {
  constructor(cause?: unknown) {
    super('IncompleteBody', { message: 'The request body terminated unexpectedly', cause });
  }
}

export interface SourceOptions {
  readonly clock: Clock;
  /** RequestTimeout when the client sends nothing for so long while we wait. */
  readonly stallMs: number;
  readonly signal?: AbortSignal;
  /** Called once, before the first wait for bytes: the place for `100 Continue`. */
  readonly onFirstRead?: () => void;
}

const QUEUED_BYTES_MAX = 256 * 1024;
const QUEUED_SLICES_MAX = 256;

export class BodySource {
  readonly #stream: Readable;
  readonly #o: SourceOptions;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #started = false;
  #ended = false;
  #failure: unknown = null;
  #wake: (() => void) | null = null;
  #waitingSince = 0;
  #watchdog: AbortController | null = null;

  constructor(stream: Readable, o: SourceOptions) {
    this.#stream = stream;
    this.#o = o;
  }

  /** The next slice, or null at the end. Throws once and for all when the body ends otherwise. */
  async next(): Promise<Buffer | null> {
    if (!this.#started) this.#start();
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const bytes = this.#queue.shift();
      if (bytes) {
        this.#queuedBytes -= bytes.length;
        return bytes;
      }
      if (this.#ended) return null;
      if (this.#stream.isPaused()) this.#stream.resume();
      await this.#wait();
    }
  }

  /** Lets go of the stream; what is unread stays unread. */
  close(): void {
    this.#watchdog?.abort(OVER);
    this.#stream
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('error', this.#onError)
      .off('close', this.#onClose);
    this.#o.signal?.removeEventListener('abort', this.#onAbort);
    if (!this.#ended) this.#stream.pause();
  }

  #start(): void {
    this.#started = true;
    this.#ended = this.#stream.readableEnded;
    if (this.#stream.destroyed && !this.#ended) this.#fail(new ClientDisconnected());
    if (this.#o.signal?.aborted) this.#fail(this.#o.signal.reason);
    this.#o.signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#stream
      .on('end', this.#onEnd)
      .on('error', this.#onError)
      .on('close', this.#onClose)
      .on('data', this.#onData);
    if (this.#failure === null) this.#o.onFirstRead?.();
  }

  #wait(): Promise<void> {
    this.#waitingSince = this.#o.clock.monotonic();
    if (this.#watchdog === null) void this.#watch();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** One timer for the whole body, not one for each wait. */
  async #watch(): Promise<void> {
    this.#watchdog = new AbortController();
    const { clock, stallMs } = this.#o;
    let sleepMs = stallMs;
    try {
      for (;;) {
        await clock.sleep(sleepMs, this.#watchdog.signal);
        const waitedMs = this.#wake === null ? 0 : clock.monotonic() - this.#waitingSince;
        if (waitedMs >= stallMs) return this.#fail(new S3Error('RequestTimeout'));
        sleepMs = Math.max(1, stallMs - waitedMs);
      }
    } catch {
      // Closed: nobody waits any more.
    }
  }

  #fail(failure: unknown): void {
    this.#failure ??= failure;
    this.#release();
  }

  #release(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  readonly #onData = (bytes: Buffer): void => {
    bytesPassed(bytes.length);
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes >= QUEUED_BYTES_MAX || this.#queue.length >= QUEUED_SLICES_MAX)
      this.#stream.pause();
    this.#release();
  };
  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#release();
  };
  readonly #onError = (error: Error): void => this.#fail(new ClientDisconnected(error));
  readonly #onClose = (): void => {
    if (!this.#ended) this.#fail(new ClientDisconnected());
  };
  readonly #onAbort = (): void => this.#fail(this.#o.signal?.reason);
}
