/**
 * A blob of several chunks on its way to a node. States: opening (preamble sent, waiting for "ready") → open (frames
 * flow) → finishing (trailer sent, waiting for the answer) → over. A failure ends any state; whoever waits gets it at
 * once, and whoever calls later gets it then.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { PREAMBLE } from '../framing.ts';
import type { BlobWriter, NodeDeadlines } from '../protocol.ts';
import { NodeError } from '../protocol.ts';
import { trailerMac } from '../request-auth.ts';
import { Call } from './call.ts';
import type { Connection, RequestParts, SignedRequest } from './connection.ts';
import { Deadline } from './deadline.ts';
import { checkAnswer } from './exchange.ts';
import { failureOf } from './failures.ts';
import { FrameQueue } from './frame-queue.ts';

interface Waiter {
  resolve(): void;
  reject(error: NodeError): void;
}

export class StreamWriter implements BlobWriter {
  readonly #connection: Connection;
  readonly #deadlines: NodeDeadlines;
  readonly #deadline: Deadline;
  readonly #frames = new FrameQueue();
  readonly #request: SignedRequest;
  readonly #call: Call;
  #state: 'opening' | 'open' | 'finishing' = 'opening';
  #waiter: Waiter | null = null;
  #failure: NodeError | null = null;
  #status = 0;
  #headers: IncomingHttpHeaders = {};

  private constructor(
    connection: Connection,
    deadlines: NodeDeadlines,
    parts: RequestParts,
    signal: AbortSignal | undefined,
  ) {
    this.#connection = connection;
    this.#deadlines = deadlines;
    this.#deadline = new Deadline(connection.life);
    this.#request = connection.sign(parts, () => this.#frames);
    this.#call = new Call(
      connection,
      {
        interim: () => this.#onInterim(),
        headers: (status, headers) => this.#onHeaders(status, headers),
        data: () => {},
        ended: () => this.#onEnded(),
        failed: (error) => this.#fail(error),
      },
      signal ? [signal] : [],
    );
  }

  /** Resolves when the node is ready for the bytes. @throws {NodeError} */
  static async open(
    connection: Connection,
    deadlines: NodeDeadlines,
    parts: RequestParts,
    signal: AbortSignal | undefined,
  ): Promise<StreamWriter> {
    const writer = new StreamWriter(connection, deadlines, parts, signal);
    await writer.#wait(deadlines.connectMs + deadlines.firstByteMs, () => {
      writer.#frames.push([PREAMBLE], () => {});
      writer.#call.start('stream', writer.#request);
    });
    return writer;
  }

  /** Runs `begin` and waits for #settle() or a failure; the deadline runs meanwhile. */
  #wait(ms: number, begin: () => void): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#deadline.start(ms, () =>
        this.#call.abort(new NodeError('timeout', this.#connection.member, `stalled for ${ms} ms`)),
      );
      try {
        begin();
      } catch (error) {
        this.#call.abort(failureOf(this.#connection.member, error));
      }
    });
  }

  #settle = (): void => {
    const waiter = this.#waiter;
    this.#waiter = null;
    this.#deadline.stop();
    waiter?.resolve();
  };

  #fail(error: NodeError): void {
    this.#failure = error;
    const waiter = this.#waiter;
    this.#waiter = null;
    this.#deadline.stop();
    this.#frames.end(); // or undici would wait for the next part for ever
    waiter?.reject(error);
  }

  #onInterim(): void {
    this.#deadline.refresh();
    if (this.#state !== 'opening') return;
    this.#state = 'open';
    this.#settle();
  }

  #onHeaders(status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#headers = headers;
    this.#deadline.refresh();
  }

  #onEnded(): void {
    try {
      checkAnswer(this.#connection, this.#request.nonce, this.#status, this.#headers, null);
      if (this.#state !== 'finishing') throw new Error('the node answered before it had the blob');
      this.#settle();
    } catch (error) {
      this.#fail(failureOf(this.#connection.member, error));
    }
  }

  write(chunk: Buffer, digest: Buffer): Promise<void> {
    return this.#wait(this.#deadlines.stallMs, () => this.#frames.push([digest, chunk], this.#settle));
  }

  finish(root: Buffer): Promise<void> {
    this.#state = 'finishing';
    return this.#wait(this.#deadlines.stallMs, () => {
      this.#frames.push([trailerMac(this.#connection.key, this.#request.nonce, root), root], () =>
        this.#deadline.refresh(),
      );
      this.#frames.end();
    });
  }

  abort(reason: unknown): void {
    this.#call.abort(
      new NodeError('aborted', this.#connection.member, 'the write was given up', { cause: reason }),
    );
  }
}
