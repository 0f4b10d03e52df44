/**
 * The form of encrypted bytes. Each stored chunk of LIMITS.chunkBytes is nonce (12) | AES-256-GCM ciphertext | tag (16);
 * the last may be shorter. Authenticated with each chunk: which part of the object it is of, its index, and whether it is
 * the part's last. So a chunk that was changed, moved, or cut off is found before any byte of it is handed on, below and
 * apart from the nodes' digests. Plain and stored offsets follow from each other, so that a range needs its chunks alone.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { LIMITS } from '../../base/limits.ts';
import { BytesUnavailable } from '../../dosm/dosm.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;
const FORMAT = 1;
/** Plain bytes in a stored chunk. */
export const PLAIN_CHUNK_BYTES = LIMITS.chunkBytes - OVERHEAD_BYTES;

/** What was stored does not verify under the object's key: never handed on. 503, or a cut connection. */
export class CiphertextRefused extends BytesUnavailable {}

const chunkCountOf = (plainBytes: number): number => Math.ceil(plainBytes / PLAIN_CHUNK_BYTES);

/** Bytes that so many plain bytes take. */
export const storedBytesOf = (plainBytes: number): number =>
  plainBytes + OVERHEAD_BYTES * chunkCountOf(plainBytes);

function associated(part: number, index: number, isLast: boolean): Buffer {
  const data = Buffer.allocUnsafe(10);
  data.writeUInt8(FORMAT, 0);
  data.writeUInt32BE(part, 1);
  data.writeUInt32BE(index, 5);
  data.writeUInt8(isLast ? 1 : 0, 9);
  return data;
}

/**
 * The stored bytes of a source of `plainBytes`, in pieces as they come: no chunk is gathered here, as the DOSM does that.
 * @param part the part's number; 0 for an object that was written at once
 */
export async function* encrypted(
  key: KeyObject,
  part: number,
  plainBytes: number,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const chunks = chunkCountOf(plainBytes);
  let cipher: ReturnType<typeof gcm> | null = null;
  let index = 0;
  let passed = 0;
  let left = 0;
  for await (const piece of source) {
    for (let at = 0; at < piece.length; ) {
      if (cipher === null) {
        left = Math.min(PLAIN_CHUNK_BYTES, plainBytes - passed);
        if (left <= 0) throw new RangeError(`the source has more than its ${plainBytes} bytes`);
        const nonce = randomBytes(NONCE_BYTES);
        cipher = gcm(key, nonce);
        cipher.setAAD(associated(part, index, index === chunks - 1));
        yield nonce;
      }
      const taken = Math.min(left, piece.length - at);
      yield cipher.update(piece.subarray(at, at + taken));
      at += taken;
      passed += taken;
      left -= taken;
      if (left > 0) continue;
      cipher.final();
      yield cipher.getAuthTag();
      cipher = null;
      index += 1;
    }
  }
}

const gcm = (key: KeyObject, nonce: Buffer) =>
  createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });

/** A range of the plain bytes of one stored blob: `from` to `to`, inclusive. */
export interface PlainSegment {
  readonly part: number;
  /** All plain bytes of the blob. */
  readonly plainBytes: number;
  readonly from: number;
  readonly to: number;
}

/** The stored bytes, whole chunks, that a segment needs; inclusive. */
export function storedRangeOf({ plainBytes, from, to }: PlainSegment): { from: number; to: number } {
  const end = (Math.floor(to / PLAIN_CHUNK_BYTES) + 1) * LIMITS.chunkBytes;
  return {
    from: Math.floor(from / PLAIN_CHUNK_BYTES) * LIMITS.chunkBytes,
    to: Math.min(end, storedBytesOf(plainBytes)) - 1,
  };
}

/**
 * The plain bytes of the segments from their stored ranges, one after the other.
 * @throws {CiphertextRefused} instead of yielding anything of a chunk that does not verify, and when bytes are missing
 */
export async function* decrypted(
  key: KeyObject,
  segments: readonly PlainSegment[],
  stored: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const wanted = chunksOf(segments);
  let next = wanted.next();
  let gathered: Buffer | null = null;
  let filled = 0;
  for await (const piece of stored) {
    for (let at = 0; at < piece.length; ) {
      if (next.done) throw new CiphertextRefused('there are more stored bytes than were asked for');
      const chunk = next.value;
      let whole: Buffer | null = null;
      if (filled === 0 && piece.length - at >= chunk.storedBytes) {
        whole = piece.subarray(at, at + chunk.storedBytes);
        at += chunk.storedBytes;
      } else {
        gathered ??= Buffer.allocUnsafe(LIMITS.chunkBytes);
        const taken = piece.copy(gathered, filled, at, at + chunk.storedBytes - filled);
        at += taken;
        filled += taken;
        if (filled === chunk.storedBytes) whole = gathered.subarray(0, filled);
      }
      if (whole === null) continue;
      filled = 0;
      const plain = openChunk(key, chunk, whole);
      next = wanted.next();
      yield plain;
    }
  }
  if (!next.done) throw new CiphertextRefused('stored bytes are missing');
}

interface WantedChunk {
  readonly part: number;
  readonly index: number;
  readonly isLast: boolean;
  readonly storedBytes: number;
  /** Of its plain bytes. */
  readonly from: number;
  readonly end: number;
}

function* chunksOf(segments: readonly PlainSegment[]): Generator<WantedChunk, undefined> {
  for (const { part, plainBytes, from, to } of segments) {
    const count = chunkCountOf(plainBytes);
    const last = Math.floor(to / PLAIN_CHUNK_BYTES);
    for (let index = Math.floor(from / PLAIN_CHUNK_BYTES); index <= last; index++) {
      const start = index * PLAIN_CHUNK_BYTES;
      const bytes = Math.min(PLAIN_CHUNK_BYTES, plainBytes - start);
      yield {
        ...{ part, index, isLast: index === count - 1, storedBytes: bytes + OVERHEAD_BYTES },
        ...{ from: Math.max(0, from - start), end: Math.min(bytes, to + 1 - start) },
      };
    }
  }
}

function openChunk(key: KeyObject, chunk: WantedChunk, stored: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, stored.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(associated(chunk.part, chunk.index, chunk.isLast));
  decipher.setAuthTag(stored.subarray(stored.length - TAG_BYTES));
  const plain = decipher.update(stored.subarray(NONCE_BYTES, stored.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    throw new CiphertextRefused(`chunk ${chunk.index} does not verify under the key of its object`, {
      cause,
    });
  }
  return chunk.from === 0 && chunk.end === plain.length ? plain : plain.subarray(chunk.from, chunk.end);
}
