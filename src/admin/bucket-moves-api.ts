/** The admin API's documents about moves of buckets between directory pairs. */
import { z } from 'zod';

export interface BucketMoveReport {
  readonly bucket: string;
  readonly source: string;
  readonly target: string;
  /** copying, frozen, switched, done, cancelling, cancelled: docs/operations.md says what they mean. */
  readonly phase: string;
  readonly versions: number;
  readonly freezes: number;
  readonly frozenMs: number;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly decidedBy: string;
  readonly lastError: string | null;
}
export interface BucketMovesReport {
  /** Newest first. */
  readonly moves: readonly BucketMoveReport[];
}

export const bucketMoveOrder = z.strictObject({ to: z.string().min(1).max(64) });
export const bucketMovesQuery = z.strictObject({
  bucket: z.string().max(255).optional(),
  max: z.coerce.number().int().min(1).max(1_000).default(100),
});
