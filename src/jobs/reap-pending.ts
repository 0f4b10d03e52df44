/**
 * Settles pending blobs whose write can no longer be committed: one that a row names is confirmed (its confirmation
 * was lost), one that none names is deleted (its write was refused, broke off, or its gateway died).
 * Invariant: nothing is deleted unless every directory has answered; a node that does not answer, or does not serve, is
 * left for a later run. Handoffs are named like any other blob. Safe on many gateways at once, as both verbs are idempotent.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId } from '../base/ids.ts';
import type { Catalog } from '../ddm/catalog.ts';
import { type NodeClient, NodeError } from '../nodes/protocol.ts';

export interface ReapDeps {
  readonly catalog: Pick<Catalog, 'knownBlobs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly serves: (member: MemberId) => boolean;
  readonly clock: Clock;
  readonly intentMs: number;
  readonly pendingGraceMs: number;
  readonly batch: number;
}
export interface ReapCounts {
  confirmed: number;
  deleted: number;
  /** Nodes that did not answer, over all runs. */
  nodesMissed: number;
}

/** Batches per node and run, so that one node with a long list does not hold up the others. */
const BATCHES_MAX = 20;

/** Adds to `counts` as it goes. @throws what the catalog threw: then nothing more is done. */
export async function reapPending(deps: ReapDeps, counts: ReapCounts, signal: AbortSignal): Promise<void> {
  for (const client of deps.clients.values()) {
    if (!deps.serves(client.member)) continue;
    try {
      await reapNode(deps, client, counts, signal);
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      counts.nodesMissed += 1;
    }
  }
}

async function reapNode(
  deps: ReapDeps,
  client: NodeClient,
  counts: ReapCounts,
  signal: AbortSignal,
): Promise<void> {
  const { batch: max, clock, catalog } = deps;
  const before = clock.now() - deps.intentMs - deps.pendingGraceMs;
  let after: BlobId | undefined;
  for (let batches = 0; batches < BATCHES_MAX; batches += 1) {
    signal.throwIfAborted();
    const entries = await client.pending({ before, max, ...(after === undefined ? {} : { after }) });
    if (entries.length === 0) return;
    const ids = entries.map((entry) => entry.id);
    const known = await catalog.knownBlobs(ids);
    signal.throwIfAborted();
    const named = ids.filter((id) => known.has(id));
    const unnamed = ids.filter((id) => !known.has(id));
    if (named.length > 0) await client.confirm(named);
    counts.confirmed += named.length;
    if (unnamed.length > 0) await client.drop(unnamed);
    counts.deleted += unnamed.length;
    if (entries.length < max) return;
    after = ids.at(-1);
  }
}
