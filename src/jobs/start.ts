/**
 * Starts the background jobs of one gateway. Every gateway may run them: each job is idempotent, and jitter keeps
 * gateways out of step. Intervals and graces are arguments so that tests need not wait for hours.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Catalog } from '../ddm/catalog.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import type { Topology } from '../twin/topology.ts';
import { type LoopCounts, startLoop } from './loop.ts';
import { type ReapCounts, reapPending } from './reap-pending.ts';
import { type ReclaimCounts, reclaim } from './reclaim.ts';

export interface JobIntervals {
  readonly reapMs: number;
  readonly reclaimMs: number;
  readonly intentMs: number;
  readonly pendingGraceMs: number;
  readonly blobGraceMs: number;
  /** Blobs per question to catalog and nodes; nodes take 1,000 at most. */
  readonly batch: number;
}
export const JOB_INTERVALS: JobIntervals = {
  reapMs: 60_000,
  reclaimMs: 30_000,
  intentMs: LIMITS.intentMs,
  pendingGraceMs: LIMITS.pendingGraceMs,
  blobGraceMs: LIMITS.blobGraceMs,
  batch: 1_000,
};

export interface JobsOptions {
  readonly catalog: Pick<Catalog, 'knownBlobs' | 'takeDyingBlobs' | 'forgetBlobs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly topology: Pick<Topology, 'pairs'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly intervals?: Partial<JobIntervals>;
}
/** Since the start of this process. */
export interface JobsProgress {
  readonly reap: Readonly<ReapCounts & LoopCounts>;
  readonly reclaim: Readonly<ReclaimCounts & LoopCounts>;
}
export interface Jobs {
  progress(): JobsProgress;
  /** Waits for the runs under way; they end at their next step. */
  close(): Promise<void>;
}

export function startJobs(options: JobsOptions): Jobs {
  const { catalog, clients, topology, clock, random, log } = options;
  const intervals = { ...JOB_INTERVALS, ...options.intervals };
  const shared = { ...intervals, catalog, clients, clock, pairs: topology.pairs };
  const reapCounts: ReapCounts = { confirmed: 0, deleted: 0, nodesMissed: 0 };
  const reclaimCounts: ReclaimCounts = { reclaimed: 0, postponed: 0 };
  const reapLoop = startLoop({
    name: 'reap-pending',
    intervalMs: intervals.reapMs,
    run: (signal) => reapPending(shared, reapCounts, signal),
    clock,
    random,
    log,
  });
  const reclaimLoop = startLoop({
    name: 'reclaim',
    intervalMs: intervals.reclaimMs,
    run: (signal) => reclaim(shared, reclaimCounts, signal),
    clock,
    random,
    log,
  });
  return {
    progress: () => ({
      reap: { ...reapCounts, ...reapLoop.counts },
      reclaim: { ...reclaimCounts, ...reclaimLoop.counts },
    }),
    close: async () => {
      await Promise.all([reapLoop.close(), reclaimLoop.close()]);
    },
  };
}
