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
import type { ConditionView } from '../twin/condition.ts';
import type { Topology } from '../twin/topology.ts';
import {
  applyLifecycles,
  type LifecycleJobCounts,
  type LifecycleOptions,
  lifecyclePollMs,
  newLifecycleCounts,
} from './lifecycle/lifecycle.ts';
import { type LoopCounts, startLoop } from './loop.ts';
import {
  feedNames,
  type NameRecordsCounts,
  type NameRecordsOptions,
  newNameCounts,
  newNameFeedMemory,
} from './name-records.ts';
import { type ReapCounts, reapPending } from './reap-pending.ts';
import { type ReclaimCounts, reclaim } from './reclaim.ts';
import { type Replication, type ReplicationOptions, startReplication } from './replication.ts';

export interface JobIntervals {
  readonly reapMs: number;
  readonly reclaimMs: number;
  /** How often the outbox is looked at for names that nodes are to be told. */
  readonly namesMs: number;
  readonly intentMs: number;
  readonly pendingGraceMs: number;
  readonly blobGraceMs: number;
  /** Blobs per question to catalog and nodes; nodes take 1,000 at most. */
  readonly batch: number;
}
export const JOB_INTERVALS: JobIntervals = {
  reapMs: 60_000,
  reclaimMs: 30_000,
  namesMs: 1_000,
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
  /** Members that do not serve are left alone. Absent: all serve. */
  readonly view?: Pick<ConditionView, 'stateOf' | 'epochOf'>;
  /** Records of names on the nodes; absent: none are kept. */
  readonly names?: Omit<NameRecordsOptions, 'clock' | 'log' | 'keepUnnamedMs'>;
  /** Lifecycle rules of buckets; absent: they are not applied. */
  readonly lifecycle?: Omit<LifecycleOptions, 'clock' | 'random' | 'log'>;
  /** Repair and resync, where replicas may be missing; the rest of their options is taken from here. */
  readonly replication?: Omit<ReplicationOptions, 'clock' | 'random' | 'log' | 'intentMs' | 'pendingGraceMs'>;
}
/** Since the start of this process. */
export interface JobsProgress {
  readonly reap: Readonly<ReapCounts & LoopCounts>;
  readonly reclaim: Readonly<ReclaimCounts & LoopCounts>;
}
export interface Jobs {
  names(): Readonly<NameRecordsCounts & LoopCounts> | null;
  lifecycle(): Readonly<LifecycleJobCounts & LoopCounts> | null;
  progress(): JobsProgress;
  readonly replication: Replication | null;
  /** Waits for the runs under way; they end at their next step. */
  close(): Promise<void>;
}

export function startJobs(options: JobsOptions): Jobs {
  const { catalog, clients, topology, clock, random, log } = options;
  const intervals = { ...JOB_INTERVALS, ...options.intervals };
  const serves = (member: MemberId) => (options.view?.stateOf(member) ?? 'serving') === 'serving';
  const shared = { ...intervals, catalog, clients, clock, pairs: topology.pairs, serves };
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
  const { intentMs, pendingGraceMs } = intervals;
  const replication = options.replication
    ? startReplication({ ...options.replication, intentMs, pendingGraceMs, clock, random, log })
    : null;
  const { names } = options;
  const nameCounts = newNameCounts();
  const nameMemory = newNameFeedMemory();
  // The reaper looks at them when keepUnnamedMs and its own graces are over.
  const keepUnnamedMs = Math.max(0, intervals.blobGraceMs - intentMs - pendingGraceMs);
  const namesLoop =
    names &&
    startLoop({
      name: 'name-records',
      intervalMs: intervals.namesMs,
      run: (signal) => feedNames({ ...names, clock, log, keepUnnamedMs }, nameMemory, nameCounts, signal),
      ...{ clock, random, log },
    });
  const { lifecycle } = options;
  const lifecycleCounts = newLifecycleCounts();
  const lifecycleLoop =
    lifecycle &&
    startLoop({
      name: 'lifecycle',
      intervalMs: lifecyclePollMs(lifecycle.terms.dayMs),
      run: (signal) => applyLifecycles({ ...lifecycle, clock, random, log }, lifecycleCounts, signal),
      ...{ clock, random, log },
    });
  return {
    lifecycle: () => (lifecycleLoop ? { ...lifecycleCounts, ...lifecycleLoop.counts } : null),
    names: () => (namesLoop ? { ...nameCounts, ...namesLoop.counts } : null),
    replication,
    progress: () => ({
      reap: { ...reapCounts, ...reapLoop.counts },
      reclaim: { ...reclaimCounts, ...reclaimLoop.counts },
    }),
    close: async () => {
      const loops = [reapLoop, reclaimLoop, namesLoop, lifecycleLoop, replication];
      await Promise.all(loops.map((loop) => loop?.close()));
    },
  };
}
