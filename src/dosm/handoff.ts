/**
 * Which nodes may hold a handoff: a replica that stands for a member that does not take it, beside the replica that
 * survives. Pure, like the order in which they are asked: weighted rendezvous over the blob's id, so that the load of
 * an absent node spreads, and everyone computes the same order.
 *
 * They are the nodes on the survivor's side: in its center, or in its subnet where one center has both. Two copies in
 * the surviving center need no line to the other one. Nodes of pairs that drain come after the others, and those that
 * are suspect at the very end: asking one is better than refusing the write.
 */
import { hash } from 'node:crypto';
import type { BlobId, MemberId } from '../base/ids.ts';
import type { Pair } from '../twin/topology.ts';

export interface NodeFacts {
  isServing(member: MemberId): boolean;
  isSuspect(member: MemberId): boolean;
}

export interface HandoffNode {
  readonly member: MemberId;
  readonly weight: number;
  readonly isSuspect: boolean;
}

/** The members on the same side as `survivor`, but not of its own pair or of `blobPair`, that serve. */
export function handoffNodes(
  pairs: readonly Pair[],
  blobPair: Pair,
  survivor: MemberId,
  facts: NodeFacts,
): readonly HandoffNode[] {
  const side = sideOf(pairs, survivor);
  if (side === null) return [];
  return pairs
    .filter((pair) => pair.id !== blobPair.id)
    .map(({ members, weight }) => ({ member: members[side], weight }))
    .filter(({ member }) => member !== survivor && facts.isServing(member))
    .map((node) => ({ ...node, isSuspect: facts.isSuspect(node.member) }));
}

/** The same, in the order in which they are asked for this blob. */
export function rankHandoffs(nodes: readonly HandoffNode[], blob: BlobId): readonly HandoffNode[] {
  const cost = ({ isSuspect, weight }: HandoffNode) => (isSuspect ? 2 : 0) + (weight <= 0 ? 1 : 0);
  return nodes
    .map((node) => ({ node, cost: cost(node), score: score(node.member, blob, node.weight) }))
    .sort((a, b) => a.cost - b.cost || a.score - b.score || (a.node.member < b.node.member ? -1 : 1))
    .map(({ node }) => node);
}

/** 0: the first center (or subnet), 1: the other; null for a member without a pair. */
export function sideOf(pairs: readonly Pair[], member: MemberId): 0 | 1 | null {
  for (const { members } of pairs) {
    if (members[0] === member) return 0;
    if (members[1] === member) return 1;
  }
  return null;
}

function score(member: MemberId, blob: BlobId, weight: number): number {
  const first48Bits = hash('sha256', `handoff\0${member}\0${blob}`, 'buffer').readUIntBE(0, 6);
  return -Math.log((first48Bits + 0.5) / 2 ** 48) / (weight > 0 ? weight : 1);
}
