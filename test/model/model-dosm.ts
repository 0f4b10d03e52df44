/**
 * The DOSM in memory, for tests of what stands above it. Keeps what was written, counts what was asked,
 * and fails where a test tells it to.
 */
import { createHash } from 'node:crypto';
import { type BlobId, newBlobId, type PairId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import {
  BytesUnavailable,
  type Dosm,
  type ReadRequest,
  type WriteRequest,
  type WrittenBlob,
} from '../../src/dosm/dosm.ts';
import { FIRST_EPOCH } from '../../src/twin/condition.ts';

export interface ModelBlob {
  readonly ref: BlobRef;
  readonly bytes: Buffer;
  readonly request: Omit<WriteRequest, 'source'>;
  state: 'pending' | 'confirmed';
}

export class ModelDosm implements Dosm {
  readonly blobs = new Map<BlobId, ModelBlob>();
  /** How many writes were begun. */
  writes = 0;
  /** Every read request, in order. */
  readonly reads: ReadRequest[] = [];
  /** Thrown by the next writes while set. */
  failWrites: Error | null = null;
  /** Of the one pair that everything is on. */
  epoch = FIRST_EPOCH;
  reaffirmed = 0;
  failReaffirms: Error | null = null;
  /** Reads break off (BytesUnavailable) after so many bytes; 0 fails before the first. */
  breakReadsAfter: number = Number.POSITIVE_INFINITY;
  readonly #now: () => number;

  constructor(options: { now?: () => number } = {}) {
    this.#now = options.now ?? Date.now;
  }

  async write(request: WriteRequest): Promise<WrittenBlob> {
    if (request.size < 1 || request.size > LIMITS.blobBytesMax) throw new RangeError(`size ${request.size}`);
    this.writes++;
    if (this.failWrites !== null) throw this.failWrites;
    const intentAt = this.#now();
    const chunks: Buffer[] = [];
    for await (const chunk of request.source) {
      request.signal?.throwIfAborted();
      chunks.push(Buffer.from(chunk));
    }
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== request.size)
      throw new Error(`the source gave ${bytes.length} bytes of ${request.size}`);
    const root = createHash('sha256').update(bytes).digest();
    const ref: BlobRef = { id: newBlobId(), size: bytes.length, root, pair: 'node/11' as PairId };
    const { source: _, ...rest } = request;
    this.blobs.set(ref.id, { ref, bytes, request: rest, state: 'pending' });
    return { blob: ref, intentAt, epoch: this.epoch };
  }

  async reaffirm(written: WrittenBlob): Promise<WrittenBlob> {
    this.reaffirmed++;
    if (this.failReaffirms !== null) throw this.failReaffirms;
    return { ...written, epoch: this.epoch };
  }

  async read(request: ReadRequest): Promise<AsyncIterable<Buffer>> {
    this.reads.push(request);
    for (const { blob, from, to } of request.segments) {
      const kept = this.blobs.get(blob.id);
      if (kept === undefined || from < 0 || to < from || to >= kept.bytes.length)
        throw new BytesUnavailable(`blob ${blob.id} has no bytes ${from}-${to}`);
    }
    if (this.breakReadsAfter === 0) throw new BytesUnavailable('told to fail');
    return this.#bytes(request);
  }

  async *#bytes(request: ReadRequest): AsyncIterable<Buffer> {
    let sent = 0;
    for (const { blob, from, to } of request.segments) {
      const { bytes } = this.blobs.get(blob.id)!;
      for (let at = from; at <= to; at += LIMITS.chunkBytes) {
        request.signal?.throwIfAborted();
        const chunk = bytes.subarray(at, Math.min(to + 1, at + LIMITS.chunkBytes));
        if (sent + chunk.length > this.breakReadsAfter) {
          yield chunk.subarray(0, this.breakReadsAfter - sent);
          throw new BytesUnavailable('told to break off');
        }
        sent += chunk.length;
        yield chunk;
      }
    }
  }

  confirm(blobs: readonly BlobRef[]): void {
    for (const { id } of blobs) {
      const kept = this.blobs.get(id);
      if (kept !== undefined) kept.state = 'confirmed';
    }
  }

  discard(blobs: readonly BlobRef[]): void {
    for (const { id } of blobs) this.blobs.delete(id);
  }

  async close(): Promise<void> {}
}
