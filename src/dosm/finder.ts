/** What a read asks when nobody who should have a blob has it: the search among the nodes. A result is a hint. */
import type { MemberId } from '../base/ids.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import type { SearchStep } from '../twin/search.ts';

export interface FoundBlob {
  /** `unknown`: somebody who might have it was not asked or did not answer. */
  readonly outcome: 'found' | 'nowhere' | 'unknown';
  /** Those that say they have it; none unless `found`. */
  readonly members: readonly MemberId[];
  readonly trace: readonly SearchStep[];
}
export interface BlobFinder {
  /** Never rejects for what a node did; bounded by its own deadline and the signal. */
  find(blob: BlobRef, signal: AbortSignal): Promise<FoundBlob>;
}

/** A replica that a read missed. `lost`: a search has found none anywhere. */
export interface BlobDamage {
  readonly blob: BlobRef;
  readonly member: MemberId;
  readonly kind: 'missing' | 'corrupt' | 'lost';
}
