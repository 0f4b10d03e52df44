/**
 * Blobs on their way from a node. What comes out of next() has been verified against the root that the caller brought:
 * list, page, chunk, in this order, before a byte is handed on. A mismatch is 'corrupt' and ends the connection.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { LIMITS } from '../../base/limits.ts';
import { DigestTreeVerifier } from '../digest-tree.ts';
import { type ChunkRange, type ReadStep, readBodyBytes, readSteps } from '../framing.ts';
import type { BlobReader, NodeDeadlines } from '../protocol.ts';
import { NodeError } from '../protocol.ts';
import { Call } from './call.ts';
import type { Connection, RequestParts, SignedRequest } from './connection.ts';
import { Deadline } from './deadline.ts';
import { checkAnswer } from './exchange.ts';
import { failureOf } from './failures.ts';

export interface WantedBlob {
  readonly size: number;
  readonly root: Buffer;
}

/** @throws {DigestMismatch} @returns the chunk, when the step is one */
function accept(verifier: DigestTreeVerifier, step: ReadStep, bytes: Buffer): Buffer | null {
  if (step.kind === 'page-list') verifier.acceptPageList(bytes);
  else if (step.kind === 'page') verifier.acceptPage(step.index, bytes);
  else {
    verifier.acceptChunk(step.index, bytes);
    return bytes;
  }
  return null;
}

/** A blob of one chunk, received whole: it holds no connection, however slowly it is consumed. */
export class HeldReader implements BlobReader {
  readonly #connection: Connection;
  readonly #blob: WantedBlob;
  #body: Buffer | null;

  constructor(connection: Connection, blob: WantedBlob, body: Buffer) {
    this.#connection = connection;
    this.#blob = blob;
    this.#body = body;
  }

  async next(): Promise<Buffer | null> {
    const body = this.#body;
    if (!body) return null;
    this.#body = null;
    const range = { firstChunk: 0, lastChunk: 0 };
    if (body.length !== readBodyBytes(this.#blob.size, range)) {
      throw new NodeError('corrupt', this.#connection.member, 'the blob has another length');
    }
    const verifier = new DigestTreeVerifier(this.#blob);
    let at = 0;
    let chunk: Buffer | null = null;
    try {
      for (const step of readSteps(this.#blob.size, range)) {
        chunk = accept(verifier, step, body.subarray(at, at + step.bytes));
        at += step.bytes;
      }
    } catch (error) {
      throw failureOf(this.#connection.member, error);
    }
    return chunk;
  }

  close(): void {
    this.#body = null;
  }
}

/** What may wait for next() before the socket is paused: two chunks, so that one is read ahead while one is in use. */
const READY_BYTES_MAX = 2 * LIMITS.chunkBytes;

export class StreamReader implements BlobReader {
  readonly #connection: Connection;
  readonly #deadlines: NodeDeadlines;
  readonly #deadline: Deadline;
  readonly #verifier: DigestTreeVerifier;
  readonly #steps: Generator<ReadStep, void>;
  readonly #bodyBytes: number;
  readonly #request: SignedRequest;
  readonly #call: Call;
  readonly #ready: { step: ReadStep; bytes: Buffer }[] = [];
  #filling: { step: ReadStep; bytes: Buffer; filled: number } | null = null;
  #readyBytes = 0;
  #paused = false;
  #begun = false;
  #ended = false;
  #failure: NodeError | null = null;
  #wake: (() => void) | null = null;

  private constructor(
    connection: Connection,
    deadlines: NodeDeadlines,
    parts: RequestParts,
    blob: WantedBlob,
    range: ChunkRange,
    signal: AbortSignal | undefined,
  ) {
    this.#connection = connection;
    this.#deadlines = deadlines;
    this.#deadline = new Deadline(connection.life);
    this.#verifier = new DigestTreeVerifier(blob);
    this.#steps = readSteps(blob.size, range);
    this.#bodyBytes = readBodyBytes(blob.size, range);
    this.#request = connection.sign(parts);
    this.#call = new Call(
      connection,
      {
        headers: (status, headers) => this.#onHeaders(status, headers),
        data: (bytes) => this.#onData(bytes),
        ended: () => this.#onEnded(),
        failed: (error) => this.#onFailed(error),
      },
      signal ? [signal] : [],
    );
  }

  /** Resolves when the answer has begun. @throws {NodeError} */
  static async open(
    connection: Connection,
    deadlines: NodeDeadlines,
    parts: RequestParts,
    blob: WantedBlob,
    range: ChunkRange,
    signal: AbortSignal | undefined,
  ): Promise<StreamReader> {
    const reader = new StreamReader(connection, deadlines, parts, blob, range, signal);
    try {
      reader.#call.start('stream', reader.#request);
    } catch (error) {
      reader.#call.abort(failureOf(connection.member, error));
    }
    await reader.#until(() => reader.#begun, deadlines.connectMs + deadlines.firstByteMs);
    return reader;
  }

  /** Waits until `done()`, with the deadline running; throws what the call failed with. */
  async #until(done: () => boolean, ms: number): Promise<void> {
    while (!done()) {
      if (this.#failure) throw this.#failure;
      this.#deadline.start(ms, () =>
        this.#call.abort(new NodeError('timeout', this.#connection.member, `stalled for ${ms} ms`)),
      );
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    this.#deadline.stop();
    wake?.();
  }

  #onHeaders(status: number, headers: IncomingHttpHeaders): void {
    try {
      checkAnswer(this.#connection, this.#request.nonce, status, headers, null);
      if (headers['content-length'] !== String(this.#bodyBytes)) {
        throw new NodeError('corrupt', this.#connection.member, 'the blob has another length');
      }
      this.#begun = true;
      this.#notify();
    } catch (error) {
      this.#call.abort(failureOf(this.#connection.member, error));
    }
  }

  /** Copies into buffers of a part each: chunks leave as one buffer, whatever pieces the socket gave. */
  #onData(bytes: Buffer): void {
    this.#deadline.refresh();
    let at = 0;
    while (at < bytes.length) {
      const filling = this.#filling ?? this.#nextPart();
      if (!filling) {
        this.#call.abort(new NodeError('protocol', this.#connection.member, 'too many bytes'));
        return;
      }
      const taken = Math.min(bytes.length - at, filling.bytes.length - filling.filled);
      filling.bytes.set(bytes.subarray(at, at + taken), filling.filled);
      filling.filled += taken;
      at += taken;
      if (filling.filled < filling.bytes.length) continue;
      this.#filling = null;
      this.#ready.push({ step: filling.step, bytes: filling.bytes });
      this.#readyBytes += filling.bytes.length;
      this.#notify();
    }
    if (this.#readyBytes >= READY_BYTES_MAX && !this.#paused) {
      this.#paused = true;
      this.#call.pause();
    }
  }

  #nextPart(): { step: ReadStep; bytes: Buffer; filled: number } | null {
    const next = this.#steps.next();
    if (next.done) return null;
    this.#filling = { step: next.value, bytes: Buffer.allocUnsafe(next.value.bytes), filled: 0 };
    return this.#filling;
  }

  #onEnded(): void {
    this.#ended = true;
    this.#notify();
  }

  #onFailed(error: NodeError): void {
    this.#failure = error;
    this.#notify();
  }

  /** Chunks that arrived whole before a failure are still handed out: they verify, or they do not. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      await this.#until(() => this.#ready.length > 0 || this.#ended, this.#deadlines.stallMs);
      const part = this.#ready.shift();
      if (!part) return null;
      this.#readyBytes -= part.bytes.length;
      if (this.#paused && this.#readyBytes < READY_BYTES_MAX) {
        this.#paused = false;
        this.#call.resume();
      }
      const chunk = this.#accept(part.step, part.bytes);
      if (chunk) return chunk;
    }
  }

  #accept(step: ReadStep, bytes: Buffer): Buffer | null {
    try {
      return accept(this.#verifier, step, bytes);
    } catch (error) {
      const failure = failureOf(this.#connection.member, error);
      this.#failure = failure;
      this.#ready.length = 0;
      this.#call.abort(failure);
      throw failure;
    }
  }

  close(): void {
    this.#call.abort(new NodeError('aborted', this.#connection.member, 'the read was closed'));
    this.#ready.length = 0;
  }
}
