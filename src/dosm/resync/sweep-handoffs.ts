/**
 * Goes through the handoffs that a node holds and gives up those that stand for nobody any more: their blob is dead, their
 * write was never committed, or their replica is home and the order to drop them was lost.
 * Invariant: a copy of a live blob is dropped only when both members of its pair say that they have it; else it is put on
 * record again, and repairs carry it home.
 */
import type { BlobId, MemberId } from '../../base/ids.ts';
import type { BlobRef } from '../../ddm/catalog.ts';
import { type InventoryEntry, NodeError } from '../../nodes/protocol.ts';
import type { Topology } from '../../twin/topology.ts';
import { isSameBlob } from './compare.ts';
import { askCatalog } from './pass.ts';
import type { ReplicaClient, ReplicaClients, WholeCatalog } from './types.ts';

export interface SweepDeps {
  readonly catalog: Pick<WholeCatalog, 'knownBlobs' | 'findBlobs' | 'recordOffMap'>;
  readonly clients: ReplicaClients;
  readonly topology: Pick<Topology, 'pairs'>;
}

const PAGE = 500;

/** Answers how many were dropped. @throws {NodeError} of the holder, and what the catalog threw */
export async function sweepHandoffs(
  deps: SweepDeps,
  holder: ReplicaClient,
  expiredBefore: number,
  signal: AbortSignal,
): Promise<number> {
  let dropped = 0;
  let after: BlobId | undefined;
  for (;;) {
    signal.throwIfAborted();
    const page = await holder.inventory({
      max: PAGE,
      scope: 'handoff',
      ...(after === undefined ? {} : { after }),
    });
    if (page.length === 0) return dropped;
    const { known, live } = await askCatalog(
      deps,
      page.map(({ id }) => id),
    );
    const over: BlobId[] = [];
    for (const entry of page) {
      signal.throwIfAborted();
      const row = live.get(entry.id);
      const isOver = row
        ? await isNeededNoMore(deps, holder.member, row)
        : known.has(entry.id) || entry.state === 'confirmed' || entry.intent.intentAt < expiredBefore;
      if (isOver) over.push(entry.id);
    }
    if (over.length > 0) await holder.drop(over);
    dropped += over.length;
    if (page.length < PAGE) return dropped;
    after = page.at(-1)!.id;
  }
}

async function isNeededNoMore(deps: SweepDeps, holder: MemberId, row: BlobRef): Promise<boolean> {
  if (row.offMap?.includes(holder)) return false;
  const members = deps.topology.pairs.get(row.pair)?.members ?? [];
  const entries = await Promise.all(members.map((member) => entryOf(deps.clients.get(member), row.id)));
  const isHome = entries.length === 2 && entries.every((entry) => entry !== null && isSameBlob(entry, row));
  if (!isHome) await deps.catalog.recordOffMap(row.id, holder);
  return isHome;
}

async function entryOf(client: ReplicaClient | undefined, id: BlobId): Promise<InventoryEntry | null> {
  try {
    return (await client?.stat(id)) ?? null;
  } catch (error) {
    if (error instanceof NodeError) return null;
    throw error;
  }
}
