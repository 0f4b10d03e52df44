/**
 * GET /v1/blobs/ID?first=F&last=L: sends digests and chunks as they are on disk. The reader verifies them against the
 * root, which this node has no say in; what the disk does not give is noted as damage. Reads are 256 KiB with one read ahead; an error in mid-body cuts the socket.
 */
import type { ServerResponse } from 'node:http';
import { parseBlobId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { BlobSource, BlobStore } from '../blob-store/blob-store.ts';
import { isUnreadable } from '../blob-store/large-file.ts';
import { chunkCount } from '../digest-tree.ts';
import { type ChunkRange, isChunkRange, type ReadStep, readBodyBytes, readSteps } from '../framing.ts';
import type { InventoryEntry } from '../protocol.ts';
import { type Exchange, integerOf, Refused, writeHead } from './exchange.ts';

const CHUNKS_MAX = chunkCount(LIMITS.blobBytesMax);

/** Chunk buffers that wait for their next use: a fresh 256 KiB allocation costs 64 page faults. */
const spare: Buffer[] = [];
const SPARES_MAX = 32;
const borrow = (): Buffer => spare.pop() ?? Buffer.allocUnsafeSlow(LIMITS.chunkBytes);
const giveBack = (buffer: Buffer): void => {
  if (spare.length < SPARES_MAX) spare.push(buffer);
};

export async function getBlob(x: Exchange, store: BlobStore, idText: string): Promise<void> {
  const entry = store.stat(parseBlobId(idText));
  if (!entry) throw new Refused('not-found', 'no such blob');
  const range = {
    firstChunk: integerOf(x, 'first', CHUNKS_MAX),
    lastChunk: integerOf(x, 'last', CHUNKS_MAX),
  };
  if (!isChunkRange(entry.size, range))
    throw new Refused('corrupt', 'the blob has other chunks than were asked for');
  if (entry.size <= LIMITS.smallBlobBytesMax) {
    const frame = store.readSmall(entry.id);
    if (!frame) {
      await store.report(entry.id, 'missing'); // unless it was removed meanwhile
      throw new Refused('not-found', 'the bytes of the blob are gone');
    }
    writeHead(x, 200, frame.length, null);
    x.res.end(frame);
    return;
  }
  await sendLarge(x, store, entry, range);
}

async function sendLarge(
  x: Exchange,
  store: BlobStore,
  entry: InventoryEntry,
  range: ChunkRange,
): Promise<void> {
  try {
    await sendFrom(x, await store.openLarge(entry), entry, range);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await store.report(entry.id, 'corrupt');
    throw new Refused('corrupt', 'the disk does not give the bytes of the blob');
  }
}

async function sendFrom(
  x: Exchange,
  source: BlobSource | null,
  entry: InventoryEntry,
  range: ChunkRange,
): Promise<void> {
  if (!source) throw new Refused('not-found', 'the file of the blob is gone');
  try {
    writeHead(x, 200, readBodyBytes(entry.size, range), null);
    await sendSteps(x.res, source, [...readSteps(entry.size, range)]);
    x.res.end();
  } finally {
    await source.close();
  }
}

interface Read {
  readonly bytes: Buffer;
  /** To be given back once it was sent. */
  readonly buffer: Buffer | null;
}

async function readStep(source: BlobSource, step: ReadStep): Promise<Read> {
  if (step.kind === 'page-list') return { bytes: source.pageList, buffer: null };
  if (step.kind === 'page') return { bytes: await source.page(step.index), buffer: null };
  const buffer = borrow();
  const bytes = buffer.subarray(0, step.bytes);
  await source.chunk(step.index, bytes);
  return { bytes, buffer };
}

async function sendSteps(res: ServerResponse, source: BlobSource, steps: readonly ReadStep[]): Promise<void> {
  const gone = new Promise<never>((_, reject) => {
    res.once('close', () => reject(new Error('the reader went away')));
  });
  gone.catch(() => {});
  let ahead: Promise<Read> | null = null;
  try {
    for (let i = 0; i < steps.length; i += 1) {
      const read: Read = await (ahead ?? readStep(source, steps[i]!));
      const next = steps[i + 1];
      ahead = next ? readStep(source, next) : null;
      ahead?.catch(() => {}); // awaited in the next round, or below
      await Promise.race([sent(res, read.bytes), gone]);
      if (read.buffer) giveBack(read.buffer);
    }
  } finally {
    await ahead?.catch(() => {}); // the file is closed only when nothing reads it
  }
}

/** Resolves when the kernel has the bytes, so that their buffer may be used again. */
function sent(res: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    res.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
