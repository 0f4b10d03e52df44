/**
 * Lengths and order of the bytes between client and node; pure. Every Content-Length follows from (size, range) alone,
 * so that neither side ever waits for an end that it cannot compute.
 *   PUT body  = [preamble, only with ready=1] ([chunk digest][chunk])… [HMAC over nonce and root][root]
 *   GET body  = [page list] then for each touched page: [its chunk digests] then the wanted chunks of it
 */
import { LIMITS } from '../base/limits.ts';
import { chunkBytes, chunkCount, chunksInPage, DIGEST_BYTES, pageCount, pageOfChunk } from './digest-tree.ts';

/**
 * Sent before the first frame when the client waits for "102 Processing" (ready) before it sends any byte of the blob.
 * `Expect: 100-continue` would do the same, but undici's HTTP/1.1 client cannot send it.
 */
export const PREAMBLE = Buffer.from('ANT1', 'latin1');
export const TRAILER_BYTES = 2 * DIGEST_BYTES;

export const putBodyBytes = (size: number, ready: boolean): number =>
  (ready ? PREAMBLE.length : 0) + chunkCount(size) * DIGEST_BYTES + size + TRAILER_BYTES;

export interface ChunkRange {
  readonly firstChunk: number;
  readonly lastChunk: number;
}

/** @returns false when the range is not within the blob. */
export function isChunkRange(size: number, range: ChunkRange): boolean {
  const { firstChunk, lastChunk } = range;
  return (
    Number.isSafeInteger(firstChunk) &&
    Number.isSafeInteger(lastChunk) &&
    firstChunk >= 0 &&
    firstChunk <= lastChunk &&
    lastChunk < chunkCount(size)
  );
}

export type ReadStep =
  | { readonly kind: 'page-list'; readonly bytes: number }
  | { readonly kind: 'page'; readonly index: number; readonly bytes: number }
  | { readonly kind: 'chunk'; readonly index: number; readonly bytes: number };

/** The parts of a GET body in order. */
export function* readSteps(size: number, range: ChunkRange): Generator<ReadStep, void> {
  yield { kind: 'page-list', bytes: pageCount(size) * DIGEST_BYTES };
  let page = -1;
  for (let index = range.firstChunk; index <= range.lastChunk; index += 1) {
    if (pageOfChunk(index) !== page) {
      page = pageOfChunk(index);
      yield { kind: 'page', index: page, bytes: chunksInPage(size, page) * DIGEST_BYTES };
    }
    yield { kind: 'chunk', index, bytes: chunkBytes(size, index) };
  }
}

export function readBodyBytes(size: number, range: ChunkRange): number {
  const firstPage = pageOfChunk(range.firstChunk);
  const lastPage = pageOfChunk(range.lastChunk);
  let bytes = pageCount(size) * DIGEST_BYTES;
  for (let page = firstPage; page <= lastPage; page += 1) bytes += chunksInPage(size, page) * DIGEST_BYTES;
  const from = range.firstChunk * LIMITS.chunkBytes;
  const to = range.lastChunk * LIMITS.chunkBytes + chunkBytes(size, range.lastChunk);
  return bytes + to - from;
}
