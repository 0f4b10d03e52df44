/** The admin API's documents about pairs of nodes: growing, draining, rebalancing. */
import { z } from 'zod';

export interface NodePairReport {
  readonly id: string;
  readonly members: readonly string[];
  /** The share of new blobs; 0: it drains, or is drained. */
  readonly weight: number;
  readonly state: 'takes new objects' | 'draining' | 'drained';
  /** On its fuller node; null when neither answers. */
  readonly blobs: number | null;
}
export interface DirectoryPairReport {
  readonly id: string;
  readonly members: readonly string[];
  readonly isRoot: boolean;
}
export interface NodePairsReport {
  readonly directories: readonly DirectoryPairReport[];
  readonly pairs: readonly NodePairReport[];
}

/** A line of a rebalance: how far it is, and last `done: true`. */
export interface RebalanceLine {
  readonly pair: string | null;
  readonly seen: number;
  readonly moved: number;
  readonly movedBytes: number;
  readonly waiting: number;
  readonly dropped: number;
  readonly done: boolean;
}

const weight = z.number().gt(0).max(1_000_000);
export const pairAdd = z.strictObject({
  /** Of one of its nodes; the other's is the twin map's. Absent: nodes are started on this machine. */
  address: z.string().min(2).max(64).optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  weight: weight.default(1),
});
export type PairAdd = z.infer<typeof pairAdd>;
/** 0 drains. */
export const pairWeight = z.strictObject({ weight: weight.or(z.literal(0)) });
export const rebalanceQuery = z.strictObject({ dryRun: z.enum(['0', '1']).default('0') });
