/**
 * Reads every byte of a blob that is here and says whether it hashes up to its root. What was removed while it was being
 * read is `removed`, never damage. Errors of the machine that say nothing about the bytes are thrown.
 */
import { LIMITS } from '../../base/limits.ts';
import {
  chunkBytes,
  chunkCount,
  DIGEST_BYTES,
  DigestMismatch,
  DigestTreeVerifier,
  digest,
  pageOfChunk,
} from '../digest-tree.ts';
import type { InventoryEntry } from '../protocol.ts';
import type { BlobSource, BlobStore } from './blob-store.ts';
import { isUnreadable } from './large-file.ts';

export type VerifiableStore = Pick<BlobStore, 'readSmall' | 'openLarge' | 'isNamed'>;
export type Verdict = 'sound' | 'missing' | 'corrupt' | 'removed';

/** `before` is awaited before each read of so many bytes: it may wait, and ends the work by throwing. */
export async function verifyBlob(
  store: VerifiableStore,
  entry: InventoryEntry,
  before: (bytes: number) => Promise<void>,
): Promise<Verdict> {
  const verdict =
    entry.size <= LIMITS.smallBlobBytesMax
      ? await verifySmall(store, entry, before)
      : await verifyLarge(store, entry, before);
  return verdict === 'sound' || store.isNamed(entry.id) ? verdict : 'removed';
}

async function verifySmall(
  store: VerifiableStore,
  { id, size, root }: InventoryEntry,
  before: (bytes: number) => Promise<void>,
): Promise<Verdict> {
  await before(size);
  const frame = store.readSmall(id);
  if (!frame) return 'missing';
  const chunkDigest = frame.subarray(DIGEST_BYTES, 2 * DIGEST_BYTES);
  const pageDigest = frame.subarray(0, DIGEST_BYTES);
  const isSound =
    frame.length === 2 * DIGEST_BYTES + size &&
    digest(frame.subarray(2 * DIGEST_BYTES)).equals(chunkDigest) &&
    digest(chunkDigest).equals(pageDigest) &&
    digest(pageDigest).equals(root);
  return isSound ? 'sound' : 'corrupt';
}

async function verifyLarge(
  store: VerifiableStore,
  entry: InventoryEntry,
  before: (bytes: number) => Promise<void>,
): Promise<Verdict> {
  let source: BlobSource | null = null;
  try {
    source = await store.openLarge(entry);
    if (!source) return 'missing';
    await readThrough(source, entry, before);
    return 'sound';
  } catch (error) {
    if (error instanceof DigestMismatch || isUnreadable(error)) return 'corrupt';
    throw error;
  } finally {
    await source?.close();
  }
}

/** @throws {DigestMismatch} */
async function readThrough(
  source: BlobSource,
  entry: InventoryEntry,
  before: (bytes: number) => Promise<void>,
): Promise<void> {
  const verifier = new DigestTreeVerifier(entry);
  verifier.acceptPageList(source.pageList);
  const buffer = Buffer.allocUnsafeSlow(LIMITS.chunkBytes);
  let page = -1;
  for (let index = 0; index < chunkCount(entry.size); index += 1) {
    if (pageOfChunk(index) !== page) {
      page = pageOfChunk(index);
      verifier.acceptPage(page, await source.page(page));
    }
    const chunk = buffer.subarray(0, chunkBytes(entry.size, index));
    await before(chunk.length);
    await source.chunk(index, chunk);
    verifier.acceptChunk(index, chunk);
  }
}
