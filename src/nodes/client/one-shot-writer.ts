/** A blob of one chunk: nothing is sent before finish(), and then everything at once. Every error arrives there. */
import type { BlobWriter, NodeDeadlines } from '../protocol.ts';
import { NodeError } from '../protocol.ts';
import { trailerMac } from '../request-auth.ts';
import type { Connection, RequestParts } from './connection.ts';
import { exchange } from './exchange.ts';

/** Up to this, one copy is cheaper than four writes to the socket. */
const CONCAT_BYTES_MAX = 64 * 1024;

export class OneShotWriter implements BlobWriter {
  readonly #connection: Connection;
  readonly #deadlines: NodeDeadlines;
  readonly #parts: RequestParts;
  readonly #signal: AbortSignal | undefined;
  readonly #aborter = new AbortController();
  #frame: { digest: Buffer; chunk: Buffer } | null = null;

  constructor(
    connection: Connection,
    deadlines: NodeDeadlines,
    parts: RequestParts,
    signal: AbortSignal | undefined,
  ) {
    this.#connection = connection;
    this.#deadlines = deadlines;
    this.#parts = parts;
    this.#signal = signal;
  }

  async write(chunk: Buffer, digest: Buffer): Promise<void> {
    if (this.#frame) throw new NodeError('protocol', this.#connection.member, 'this blob has one chunk');
    this.#frame = { digest, chunk };
  }

  async finish(root: Buffer): Promise<void> {
    const frame = this.#frame;
    if (!frame) throw new NodeError('protocol', this.#connection.member, 'no chunk was written');
    const { digest, chunk } = frame;
    const body = (nonce: string): Buffer | Buffer[] => {
      const parts = [digest, chunk, trailerMac(this.#connection.key, nonce, root), root];
      return chunk.length <= CONCAT_BYTES_MAX ? Buffer.concat(parts) : parts;
    };
    const signals = this.#signal ? [this.#signal, this.#aborter.signal] : [this.#aborter.signal];
    await exchange(this.#connection, this.#parts, {
      deadlines: this.#deadlines,
      answerMs: this.#deadlines.stallMs,
      bodySigned: false,
      body,
      signals,
    });
  }

  abort(reason: unknown): void {
    this.#aborter.abort(reason);
  }
}
