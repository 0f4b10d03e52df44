/**
 * The file of a form until its length is known. Blobs are written under a length that is told first, and nobody can tell a
 * file's before the boundary behind it has come (fields may follow). Small files are kept in memory, as long as there is
 * room; a larger one goes, as it comes, to a blob of its own that no row ever names, under a key that only this request
 * knows, and is read back from there. What is left of such a blob after a crash is reaped like any orphan.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { newWriteId } from '../../base/ids.ts';
import type { BlobRef } from '../../ddm/catalog.ts';
import { SliceList } from '../body/slices.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';
import type { LengthRange } from './policy.ts';

export interface HeldFile {
  readonly length: number;
  bytes(): AsyncIterable<Buffer>;
  release(): void;
}

/** Of one file, and of all forms together. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;
const ROOM_BYTES = 64 * 1024 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);
const CIPHER = 'aes-256-ctr';

/** Memory that the forms of one server share. */
export class Room {
  #left: number;
  constructor(bytes = ROOM_BYTES) {
    this.#left = bytes;
  }
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }
  give(bytes: number): void {
    this.#left += bytes;
  }
}

export interface Holding {
  readonly room: Room;
  readonly range: LengthRange;
  /** No file of this request is longer. */
  readonly bytesMax: number;
  /** Kept in memory up to here; for tests. */
  readonly heldBytesMax?: number;
}

/** @throws {S3Error} EntityTooLarge, EntityTooSmall, and what the file throws @throws {BytesUnavailable} */
export async function holdFile(
  ctx: Pick<OperationContext, 'services' | 'bucketName' | 'signal'>,
  key: string,
  file: AsyncIterable<Buffer>,
  holding: Holding,
): Promise<HeldFile> {
  const bytes = measured(file, holding.range);
  const { room, heldBytesMax = HELD_BYTES_MAX } = holding;
  const held = new SliceList();
  let length = 0;
  const empty = (): void => {
    room.give(length);
    length = 0;
  };
  try {
    for (;;) {
      const next = await bytes.next();
      if (next.done) break;
      if (length + next.value.length <= heldBytesMax && room.take(next.value.length)) {
        length += next.value.length;
        held.add(next.value);
        continue;
      }
      const slices = [...held.take(), next.value];
      return await spool(ctx, key, chain(slices, empty, bytes), holding.bytesMax);
    }
  } catch (error) {
    empty();
    throw error;
  }
  const slices = held.take();
  return { length, bytes: () => iterate(slices), release: empty };
}

async function* iterate(slices: readonly Buffer[]): AsyncGenerator<Buffer, void, undefined> {
  yield* slices;
}

async function* chain(
  slices: readonly Buffer[],
  begun: () => void,
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  yield* slices;
  begun();
  yield* rest;
}

/** Throws as soon as the file is too long, at its end when it is too short. */
async function* measured(
  file: AsyncIterable<Buffer>,
  { min, max }: LengthRange,
): AsyncGenerator<Buffer, void, undefined> {
  let length = 0;
  for await (const bytes of file) {
    length += bytes.length;
    if (length > max)
      throw new S3Error('EntityTooLarge', {
        fields: { ProposedSize: String(length), MaxSizeAllowed: String(max) },
      });
    if (bytes.length > 0) yield bytes;
  }
  if (length < min)
    throw new S3Error('EntityTooSmall', {
      fields: { ProposedSize: String(length), MinSizeAllowed: String(min) },
    });
}

async function spool(
  ctx: Pick<OperationContext, 'services' | 'bucketName' | 'signal'>,
  key: string,
  plain: AsyncIterable<Buffer>,
  bytesMax: number,
): Promise<HeldFile> {
  const { dosm } = ctx.services;
  const secret = randomBytes(32);
  const iv = randomBytes(16);
  const count = { bytes: 0 };
  const { blob } = await dosm.write({
    size: bytesMax,
    source: enciphered(plain, secret, iv, bytesMax, count),
    placement: { kind: 'object', bucket: ctx.bucketName, key },
    intent: { bucket: ctx.bucketName, key },
    writeId: newWriteId(),
    signal: ctx.signal,
  });
  const length = count.bytes;
  const range = { blob, from: 0, to: length - 1 };
  return {
    length,
    bytes: () => deciphered(() => dosm.read({ segments: [range], signal: ctx.signal }), secret, iv),
    release: () => dosm.discard([blob as BlobRef]),
  };
}

/** Filled up to the length that was told. */
async function* enciphered(
  plain: AsyncIterable<Buffer>,
  secret: Buffer,
  iv: Buffer,
  bytesMax: number,
  count: { bytes: number },
): AsyncGenerator<Buffer, void, undefined> {
  const cipher = createCipheriv(CIPHER, secret, iv);
  for await (const bytes of plain) {
    count.bytes += bytes.length;
    yield cipher.update(bytes);
  }
  for (let left = bytesMax - count.bytes; left > 0; left -= ZEROS.length)
    yield left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS;
}

async function* deciphered(
  open: () => Promise<AsyncIterable<Buffer>>,
  secret: Buffer,
  iv: Buffer,
): AsyncGenerator<Buffer, void, undefined> {
  const decipher = createDecipheriv(CIPHER, secret, iv);
  for await (const bytes of await open()) yield decipher.update(bytes);
}
