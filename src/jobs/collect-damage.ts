/**
 * Takes from the nodes what their scrub, reads and start-up found damaged, and queues it for repair. A damaged handoff copy
 * is copied again by its holder. Invariant: a node forgets a damage only when the catalog has it queued, or when the bytes
 * are nobody's.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId, PairId } from '../base/ids.ts';
import { holdersOf } from '../dosm/resync/holders.ts';
import { askCatalog } from '../dosm/resync/pass.ts';
import { type Pace, pullBlobs } from '../dosm/resync/pull.ts';
import type { ReplicaClient, ReplicaClients, WholeCatalog } from '../dosm/resync/types.ts';
import { type Damage, NodeError } from '../nodes/protocol.ts';
import type { ConditionView } from '../twin/condition.ts';
import type { Pair, Topology } from '../twin/topology.ts';

export interface DamageDeps {
  readonly catalog: Pick<WholeCatalog, 'knownBlobs' | 'findBlobs' | 'addRepairs'>;
  readonly clients: ReplicaClients;
  readonly topology: Pick<Topology, 'members'> & { readonly pairs: ReadonlyMap<PairId, Pair> };
  readonly view: ConditionView;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly intentMs: number;
  readonly pendingGraceMs: number;
}
export interface DamageCounts {
  /** Queued as repairs. */
  queued: number;
  /** Handoff copies that their holder copied again. */
  recopied: number;
  /** Times that a node did not answer. */
  nodesMissed: number;
}

const PAGE = 500;
const PAGES_MAX = 20;

/** Adds to `counts` as it goes. @throws what the catalog threw */
export async function collectDamage(
  deps: DamageDeps,
  counts: DamageCounts,
  signal: AbortSignal,
): Promise<void> {
  for (const [member, client] of deps.clients) {
    if (deps.view.stateOf(member) === 'failed-over') continue;
    try {
      await collectFrom(deps, client, counts, signal);
    } catch (error) {
      if (!(error instanceof NodeError) || signal.aborted) throw error;
      counts.nodesMissed += 1;
    }
  }
}

async function collectFrom(
  deps: DamageDeps,
  client: ReplicaClient,
  counts: DamageCounts,
  signal: AbortSignal,
): Promise<void> {
  let after: BlobId | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    signal.throwIfAborted();
    const found = await client.damage({ max: PAGE, ...(after === undefined ? {} : { after }) });
    if (found.length === 0) return;
    const settled = await settle(deps, client, found, counts, signal);
    if (settled.length > 0) await client.forgetDamage(settled);
    if (found.length < PAGE) return;
    after = found.at(-1)!.id;
  }
}

/** Answers those that the node may forget. */
async function settle(
  deps: DamageDeps,
  client: ReplicaClient,
  found: readonly Damage[],
  counts: DamageCounts,
  signal: AbortSignal,
): Promise<BlobId[]> {
  const { member } = client;
  const { known, live } = await askCatalog(
    deps,
    found.map(({ id }) => id),
  );
  const repairs = found.filter(({ id }) => {
    const row = live.get(id);
    return row !== undefined && isHome(deps, row.pair, member);
  });
  if (repairs.length > 0)
    await deps.catalog.addRepairs(
      repairs.map(({ id, kind }) => ({ blobId: id, member, reason: kind, foundBy: 'scrub' })),
    );
  counts.queued += repairs.length;
  const settled = repairs.map(({ id }) => id);
  for (const { id } of found.filter((damage) => !settled.includes(damage.id))) {
    const row = live.get(id);
    if (row?.offMap?.includes(member)) {
      if (!(await copyAgain(deps, client, row, signal))) continue;
      counts.recopied += 1;
      settled.push(id);
    } else if (row || known.has(id) || (await isNobodys(deps, client, id))) settled.push(id);
  }
  return settled;
}

const isHome = ({ topology }: DamageDeps, pair: PairId, member: MemberId): boolean =>
  topology.pairs.get(pair)?.members.includes(member) ?? false;

/** Of a write that may still be committed: it stays on the list until that is known. */
async function isNobodys(deps: DamageDeps, client: ReplicaClient, id: BlobId): Promise<boolean> {
  const entry = await client.stat(id);
  const over = deps.clock.now() - deps.intentMs - deps.pendingGraceMs;
  return entry === null || entry.state === 'confirmed' || entry.intent.intentAt < over;
}

async function copyAgain(
  deps: DamageDeps,
  client: ReplicaClient,
  row: Parameters<typeof holdersOf>[1] & { id: BlobId; size: number; root: Buffer },
  signal: AbortSignal,
): Promise<boolean> {
  const entry = await client.stat(row.id);
  if (!entry) return true;
  const { asked } = holdersOf(deps, row, client.member);
  if (asked.length === 0) return false;
  const { id, size, root } = row;
  const { state, intent } = entry;
  const blob = { id, size, root, state, intent, replace: true };
  const [result] = await pullBlobs(deps, client, asked, [blob], signal);
  return result?.outcome !== 'failed';
}
