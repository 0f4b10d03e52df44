/** Which directory pair has a bucket, and how that was found out. Types alone; catalog.ts hands them on. */
import type { MemberId, PairId } from '../base/ids.ts';
import type { SearchTransport } from '../twin/search.ts';
import type { Bucket } from './catalog.ts';

/** One step of a search for a bucket. `catalog`: pairs were asked, each by its primary. */
export interface NameStep {
  readonly step: 'remembered-pair' | 'computed-pair' | 'twin-center' | 'first-center' | 'other-pairs';
  readonly center: string | null;
  readonly transport: SearchTransport | 'catalog' | 'none';
  readonly asked: readonly (MemberId | PairId)[];
  /** `not confirmed`: members said that they have it, and the primary of their pair did not give it. */
  readonly answer: 'found' | 'not confirmed' | 'nowhere' | 'unknown' | 'left out';
  readonly foundAt: readonly (MemberId | PairId)[];
  readonly silent: readonly (MemberId | PairId)[];
  readonly leftOut: readonly MemberId[];
  readonly ms: number;
}

export interface FoundBucket {
  /** `nowhere`: the primary of every pair has said so. */
  readonly outcome: 'found' | 'nowhere' | 'unknown';
  readonly bucket: Bucket | null;
  readonly steps: readonly NameStep[];
}

export interface BucketLocation extends FoundBucket {
  /** By the name alone. */
  readonly computed: PairId;
  /** By the root pair's list; null: it does not have the name. */
  readonly listed: PairId | null | 'unknown';
}

export interface NamesCatalog {
  /** For people. It is searched for where a request would search, and when that is asked for. Never rejects. */
  locateBucket(name: string, how?: { readonly search: boolean }): Promise<BucketLocation>;
}
