/**
 * One pass of a returning member over what differs from its twin: each differing range is listed on both sides, judged
 * with the catalog, and acted upon. In the pass `tombstones` nothing is pulled; in the pass `pull` everything is done.
 * Nothing is held but a batch, and every step may be repeated, so a pass that breaks off is begun again.
 */
import type { BlobId } from '../../base/ids.ts';
import type { NewRepair } from '../../ddm/catalog.ts';
import { NodeError, type PullResult } from '../../nodes/protocol.ts';
import type { ConditionView } from '../../twin/condition.ts';
import { dropSurplus } from './carry-home.ts';
import { type Difference, type DifferingRange, differences, type Sides } from './compare.ts';
import { eachOf } from './each-of.ts';
import { type Case, type CatalogSays, judge, type Verdict } from './judge.ts';
import type { ResyncLease } from './lease.ts';
import { type PullDeps, pullBlobs } from './pull.ts';
import type { ReplicaClients, WholeCatalog } from './types.ts';

export interface PassDeps extends PullDeps {
  readonly catalog: Pick<
    WholeCatalog,
    'knownBlobs' | 'findBlobs' | 'addRepairs' | 'finishRepairs' | 'forgetOffMap' | 'recordOffMap'
  >;
  readonly clients: ReplicaClients;
  readonly view: Pick<ConditionView, 'stateOf'>;
}
export interface Pass {
  readonly kind: 'tombstones' | 'pull';
  readonly where: Case;
  readonly sides: Sides;
  readonly lease: ResyncLease;
  readonly signal: AbortSignal;
}
export interface PassResult {
  /** Blobs that rows promise on the member, that no handoff stands for, and that it did not have. */
  owed: number;
  /** Those that it does not have yet: queued as repairs. */
  failed: number;
}

const JUDGED_AT_ONCE = 500;
/** Blobs, or ranges, that are listed before anything is judged; and lists at once. */
const LISTED_AT_ONCE = 2_000;
const RANGES_AT_ONCE = 256;
const LISTS_AT_ONCE = 8;

export async function runPass(
  deps: PassDeps,
  pass: Pass,
  ranges: AsyncIterable<DifferingRange> | Iterable<DifferingRange>,
): Promise<PassResult> {
  const result: PassResult = { owed: 0, failed: 0 };
  for await (const group of groupsOf(ranges)) {
    let batch: Difference[] = [];
    for await (const difference of listed(pass.sides, group)) {
      batch.push(difference);
      if (batch.length < JUDGED_AT_ONCE) continue;
      await settle(deps, pass, batch, result);
      batch = [];
    }
    if (batch.length > 0) await settle(deps, pass, batch, result);
  }
  await pass.lease.save();
  return result;
}

/** Small ranges together, so that scattered differences do not cost a round of questions each; a large one alone. */
async function* groupsOf(
  ranges: AsyncIterable<DifferingRange> | Iterable<DifferingRange>,
): AsyncGenerator<DifferingRange[]> {
  let group: DifferingRange[] = [];
  let blobs = 0;
  for await (const range of ranges) {
    group.push(range);
    blobs += Math.max(range.memberCount, range.twinCount);
    if (blobs < LISTED_AT_ONCE && group.length < RANGES_AT_ONCE) continue;
    yield group;
    group = [];
    blobs = 0;
  }
  if (group.length > 0) yield group;
}

async function* listed(sides: Sides, group: readonly DifferingRange[]): AsyncGenerator<Difference> {
  const [large] = group;
  if (group.length === 1 && large) return yield* differences(sides, large.prefix);
  const lists = await eachOf(group, LISTS_AT_ONCE, async ({ prefix }) => {
    const list: Difference[] = [];
    for await (const difference of differences(sides, prefix)) list.push(difference);
    return list;
  });
  yield* lists.flat();
}

async function settle(
  deps: PassDeps,
  pass: Pass,
  batch: readonly Difference[],
  result: PassResult,
): Promise<void> {
  pass.signal.throwIfAborted();
  const says = await askCatalog(
    deps,
    batch.map(({ id }) => id),
  );
  pass.signal.throwIfAborted();
  const verdict = judge(batch, says, pass.where);
  await dropDead(pass, verdict.drop);
  for (const id of verdict.strangers) await deps.catalog.recordOffMap(id, pass.where.member);
  await giveBack(deps, pass, verdict);
  if (pass.kind === 'pull') await pullOwed(deps, pass, verdict, result);
}

/** In this order: see CatalogSays. */
export async function askCatalog(
  { catalog }: { readonly catalog: Pick<WholeCatalog, 'knownBlobs' | 'findBlobs'> },
  ids: readonly BlobId[],
): Promise<CatalogSays> {
  const known = await catalog.knownBlobs(ids);
  const live = known.size === 0 ? [] : await catalog.findBlobs([...known]);
  return { known, live: new Map(live.map((row) => [row.id, row])) };
}

async function dropDead({ sides, lease }: Pass, ids: readonly BlobId[]): Promise<void> {
  if (ids.length === 0) return;
  await sides.member.drop(ids);
  lease.figures.removedBlobs += ids.length;
}

/** What the twin lacks it gets at once; what it cannot get is a repair like any other. */
async function giveBack(deps: PassDeps, pass: Pass, { giveBack: wanted, repairs }: Verdict): Promise<void> {
  const { where, sides, signal } = pass;
  const given = new Set<BlobId>();
  if (wanted.length > 0) {
    // The twin has other bytes under these ids, which no row is about.
    const wrong = repairs.filter(({ reason }) => reason === 'corrupt').map(({ blobId }) => blobId);
    const replaced = wanted.filter(({ id }) => wrong.includes(id)).map(({ id }) => id);
    if (replaced.length > 0) await sides.twin.drop(replaced);
    const results = await pullBlobs(deps, sides.twin, [where.member], wanted, signal);
    for (const { id, outcome } of results) if (outcome !== 'failed') given.add(id);
    const done = [...given].map((blobId) => ({ blobId, member: where.twin }));
    const surplus = done.length > 0 ? await deps.catalog.finishRepairs(done) : [];
    await dropSurplus(deps, surplus, { handoffsDropped: 0, handoffsLeft: 0 });
  }
  const failed = repairs.filter(({ blobId }) => !given.has(blobId));
  if (failed.length > 0) await deps.catalog.addRepairs(failed);
}

/** @throws {NodeError} when the member has no room: it stays out until it has */
async function pullOwed(deps: PassDeps, pass: Pass, { pull }: Verdict, result: PassResult): Promise<void> {
  const { where, sides, lease, signal } = pass;
  result.owed += pull.filter(({ isOwed }) => isOwed).length;
  for (const group of Map.groupBy(pull, ({ offMap }) => offMap.join()).values()) {
    const others = group[0]!.offMap.filter((other) => deps.view.stateOf(other) === 'serving');
    const sources = [where.twin, ...others];
    const byId = new Map(group.map((item) => [item.blob.id, item]));
    const failed: PullResult[] = [];
    const onBatch = async (results: readonly PullResult[], bytes: number) => {
      lease.figures.pulledBlobs += results.filter(({ outcome }) => outcome === 'pulled').length;
      lease.figures.pulledBytes += bytes;
      lease.figures.toPull = Math.max(lease.figures.toPull, lease.figures.pulledBlobs);
      failed.push(...results.filter(({ outcome }) => outcome === 'failed'));
      await lease.save();
    };
    await pullBlobs(
      deps,
      sides.member,
      sources,
      group.map(({ blob }) => blob),
      signal,
      onBatch,
    );
    const full = failed.find(({ kind }) => kind === 'full');
    if (full) throw new NodeError('full', where.member, full.error ?? 'no room');
    // A write in flight that was given up is not missed by anybody, and what has a handoff is queued.
    const owed = failed.filter(({ id }) => byId.get(id)!.isOwed);
    result.failed += owed.length;
    await queueFailed(deps, pass, owed);
  }
}

/** @throws {NodeError} when the twin does not answer: then nothing is known of the blobs */
async function queueFailed(
  deps: PassDeps,
  { where, sides }: Pass,
  failed: readonly PullResult[],
): Promise<void> {
  if (failed.length === 0) return;
  await sides.twin.status();
  await deps.catalog.addRepairs(
    failed.map(
      ({ id }): NewRepair => ({ blobId: id, member: where.member, reason: 'missing', foundBy: 'resync' }),
    ),
  );
}
