/** Where placement wants a blob among the pairs of nodes as they are now. */
import type { PairId } from '../../base/ids.ts';
import type { Pair, Topology } from '../../twin/topology.ts';
import { type Placement, rankPairs } from '../placement.ts';

export const nodePairs = (topology: Pick<Topology, 'pairs'>): readonly Pair[] =>
  [...topology.pairs.values()].filter((pair) => pair.kind === 'node');

/** The first of the pairs that take new blobs; null when none does. */
export const preferredBy =
  (topology: Pick<Topology, 'pairs'>) =>
  (placement: Placement): PairId | null =>
    rankPairs(nodePairs(topology), placement)[0] ?? null;
