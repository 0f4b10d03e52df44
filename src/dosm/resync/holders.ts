/** Who may have a replica of a blob, and what they say of it when they are asked. */
import type { BlobId, MemberId } from '../../base/ids.ts';
import type { BlobRef } from '../../ddm/catalog.ts';
import { type InventoryEntry, NodeError } from '../../nodes/protocol.ts';
import type { ConditionView } from '../../twin/condition.ts';
import type { Pair, Topology } from '../../twin/topology.ts';
import { isSameBlob } from './compare.ts';
import type { ReplicaClient, ReplicaClients } from './types.ts';

/** Who may have a replica: the twin first, then who holds one off the map; resyncing ones last, failed-over ones not. */
export function holdersOf(
  { topology, view }: { readonly topology: Pick<Topology, 'pairs'>; readonly view: ConditionView },
  blob: Pick<BlobRef, 'pair' | 'offMap'>,
  except: MemberId,
): { readonly asked: readonly MemberId[]; readonly leftOut: readonly MemberId[] } {
  const pair: Pair | undefined = topology.pairs.get(blob.pair);
  const all = [...new Set([...(pair?.members ?? []), ...(blob.offMap ?? [])])].filter((m) => m !== except);
  const inState = (state: string) => all.filter((member) => view.stateOf(member) === state);
  return { asked: [...inState('serving'), ...inState('resyncing')], leftOut: inState('failed-over') };
}

/** Asks each what its index says; who did not answer once is not asked again in this run. */
export async function askAll(
  clients: ReplicaClients,
  members: readonly MemberId[],
  blob: BlobRef,
  silent: Set<MemberId>,
): Promise<{ has: Map<MemberId, InventoryEntry>; silent: MemberId[] }> {
  const has = new Map<MemberId, InventoryEntry>();
  for (const member of members) {
    const client = clients.get(member);
    const answer = client && !silent.has(member) ? await askOne(client, blob) : 'silent';
    if (answer === 'silent') silent.add(member);
    else if (answer) has.set(member, answer);
  }
  return { has, silent: members.filter((member) => silent.has(member)) };
}

export async function askOne(
  client: ReplicaClient,
  blob: BlobRef,
): Promise<InventoryEntry | 'silent' | null> {
  try {
    const entry = await client.stat(blob.id);
    return entry && isSameBlob(entry, blob) ? entry : null;
  } catch (error) {
    if (error instanceof NodeError) return 'silent';
    throw error;
  }
}

export async function verifies(client: ReplicaClient, id: BlobId): Promise<boolean> {
  try {
    return (await client.check([id])).length === 0;
  } catch (error) {
    if (error instanceof NodeError) return false;
    throw error;
  }
}
