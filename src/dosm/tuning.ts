/** The figures of the DOSM in one place; tests use smaller ones. The nodes' own deadlines are in NodeDeadlines. */
import { LIMITS } from '../base/limits.ts';

export interface DosmTuning {
  /** Bodies up to this size, and the first bytes of larger ones, are kept so that another pair can be tried. */
  readonly replayBytes: number;
  /** Pairs that fail otherwise than by being full, per write, before it is given up. */
  readonly pairAttemptsMax: number;
  /** A write ends within this time. */
  readonly writeMsMax: number;
  /** A write begins anew under a later epoch at most so often. */
  readonly replansMax: number;
  /** Nodes that are asked to hold one handoff, at most. */
  readonly handoffAttemptsMax: number;
  /** A copy from node to node may take copyMs and 1 ms more for every copyBytesPerMs. */
  readonly copyMs: number;
  readonly copyBytesPerMs: number;
  /** A node that says it is fenced makes the record be read again, at most once in so many ms. */
  readonly reloadMs: number;
  /** Without a first verified chunk after this time, the twin is asked as well. */
  readonly hedgeMs: number;
  /** How often one replica is asked within the read of one blob. */
  readonly replicaAttemptsMax: number;
  /** The next blob of a read is opened when so many chunks of the current one are left. */
  readonly readAheadChunks: number;
  /** Confirmations and discards: per node and call, between calls, and waiting at most. */
  readonly batchIdsMax: number;
  readonly flushMs: number;
  readonly queuedIdsMax: number;
  readonly probeMs: number;
}

export const DOSM_TUNING: DosmTuning = {
  replayBytes: 1024 * 1024,
  pairAttemptsMax: 4,
  writeMsMax: LIMITS.requestMsMax,
  replansMax: 3,
  handoffAttemptsMax: 2,
  copyMs: 5_000,
  copyBytesPerMs: 10_000,
  reloadMs: 500,
  hedgeMs: 300,
  replicaAttemptsMax: 2,
  readAheadChunks: 2,
  batchIdsMax: 1_000,
  flushMs: 500,
  queuedIdsMax: 20_000,
  probeMs: 1_000,
};

if (DOSM_TUNING.replayBytes < LIMITS.chunkBytes) throw new Error('replayBytes must hold a chunk');
