/**
 * The client's side of aws-chunked bodies: chunks with or without signatures, trailers with or without.
 * Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and
 * "… Including Trailing Headers", S3 API Reference.
 */
import { hash } from 'node:crypto';
import { hmacHex } from './sigv4/canonical.ts';
import type { ChunkSeed } from './sigv4/payload.ts';

export const EMPTY_SHA256 = hash('sha256', '', 'hex');

export const chunkStringToSign = (seed: ChunkSeed, previous: string, chunkSha256: string): string =>
  `AWS4-HMAC-SHA256-PAYLOAD\n${seed.timestamp}\n${seed.scope}\n${previous}\n${EMPTY_SHA256}\n${chunkSha256}`;

/** @param trailers `name:value\n` for each trailer, in the order they were sent */
export const trailerStringToSign = (seed: ChunkSeed, previous: string, trailers: string): string =>
  `AWS4-HMAC-SHA256-TRAILER\n${seed.timestamp}\n${seed.scope}\n${previous}\n${hash('sha256', trailers, 'hex')}`;

export interface ChunkedOptions {
  /** Bytes of every chunk but the last; S3 wants 8,192 at least. */
  readonly chunkBytes: number;
  /** Given: chunks (and the trailer) are signed. */
  readonly seed?: ChunkSeed;
  /** Called after the last byte; names in lower case. An empty record still means that the body has a trailer part. */
  readonly trailers?: () => Readonly<Record<string, string>>;
}

/** The body as it goes over the wire. */
export function* encodeAwsChunked(payload: Iterable<Buffer>, o: ChunkedOptions): Generator<Buffer> {
  let previous = o.seed?.seedSignature ?? '';
  const head = (bytes: Buffer): Buffer => {
    const size = bytes.length.toString(16);
    if (!o.seed) return Buffer.from(`${size}\r\n`);
    previous = hmacHex(o.seed.signingKey, chunkStringToSign(o.seed, previous, hash('sha256', bytes, 'hex')));
    return Buffer.from(`${size};chunk-signature=${previous}\r\n`);
  };
  for (const chunk of regroup(payload, o.chunkBytes)) {
    yield head(chunk);
    yield chunk;
    yield Buffer.from('\r\n');
  }
  yield head(Buffer.alloc(0));
  if (o.trailers) {
    const trailers = Object.entries(o.trailers());
    for (const [name, value] of trailers) yield Buffer.from(`${name}:${value}\r\n`);
    if (o.seed) {
      const text = trailers.map(([name, value]) => `${name}:${value}\n`).join('');
      const signature = hmacHex(o.seed.signingKey, trailerStringToSign(o.seed, previous, text));
      yield Buffer.from(`x-amz-trailer-signature:${signature}\r\n`);
    }
  }
  yield Buffer.from('\r\n');
}

/** Slices of exactly `size` bytes; the last may be shorter. */
function* regroup(payload: Iterable<Buffer>, size: number): Generator<Buffer> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for (let piece of payload) {
    while (heldBytes + piece.length >= size) {
      const taken = size - heldBytes;
      yield Buffer.concat([...held, piece.subarray(0, taken)], size);
      piece = piece.subarray(taken);
      held = [];
      heldBytes = 0;
    }
    if (piece.length > 0) held.push(piece);
    heldBytes += piece.length;
  }
  if (heldBytes > 0) yield Buffer.concat(held, heldBytes);
}
