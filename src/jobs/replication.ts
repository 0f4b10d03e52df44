/**
 * What brings replicas back to where they should be, on every gateway: repairs, collecting what nodes found damaged, the
 * return of members, and the sweep of handoffs. Client traffic goes first: copying has a rate, and keeps to a part of it
 * while clients' requests are under way.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { type MoveCounts, newMoveCounts } from '../dosm/move/mover.ts';
import { type CarryCounts, type CarryDeps, dropSurplus, newCarryCounts } from '../dosm/resync/carry-home.ts';
import { paceOf } from '../dosm/resync/pull.ts';
import { sweepHandoffs } from '../dosm/resync/sweep-handoffs.ts';
import type { ReplicaClients, WholeCatalog } from '../dosm/resync/types.ts';
import { NodeError } from '../nodes/protocol.ts';
import type { ConditionView } from '../twin/condition.ts';
import type { Topology } from '../twin/topology.ts';
import { collectDamage, type DamageCounts } from './collect-damage.ts';
import { drainPairs } from './drain.ts';
import { type Loop, type LoopCounts, startLoop } from './loop.ts';
import { repair } from './repair.ts';
import { createResyncTasks, type ResyncCounts } from './resync.ts';

export interface ReplicationSettings {
  readonly repairMs: number;
  readonly damageMs: number;
  /** How often members to bring back are looked for. */
  readonly resyncMs: number;
  /** What stands off the map and is wanted no longer, and could not be dropped at once. */
  readonly surplusMs: number;
  readonly sweepMs: number;
  /** How often pairs that drain are gone through. */
  readonly drainMs: number;
  /** What has moved to another pair stays on the old one for so long, for its readers. */
  readonly moveGraceMs: number;
  readonly resyncLeaseMs: number;
  /** Of each gateway, for repairs; and for each member that returns. */
  readonly repairBytesPerSecond: number;
  readonly resyncBytesPerSecond: number;
  /** What is left of both while clients' requests are under way. */
  readonly busyShare: number;
}
export const REPLICATION_SETTINGS: ReplicationSettings = {
  repairMs: 2_000,
  damageMs: 5_000,
  resyncMs: 1_000,
  surplusMs: 30_000,
  sweepMs: 600_000,
  drainMs: 5_000,
  moveGraceMs: 10_000,
  resyncLeaseMs: 15_000,
  repairBytesPerSecond: 64 * 1024 * 1024,
  resyncBytesPerSecond: 128 * 1024 * 1024,
  busyShare: 0.25,
};

const SURPLUS_AT_ONCE = 1_000;

export interface ReplicationOptions {
  readonly catalog: WholeCatalog;
  readonly clients: ReplicaClients;
  readonly topology: Topology;
  readonly view: ConditionView;
  /** This gateway's id: owner of leases. */
  readonly owner: string;
  readonly intentMs: number;
  readonly pendingGraceMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Whether clients' requests are under way. */
  readonly isBusy?: () => boolean;
  readonly suspects?: () => readonly MemberId[];
  readonly find?: CarryDeps['find'];
  readonly settings?: Partial<ReplicationSettings>;
}
/** Since the start of this process. */
export interface ReplicationProgress {
  readonly repair: Readonly<CarryCounts & LoopCounts>;
  readonly damage: Readonly<DamageCounts & LoopCounts>;
  readonly resync: Readonly<ResyncCounts> & { readonly running: readonly MemberId[] };
  readonly sweep: Readonly<{ dropped: number } & LoopCounts>;
  readonly drain: Readonly<MoveCounts & LoopCounts>;
}
export interface Replication {
  progress(): ReplicationProgress;
  /** Members that wait for their next try are tried at once. */
  hurry(): void;
  close(): Promise<void>;
}

export function startReplication(options: ReplicationOptions): Replication {
  const { clients, view, clock, random, log, intentMs, pendingGraceMs } = options;
  const settings = { ...REPLICATION_SETTINGS, ...options.settings };
  const pace = (bytesPerSecondMax: number) =>
    paceOf({ bytesPerSecondMax, busyShare: settings.busyShare, isBusy: options.isBusy ?? (() => false) });
  const repairDeps = { ...options, pace: pace(settings.repairBytesPerSecond) };
  const repairCounts = newCarryCounts();
  const damageCounts: DamageCounts = { queued: 0, recopied: 0, nodesMissed: 0 };
  const sweepCounts = { dropped: 0 };
  const moveCounts = newMoveCounts();
  const tasks = createResyncTasks({
    ...options,
    pace: pace(settings.resyncBytesPerSecond),
    leaseMs: settings.resyncLeaseMs,
    intentMs: intentMs + pendingGraceMs,
  });
  const loopOf = (name: string, intervalMs: number, run: (signal: AbortSignal) => Promise<void>): Loop =>
    startLoop({ name, intervalMs, run, clock, random, log });
  const surplusJob = async () =>
    dropSurplus(options, await options.catalog.listSurplus(SURPLUS_AT_ONCE), repairCounts);
  const loops = {
    repair: loopOf('repair', settings.repairMs, (signal) => repair(repairDeps, repairCounts, signal)),
    damage: loopOf('collect-damage', settings.damageMs, (signal) =>
      collectDamage(repairDeps, damageCounts, signal),
    ),
    resync: loopOf('resync', settings.resyncMs, async () => tasks.look()),
    surplus: loopOf('drop-surplus', settings.surplusMs, surplusJob),
    drain: loopOf('drain-pairs', settings.drainMs, (signal) =>
      drainPairs(repairDeps, settings.moveGraceMs, moveCounts, signal),
    ),
    sweep: loopOf('sweep-handoffs', settings.sweepMs, async (signal) => {
      for (const [member, client] of clients) {
        if (view.stateOf(member) !== 'serving') continue;
        const before = clock.now() - intentMs - pendingGraceMs;
        sweepCounts.dropped += await sweepHandoffs(options, client, before, signal).catch(unlessNode);
      }
    }),
  };
  return {
    progress: () => ({
      repair: { ...repairCounts, ...loops.repair.counts },
      damage: { ...damageCounts, ...loops.damage.counts },
      resync: { ...tasks.counts, running: tasks.running() },
      sweep: { ...sweepCounts, ...loops.sweep.counts },
      drain: { ...moveCounts, ...loops.drain.counts },
    }),
    hurry: () => tasks.hurry(),
    close: async () => {
      await Promise.all([...Object.values(loops).map((loop) => loop.close()), tasks.close()]);
    },
  };
}

/** A node that does not answer is looked at in the next run. */
function unlessNode(error: unknown): number {
  if (error instanceof NodeError) return 0;
  throw error;
}
