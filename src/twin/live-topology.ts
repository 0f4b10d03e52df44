/**
 * A topology that grows while it is in use: members and pairs join, weights change, nothing ever goes. Whoever was handed
 * the maps sees it at once. What joins has been proved by buildTopology together with what was there before.
 */
import type { MemberId, PairId } from '../base/ids.ts';
import type { Member, Pair, Topology } from './topology.ts';

/** Members alone, before their pairs are asked anything. */
export function joinMembers(topology: Topology, grown: Topology): void {
  const members = topology.members as Map<MemberId, Member>;
  for (const [id, member] of grown.members) if (!members.has(id)) members.set(id, member);
}

/** Takes from `grown` the members and pairs that `topology` does not have; answers the pairs. */
export function joinTopology(topology: Topology, grown: Topology): readonly Pair[] {
  const pairs = topology.pairs as Map<PairId, Pair>;
  // Members first: whoever finds a pair finds its members.
  joinMembers(topology, grown);
  const joined = [...grown.pairs.values()].filter((pair) => !pairs.has(pair.id));
  for (const pair of joined) pairs.set(pair.id, pair);
  return joined;
}

/** Sets the share of new blobs that pairs take; true when any changed. */
export function setWeights(topology: Topology, weights: ReadonlyMap<PairId, number>): boolean {
  const pairs = topology.pairs as Map<PairId, Pair>;
  let isChanged = false;
  for (const [id, weight] of weights) {
    const pair = pairs.get(id);
    if (!pair || pair.weight === weight) continue;
    pairs.set(id, { ...pair, weight });
    isChanged = true;
  }
  return isChanged;
}
