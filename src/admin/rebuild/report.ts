/** The lines that `rebuild-catalog` answers, one JSON document each; the summary comes last. */
export type RebuildLine =
  | {
      readonly type: 'progress';
      readonly phase: 'buckets' | 'versions' | 'blobs' | 'compare';
      readonly done: number;
    }
  /** A node that was not heard (to its end). `twin`: whether the other member of its pair was. */
  | { readonly type: 'unheard'; readonly member: string; readonly reason: string }
  | { readonly type: 'account'; readonly account: string; readonly message: string }
  /** Bytes on the nodes that no name stands for: of a write that was not told in time, or of an open upload. */
  | {
      readonly type: 'unconfirmed';
      readonly blob: string;
      readonly size: number;
      readonly state: 'pending' | 'confirmed';
      readonly bucket: string;
      readonly key: string;
      readonly uploadId?: string;
      readonly partNumber?: number;
      readonly members: readonly string[];
    }
  /** `missing`: the catalog has it, the nodes do not; `extra`: the other way round; `explained`: its change waits in the outbox. */
  | {
      readonly type: 'difference';
      readonly kind: 'missing' | 'extra' | 'different';
      readonly bucket: string;
      readonly key: string;
      readonly versionId: string;
      readonly explained: boolean;
    }
  | RebuildSummary;

export interface RebuildSummary {
  readonly type: 'summary';
  readonly buckets: number;
  /** Delete markers too. */
  readonly versions: number;
  readonly accounts: number;
  /** Ids that members of one pair did not have alike; the youngest counted. */
  readonly disagreements: number;
  readonly unconfirmed: number;
  readonly differences: number;
  readonly unexplained: number;
  readonly unheard: readonly string[];
  /** Up to where the records are complete: what came later and was not told is not in them. */
  readonly positions: readonly { readonly pair: string; readonly position: string; readonly at: string }[];
}
