/**
 * Where a blob should be and where it is: asks every member that may hold a replica, by the map and off it. What it
 * says is what the nodes' indexes say; no byte is read.
 */
import type { BlobId, MemberId, PairId } from '../base/ids.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import type { Pair } from '../twin/topology.ts';

/** `differs`: the node has a blob of this id with another size or root. `unknown`: it did not answer. */
export type ReplicaState = 'confirmed' | 'pending' | 'differs' | 'missing' | 'unknown';

export interface BlobLocation {
  readonly id: BlobId;
  readonly pair: PairId;
  /** null when the topology has no such pair. */
  readonly map: { readonly home: MemberId; readonly twin: MemberId } | null;
  readonly replicas: readonly { readonly member: MemberId; readonly state: ReplicaState }[];
}

export async function locateBlob(
  deps: {
    readonly pairs: ReadonlyMap<PairId, Pair>;
    readonly clients: ReadonlyMap<MemberId, NodeClient>;
  },
  blob: BlobRef,
): Promise<BlobLocation> {
  const pair = deps.pairs.get(blob.pair);
  const members = new Set([...(pair?.members ?? []), ...(blob.offMap ?? [])]);
  const replicas = await Promise.all(
    [...members].map(async (member) => ({ member, state: await stateOn(deps.clients.get(member), blob) })),
  );
  const map = pair ? { home: pair.members[0], twin: pair.members[1] } : null;
  return { id: blob.id, pair: blob.pair, map, replicas };
}

async function stateOn(client: NodeClient | undefined, blob: BlobRef): Promise<ReplicaState> {
  if (!client) return 'unknown';
  try {
    const entry = await client.stat(blob.id);
    if (!entry) return 'missing';
    return entry.size === blob.size && entry.root.equals(blob.root) ? entry.state : 'differs';
  } catch {
    return 'unknown';
  }
}
