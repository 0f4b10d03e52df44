/** The calls of a history with the answers that were seen, and the state that explains them (bucket-history.ts). */
import type { Bucket, CompletePart, DeleteDone, Outcome, WriteCondition } from '../../src/ddm/catalog.ts';

export interface HistoryRow {
  readonly versionId: string | null;
  readonly isMarker: boolean;
  readonly etag: string;
  readonly size: number;
  readonly tags: string;
  readonly lastModified: number | null;
  /** `empty`, `blob:ID` or `manifest:ID`. */
  readonly content: string | null;
}
export interface HistoryUpload {
  readonly key: string;
  readonly tags: string;
  readonly parts: readonly { readonly number: number; readonly etag: string; readonly size: number }[];
  readonly completed: { readonly parts: string; readonly etag: string } | null;
}
export interface BucketState {
  readonly versioning: Bucket['versioning'];
  /** Rows of every key of the program, the latest first. */
  readonly keys: Readonly<Record<string, readonly HistoryRow[]>>;
  readonly uploads: Readonly<Record<string, HistoryUpload>>;
}

/** A row as a read showed it. */
export interface ShownRow {
  readonly key: string;
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly isMarker: boolean;
  readonly etag: string;
  readonly size: number;
  /** null: listings do not show it. */
  readonly tags: string | null;
  readonly lastModified: number;
  /** null: listings do not show it. */
  readonly content: string | null;
}
export interface ShownPage {
  readonly rows: readonly ShownRow[];
  readonly truncated: boolean;
}
interface Written {
  readonly versionId: string;
  readonly lastModified: number;
}

export type Seen<T> = Outcome<T, string>;
/** One call with its answer. Reads are always done: a read that failed says nothing. */
export type HistoryEvent =
  | {
      readonly op: 'put';
      readonly key: string;
      readonly etag: string;
      readonly size: number;
      readonly tags: string;
      readonly content: string;
      /** A reference to bytes that exist may be refused: they may have lost their last one. */
      readonly isShare: boolean;
      readonly condition?: WriteCondition;
      readonly answer: Seen<Written>;
    }
  | {
      readonly op: 'delete';
      readonly key: string;
      readonly versionId?: string;
      readonly condition?: WriteCondition;
      readonly answer: Seen<DeleteDone>;
    }
  | {
      readonly op: 'tag';
      readonly key: string;
      readonly versionId?: string;
      readonly tags: string;
      readonly answer: Seen<{ versionId: string }>;
    }
  | { readonly op: 'versioning'; readonly state: 'enabled' | 'suspended'; readonly answer: Seen<null> }
  | {
      readonly op: 'create-upload';
      readonly key: string;
      readonly tags: string;
      readonly answer: Seen<string>;
    }
  | {
      readonly op: 'put-part';
      readonly uploadId: string;
      readonly number: number;
      readonly etag: string;
      readonly size: number;
      readonly answer: Seen<unknown>;
    }
  | {
      readonly op: 'complete';
      readonly key: string;
      readonly uploadId: string;
      readonly parts: readonly CompletePart[];
      readonly etag: string;
      readonly size: number;
      readonly condition?: WriteCondition;
      readonly answer: Seen<Written & { etag: string }>;
    }
  | { readonly op: 'abort'; readonly key: string; readonly uploadId: string; readonly answer: Seen<null> }
  | {
      readonly op: 'find';
      readonly key: string;
      readonly versionId?: string;
      readonly shown: ShownRow | null;
    }
  | { readonly op: 'list-versions'; readonly after: string; readonly max: number; readonly shown: ShownPage }
  | { readonly op: 'list-objects'; readonly after: string; readonly max: number; readonly shown: ShownPage }
  | {
      readonly op: 'list-parts';
      readonly uploadId: string;
      readonly shown: readonly { number: number; etag: string; size: number }[];
    };
