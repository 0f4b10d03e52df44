/** The admin API's documents about the return of members, scrub and repairs: see api.ts. */
import { z } from 'zod';
import type { Condition, ResyncReport } from './api.ts';

export interface MemberResyncReport {
  readonly member: string;
  readonly condition: Condition;
  /** Whether it answers at this moment; a member that serves is not asked. */
  readonly answers: boolean;
  /** Whether it comes back by itself: what an operator entered waits for `failover leave`. */
  readonly mayReturn: boolean;
  readonly why: string;
  /** Its last resync; null: it never had one. */
  readonly resync: (ResyncReport & { readonly comparedRanges: number; readonly removedBlobs: number }) | null;
}
/** Nodes that do not serve, and those that had a resync. */
export interface ResyncsReport {
  readonly members: readonly MemberResyncReport[];
}

export interface NodeScrubReport {
  readonly member: string;
  readonly answers: boolean;
  readonly reason?: string;
  readonly storedBytes?: number;
  /** On its list and not queued yet. */
  readonly damaged?: number;
  /** Of the round under way, or the last one; times in ISO 8601. */
  readonly bytes?: number;
  readonly blobs?: number;
  readonly bytesPerSecondMax?: number;
  readonly roundStartedAt?: string | null;
  readonly lastRoundEndedAt?: string | null;
}
export interface ScrubsReport {
  readonly nodes: readonly NodeScrubReport[];
}

export interface RepairReport {
  readonly blob: string;
  readonly pair: string;
  readonly size: number;
  readonly member: string;
  readonly reason: 'handoff' | 'lag' | 'missing' | 'corrupt' | 'lost';
  readonly since: string;
  readonly attempts: number;
  readonly lastError?: string;
}
/** By member and blob. */
export interface RepairsPage {
  readonly repairs: readonly RepairReport[];
  readonly truncated: boolean;
}

const memberId = z.string().min(1).max(128);
export const scrubOrder = z.strictObject({
  /** Absent: every node. */
  member: memberId.optional(),
  start: z.boolean().default(false),
  /** 0: off. */
  bytesPerSecondMax: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});
export type ScrubOrder = z.infer<typeof scrubOrder>;

export const repairsQuery = z
  .strictObject({
    member: memberId.optional(),
    afterMember: memberId.optional(),
    afterBlob: z
      .string()
      .regex(/^[0-9a-f]{32}$/, 'a blob id')
      .optional(),
    max: z.coerce.number().int().min(1).max(1000).default(1000),
  })
  .refine((q) => (q.afterMember === undefined) === (q.afterBlob === undefined), {
    message: 'afterMember and afterBlob belong together',
  });
export type RepairsQuery = z.infer<typeof repairsQuery>;
