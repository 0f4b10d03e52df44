/**
 * Which nodes may hold a handoff: a replica that stands for a member that does not take it, beside the replica that
 * survives. Pure, like the order in which they are asked: weighted rendezvous over the blob's id, so that the load of
 * an absent node spreads, and everyone computes the same order.
 *
 * They are the nodes on the survivor's side: in its center, or in its subnet where one center has both. Two copies in
 * the surviving center need no line to the other one. Nodes of pairs that drain come last.
 */
import { hash } from 'node:crypto';
import type { BlobId, MemberId } from '../base/ids.ts';
import type { Pair } from '../twin/topology.ts';

export interface NodeFacts {
  isServing(member: MemberId): boolean;
  isSuspect(member: MemberId): boolean;
}

/** The members on the same side as `survivor`, but not of its own pair or of `pair`, that serve and are trusted. */
export function handoffNodes(
  pairs: readonly Pair[],
  blobPair: Pair,
  survivor: MemberId,
  facts: NodeFacts,
): readonly { readonly member: MemberId; readonly weight: number }[] {
  const side = sideOf(pairs, survivor);
  if (side === null) return [];
  return pairs
    .filter((pair) => pair.id !== blobPair.id)
    .map((pair) => ({ member: pair.members[side], weight: pair.weight }))
    .filter(({ member }) => member !== survivor && facts.isServing(member) && !facts.isSuspect(member));
}

/** The same, in the order in which they are asked for this blob. */
export function rankHandoffs(
  nodes: readonly { readonly member: MemberId; readonly weight: number }[],
  blob: BlobId,
): readonly MemberId[] {
  return nodes
    .map(({ member, weight }) => ({ member, drains: weight <= 0, score: score(member, blob, weight) }))
    .sort(
      (a, b) => Number(a.drains) - Number(b.drains) || a.score - b.score || (a.member < b.member ? -1 : 1),
    )
    .map(({ member }) => member);
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
