/**
 * The running accounts of a store, kept in step with its index: how much there is, the range digests, and which blobs
 * the index names although their bytes are gone. Invariant: the digests are those of what an inventory without handoffs
 * would list (so a blob whose bytes are gone is not in them, and a comparison with the twin finds it).
 */
import type { BlobId } from '../../base/ids.ts';
import { RangeDigests } from '../range-digests.ts';
import type { BlobSummary } from './records.ts';

export class Tally {
  readonly digests = new RangeDigests();
  readonly #missing = new Set<BlobId>();
  blobs = 0;
  storedBytes = 0;

  get missingBlobs(): number {
    return this.#missing.size;
  }

  isMissing(id: BlobId): boolean {
    return this.#missing.has(id);
  }

  add(blob: BlobSummary): void {
    this.blobs += 1;
    this.storedBytes += blob.size;
    if (!blob.isHandoff) this.digests.add(blob);
  }

  remove(blob: BlobSummary): void {
    this.blobs -= 1;
    this.storedBytes -= blob.size;
    if (!this.#missing.delete(blob.id) && !blob.isHandoff) this.digests.remove(blob);
  }

  /** Its bytes are gone. */
  lose(blob: BlobSummary): void {
    if (this.#missing.has(blob.id)) return;
    this.#missing.add(blob.id);
    if (!blob.isHandoff) this.digests.remove(blob);
  }

  /** Its bytes are there again. */
  find(blob: BlobSummary): void {
    if (this.#missing.delete(blob.id) && !blob.isHandoff) this.digests.add(blob);
  }

  /** Another intent: a handoff came home, or the other way round. */
  relabel(blob: BlobSummary, isHandoff: boolean): void {
    if (blob.isHandoff === isHandoff || this.#missing.has(blob.id)) return;
    if (isHandoff) this.digests.remove(blob);
    else this.digests.add(blob);
  }
}
