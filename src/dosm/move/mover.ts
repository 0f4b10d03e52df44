/**
 * Moves blobs from their pair to another one: both members of the new pair copy it, verified and durable; then its row is
 * moved by compare-and-set; then the old members drop it. Driven by what a member of the old pair holds, whose intents say
 * where placement wants each blob.
 *
 * Nothing is lost however it is broken off, and it may be begun again at any time, by two gateways at once too, in either
 * direction: a copy is pending until its row has moved, and passes leave pending ones alone; nothing is dropped unless both
 * members of the row's pair have just said that they have it, where just means less than `dropAfterMs` ago; a moved blob
 * that the new pair lacks all the same is recorded off the map and so carried home. A reader that holds the
 * old row reads from the old members until they drop, which is `dropAfterMs` after the move at the earliest; one that
 * is slower finds the blob by search. Only what stands on both of its members moves: repairs come first.
 */
import type { Clock } from '../../base/clock.ts';
import type { BlobId, MemberId, PairId } from '../../base/ids.ts';
import type { BlobRef } from '../../ddm/catalog.ts';
import type { InventoryEntry, WriteIntent } from '../../nodes/protocol.ts';
import type { ConditionView } from '../../twin/condition.ts';
import type { Pair, Topology } from '../../twin/topology.ts';
import type { Placement } from '../placement.ts';
import { type PullDeps, pullBlobs } from '../resync/pull.ts';
import type { ReplicaClients, WholeCatalog } from '../resync/types.ts';

export interface MoveDeps extends PullDeps {
  readonly catalog: Pick<WholeCatalog, 'findBlobs' | 'moveBlobs' | 'knownBlobs' | 'recordOffMap'>;
  readonly clients: ReplicaClients;
  readonly topology: Topology;
  readonly view: Pick<ConditionView, 'stateOf' | 'epochOf'>;
  readonly clock: Clock;
}
export interface MoveOrder {
  readonly from: PairId;
  /** Where the blob belongs, or null where it is fine. */
  readonly targetOf: (placement: Placement) => PairId | null;
  readonly dropAfterMs: number;
  /** Counts and copies nothing. */
  readonly dryRun?: boolean;
}
export interface MoveCounts {
  seen: number;
  moved: number;
  movedBytes: number;
  /** Of what would move: what could not now (a member does not serve, a repair waits, a copy failed). */
  waiting: number;
  dropped: number;
}

const PAGE = 500;
const DROPPED_AT_ONCE = 32;

export const newMoveCounts = (): MoveCounts => ({ seen: 0, moved: 0, movedBytes: 0, waiting: 0, dropped: 0 });

/** One pass over the pair. Adds to `counts` as it goes. @throws {NodeError}, what the catalog threw, the signal's reason */
export async function movePass(
  deps: MoveDeps,
  order: MoveOrder,
  counts: MoveCounts,
  signal: AbortSignal,
): Promise<void> {
  const pair = deps.topology.pairs.get(order.from);
  if (!pair) throw new RangeError(`there is no pair ${order.from}`);
  const leftOvers: { ids: readonly BlobId[]; notBefore: number }[] = [];
  const [first, ...others] = pair.members.filter((id) => deps.view.stateOf(id) === 'serving');
  if (first === undefined) return;
  for await (const page of inventoryOf(deps, first, signal)) {
    const rows = await rowsOf(
      deps,
      page.map(({ id }) => id),
    );
    const wanted = new Map<PairId, { row: BlobRef; entry: InventoryEntry }[]>();
    for (const entry of page) {
      const row = rows.get(entry.id);
      if (!row) continue;
      counts.seen += 1;
      const target = row.pair === order.from ? order.targetOf(placementOf(entry.intent)) : null;
      if (target === null || target === order.from) continue;
      wanted.set(target, [...(wanted.get(target) ?? []), { row, entry }]);
    }
    if (!order.dryRun) await clear(deps, order, pair, page, rows, counts);
    for (const [target, blobs] of wanted) {
      if (order.dryRun) {
        counts.moved += blobs.length;
        counts.movedBytes += blobs.reduce((sum, { row }) => sum + row.size, 0);
        continue;
      }
      const moved = await moveSome(deps, pair, target, blobs, counts, signal);
      if (moved.length > 0)
        leftOvers.push({ ids: moved, notBefore: deps.clock.monotonic() + order.dropAfterMs });
    }
  }
  // Members hold the same, but for what an earlier run dropped on one of them only.
  for (const other of order.dryRun ? [] : others) {
    for await (const page of inventoryOf(deps, other, signal)) {
      const ids = page.map(({ id }) => id);
      await clear(
        deps,
        order,
        pair,
        page,
        await rowsOf(deps, ids),
        counts,
        new Set(leftOvers.flatMap((l) => l.ids)),
      );
    }
  }
  for (const { ids, notBefore } of leftOvers) {
    const restMs = notBefore - deps.clock.monotonic();
    if (restMs > 0) await deps.clock.sleep(restMs, signal);
    counts.dropped += await dropMoved(deps, pair, ids, order.dropAfterMs);
  }
}

/** Drops what an earlier run moved and did not come to drop (its readers are long gone), and what died elsewhere. */
async function clear(
  deps: MoveDeps,
  { dropAfterMs }: MoveOrder,
  pair: Pair,
  page: readonly InventoryEntry[],
  rows: ReadonlyMap<BlobId, BlobRef>,
  counts: MoveCounts,
  except: ReadonlySet<BlobId> = new Set(),
): Promise<void> {
  const moved: BlobId[] = [];
  const rowless: BlobId[] = [];
  for (const { id, state } of page) {
    const row = rows.get(id);
    // Pending ones are their write's, or of a move to here; a confirmed one has had a row, and died, or moved and died.
    if (state === 'pending') continue;
    if (!row) rowless.push(id);
    else if (row.pair !== pair.id && !isHeldFor(row, pair) && !except.has(id)) moved.push(id);
  }
  counts.dropped += await dropMoved(deps, pair, moved, dropAfterMs);
  counts.dropped += await dropDead(deps, pair, rowless);
}

async function* inventoryOf(
  { clients }: MoveDeps,
  member: MemberId,
  signal: AbortSignal,
): AsyncGenerator<readonly InventoryEntry[]> {
  const client = clients.get(member);
  for (let after: BlobId | undefined; client; ) {
    signal.throwIfAborted();
    const page = await client.inventory({ max: PAGE, scope: 'home', ...(after && { after }) });
    if (page.length === 0) return;
    yield page;
    after = page.at(-1)!.id;
  }
}

async function rowsOf({ catalog }: MoveDeps, ids: readonly BlobId[]): Promise<ReadonlyMap<BlobId, BlobRef>> {
  return new Map((await catalog.findBlobs(ids)).map((row) => [row.id, row]));
}

/** Answers the blobs whose rows have moved. */
async function moveSome(
  deps: MoveDeps,
  from: Pair,
  to: PairId,
  blobs: readonly { row: BlobRef; entry: InventoryEntry }[],
  counts: MoveCounts,
  signal: AbortSignal,
): Promise<readonly BlobId[]> {
  const { catalog, clients, topology, view } = deps;
  const target = topology.pairs.get(to);
  const serves = (member: MemberId) => view.stateOf(member) === 'serving' && clients.has(member);
  const whole = blobs.filter(({ row }) => !row.absent?.length && !row.offMap?.length);
  counts.waiting += blobs.length - whole.length;
  const sources = from.members.filter(serves);
  if (!target?.members.every(serves) || sources.length === 0) {
    counts.waiting += whole.length;
    return [];
  }
  const toEpoch = view.epochOf(to);
  const wanted = whole.map(({ row, entry }) => {
    const { handoffFor: _, ...rest } = entry.intent;
    const intent = { ...rest, intentAt: deps.clock.now() };
    return { id: row.id, size: row.size, root: row.root, state: 'pending', intent, replace: true } as const;
  });
  // Both copy from the old pair at once: the second one's bytes have been verified as the first one's were.
  const results = await Promise.all(
    target.members.map((member) => pullBlobs(deps, clients.get(member)!, sources, wanted, signal)),
  );
  const copied = whole.filter((_, at) => results.every((result) => result[at]!.outcome !== 'failed'));
  counts.waiting += whole.length - copied.length;
  signal.throwIfAborted();
  const moved = await catalog.moveBlobs(
    copied.map(({ row }) => ({ blobId: row.id, from: from.id, to, toEpoch })),
  );
  const isMoved = new Set(moved);
  counts.moved += moved.length;
  counts.movedBytes += copied.reduce((sum, { row }) => sum + (isMoved.has(row.id) ? row.size : 0), 0);
  await dropUnmoved(
    deps,
    target,
    copied.map(({ row }) => row.id).filter((id) => !isMoved.has(id)),
  );
  // What is not confirmed now the reaper confirms.
  if (moved.length > 0) for (const member of target.members) await clients.get(member)!.confirm(moved);
  return moved;
}

/** Of those that died the copies go. The others may be about to be moved here by another gateway. */
async function dropUnmoved(deps: MoveDeps, target: Pair, ids: readonly BlobId[]): Promise<void> {
  if (ids.length === 0) return;
  const rows = await rowsOf(deps, ids);
  const dead = ids.filter((id) => !rows.has(id));
  if (dead.length === 0) return;
  for (const member of target.members) await deps.clients.get(member)!.drop(dead);
}

/** Drops from the old pair what its rows no longer place there, once both members of the new pair say that they have it. */
async function dropMoved(
  deps: MoveDeps,
  from: Pair,
  ids: readonly BlobId[],
  withinMs: number,
): Promise<number> {
  let dropped = 0;
  for (let at = 0; at < ids.length; at += DROPPED_AT_ONCE) {
    // Whoever moves one back meanwhile drops no sooner than this after it.
    const until = deps.clock.monotonic() + withinMs;
    const over = await movedAway(deps, from, ids.slice(at, at + DROPPED_AT_ONCE));
    if (deps.clock.monotonic() < until) dropped += await dropOn(deps, from, over);
  }
  return dropped;
}

async function movedAway(deps: MoveDeps, from: Pair, ids: readonly BlobId[]): Promise<readonly BlobId[]> {
  const rows = await rowsOf(deps, ids);
  const over: BlobId[] = [];
  for (const id of ids) {
    const row = rows.get(id);
    if (!row || row.pair === from.id || isHeldFor(row, from)) continue;
    const members = deps.topology.pairs.get(row.pair)?.members ?? [];
    if (!members.every((member) => deps.clients.has(member))) continue;
    if ((await holdersAmong(deps, members, row)).length === members.length) over.push(id);
    else {
      const [holder] = await holdersAmong(deps, from.members, row);
      if (holder !== undefined) await deps.catalog.recordOffMap(id, holder);
    }
  }
  return over;
}

async function holdersAmong({ clients, view }: MoveDeps, members: readonly MemberId[], row: BlobRef) {
  const serving = members.filter((member) => view.stateOf(member) === 'serving');
  const entries = await Promise.all(serving.map((member) => clients.get(member)?.stat(row.id) ?? null));
  return serving.filter((_, at) => entries[at]?.size === row.size && entries[at]?.root.equals(row.root));
}

/** Blobs that died after they had moved are reclaimed from the new pair alone; what dies here the reclaim still knows. */
async function dropDead(deps: MoveDeps, from: Pair, ids: readonly BlobId[]): Promise<number> {
  if (ids.length === 0) return 0;
  const known = await deps.catalog.knownBlobs(ids);
  return await dropOn(
    deps,
    from,
    ids.filter((id) => !known.has(id)),
  );
}

/** A member that is away drops them by its resync: neither its twin nor a row of its pair has them. */
async function dropOn({ clients, view }: MoveDeps, pair: Pair, ids: readonly BlobId[]): Promise<number> {
  if (ids.length === 0) return 0;
  for (const member of pair.members)
    if (view.stateOf(member) === 'serving') await clients.get(member)?.drop(ids);
  return ids.length;
}

/** A member of the pair keeps the blob for somebody else, by the record. */
const isHeldFor = (row: BlobRef, pair: Pair): boolean =>
  pair.members.some((member) => row.offMap?.includes(member));

function placementOf({ bucket, key, uploadId, partNumber }: WriteIntent): Placement {
  return uploadId !== undefined && partNumber !== undefined
    ? { kind: 'part', uploadId, partNumber }
    : { kind: 'object', bucket, key };
}
