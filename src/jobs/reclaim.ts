/**
 * Frees the bytes of blobs that no row refers to any more: taken from the catalog (after their grace), deleted on both
 * nodes of the pair and on members off the map, then forgotten. Invariant: a row is forgotten only when every
 * member that may hold a replica has confirmed; until then it comes back in a later run. Members that do not serve are not
 * asked: the row is the tombstone that outlives their absence.
 */
import type { BlobId, MemberId, PairId } from '../base/ids.ts';
import type { BlobRef, Catalog } from '../ddm/catalog.ts';
import { type NodeClient, NodeError } from '../nodes/protocol.ts';
import type { Pair } from '../twin/topology.ts';

export interface ReclaimDeps {
  readonly catalog: Pick<Catalog, 'takeDyingBlobs' | 'forgetBlobs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly serves: (member: MemberId) => boolean;
  readonly pairs: ReadonlyMap<PairId, Pair>;
  readonly blobGraceMs: number;
  readonly batch: number;
}
export interface ReclaimCounts {
  reclaimed: number;
  /** Times that a blob had to wait for a node that did not answer. */
  postponed: number;
}

/** Batches per run. */
const BATCHES_MAX = 50;

/** Adds to `counts` as it goes. @throws what the catalog threw */
export async function reclaim(deps: ReclaimDeps, counts: ReclaimCounts, signal: AbortSignal): Promise<void> {
  const away = new Set([...deps.clients.keys()].filter((member) => !deps.serves(member)));
  for (let batches = 0; batches < BATCHES_MAX; batches += 1) {
    signal.throwIfAborted();
    const dying = await deps.catalog.takeDyingBlobs(deps.batch, deps.blobGraceMs);
    if (dying.length === 0) return;
    const gone = await deleteEverywhere(
      deps,
      dying.map(({ blob }) => blob),
      away,
    );
    if (gone.length > 0) await deps.catalog.forgetBlobs(gone);
    counts.reclaimed += gone.length;
    counts.postponed += dying.length - gone.length;
    if (dying.length < deps.batch) return;
  }
}

/** The blobs whose holders have all confirmed. A member that is `away` is not asked, and joins it when it fails. */
async function deleteEverywhere(
  deps: ReclaimDeps,
  blobs: readonly BlobRef[],
  away: Set<MemberId>,
): Promise<BlobId[]> {
  const byMember = new Map<MemberId, BlobId[]>();
  const waiting = new Set<BlobId>();
  for (const blob of blobs) {
    const pair = deps.pairs.get(blob.pair);
    if (!pair) waiting.add(blob.id);
    for (const member of new Set([...(pair?.members ?? []), ...(blob.offMap ?? [])])) {
      const ids = byMember.get(member);
      if (ids) ids.push(blob.id);
      else byMember.set(member, [blob.id]);
    }
  }
  await Promise.all(
    [...byMember].map(async ([member, ids]) => {
      if (!away.has(member) && (await deleteOn(deps.clients.get(member), ids))) return;
      away.add(member);
      for (const id of ids) waiting.add(id);
    }),
  );
  return blobs.map((blob) => blob.id).filter((id) => !waiting.has(id));
}

async function deleteOn(client: NodeClient | undefined, ids: readonly BlobId[]): Promise<boolean> {
  if (!client) return false;
  try {
    await client.drop(ids); // the catalog has decided: no epoch has a say in it
    return true;
  } catch (error) {
    if (error instanceof NodeError) return false;
    throw error;
  }
}
