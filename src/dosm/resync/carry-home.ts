/**
 * Carries missing replicas home, for the repair job and for resync alike: the member pulls from whoever holds the blob,
 * every byte verified; then the repair ends; then the handoff copy that stood for it is dropped.
 * Invariants: what stands off the map is given up only when the member has verified its own replica and the twin says
 * that it has one too, so that two remain; a blob that nobody is known to have stays listed as lost.
 */
import type { Clock, Random } from '../../base/clock.ts';
import type { MemberId } from '../../base/ids.ts';
import type { BlobRef, OffMapReplica, Repair, RepairReason } from '../../ddm/catalog.ts';
import { NodeError, type PullResult } from '../../nodes/protocol.ts';
import type { ConditionView } from '../../twin/condition.ts';
import type { Topology } from '../../twin/topology.ts';
import { eachOf } from './each-of.ts';
import { askAll, askOne, holdersOf, verifies } from './holders.ts';
import { homeIntent } from './judge.ts';
import { type PullDeps, pullBlobs, type WantedBlob } from './pull.ts';
import type { ReplicaClient, ReplicaClients, WholeCatalog } from './types.ts';

export interface CarryDeps extends PullDeps {
  readonly catalog: Pick<
    WholeCatalog,
    'finishRepairs' | 'postponeRepairs' | 'findBlobs' | 'recordOffMap' | 'forgetOffMap'
  >;
  readonly clients: ReplicaClients;
  readonly topology: Pick<Topology, 'members' | 'pairs'>;
  readonly view: ConditionView;
  readonly clock: Clock;
  readonly random: Random;
  /** Looks for a blob that no holder on record has: who may have it; null when somebody who may was not asked. */
  readonly find?: (blob: BlobRef, signal: AbortSignal) => Promise<readonly MemberId[] | null>;
}
export interface CarryCounts {
  repaired: number;
  postponed: number;
  pulledBytes: number;
  /** Handoff copies dropped, and those that could not be now: the catalog lists them as surplus. */
  handoffsDropped: number;
  handoffsLeft: number;
  lost: number;
}
export const newCarryCounts = (): CarryCounts => ({
  ...{ repaired: 0, postponed: 0, pulledBytes: 0, handoffsDropped: 0, handoffsLeft: 0, lost: 0 },
});

const STATS_AT_ONCE = 16;
const RETRY_MS_FIRST = 1_000;
const RETRY_MS_MAX = 300_000;
const ERROR_CHARS_MAX = 200;

/** What is known of one repair before the bytes move. */
interface Plan {
  readonly repair: Repair;
  readonly blob: WantedBlob;
  /** Those who said that they have it, in the order in which they are asked. */
  readonly sources: readonly MemberId[];
  readonly twinHasIt: boolean;
}
type Failure = { readonly repair: Repair; readonly error: string; readonly reason?: RepairReason };

/** Ends or postpones each of the repairs, all of them for `member`. @throws what the catalog threw, and the signal's reason */
export async function carryHome(
  deps: CarryDeps,
  member: MemberId,
  repairs: readonly Repair[],
  counts: CarryCounts,
  signal: AbortSignal,
): Promise<void> {
  const target = deps.clients.get(member);
  if (!target) return postpone(deps, repairs.map(failing('no connection to the member')), counts);
  const silent = new Set<MemberId>();
  const here = await finishMoved(deps, repairs, counts);
  const planned = await eachOf(here, STATS_AT_ONCE, (repair) => {
    signal.throwIfAborted();
    return planOne(deps, target, repair, silent, signal);
  });
  await postpone(
    deps,
    planned.flatMap((plan) => ('error' in plan ? [plan] : [])),
    counts,
  );
  const groups = Map.groupBy(
    planned.flatMap((plan) => ('error' in plan ? [] : [plan])),
    (plan) => plan.sources.join(),
  );
  for (const plans of groups.values()) await pullGroup(deps, target, plans, counts, signal);
}

/** Blobs that live on another pair by now need no replica on the member. Answers the others. */
async function finishMoved(
  deps: CarryDeps,
  repairs: readonly Repair[],
  counts: CarryCounts,
): Promise<readonly Repair[]> {
  const moved = repairs.filter(({ blob, member }) => !isOfPair(deps, blob, member));
  if (moved.length === 0) return repairs;
  await finish(deps, moved, counts);
  return repairs.filter((repair) => !moved.includes(repair));
}

async function planOne(
  deps: CarryDeps,
  target: ReplicaClient,
  repair: Repair,
  silent: Set<MemberId>,
  signal: AbortSignal,
): Promise<Plan | Failure> {
  const { blob, member } = repair;
  const twin = deps.topology.pairs.get(blob.pair)?.members.find((other) => other !== member);
  const holders = holdersOf(deps, blob, member);
  let found = await askAll(deps.clients, holders.asked, blob, silent);
  if (found.has.size === 0 && found.silent.length === 0 && holders.leftOut.length === 0) {
    const sought = await (deps.find?.(blob, signal) ?? []);
    if (sought === null) return { repair, error: 'no replica among those that answer' };
    found = await askAll(
      deps.clients,
      sought.filter((other) => other !== member),
      blob,
      silent,
    );
    // From now on it is known, so that the copy is given up when the replica is home.
    for (const other of found.has.keys())
      if (!isOfPair(deps, blob, other)) await deps.catalog.recordOffMap(blob.id, other);
  }
  const { id, size, root } = blob;
  const [first] = found.has.values();
  if (first) {
    const wanted: WantedBlob = {
      id,
      size,
      root,
      state: 'confirmed',
      intent: homeIntent(first),
      replace: true,
    };
    const twinHasIt = twin !== undefined && found.has.has(twin);
    return { repair, blob: wanted, sources: [...found.has.keys()], twinHasIt };
  }
  return planWithoutSource(target, repair, [...found.silent, ...holders.leftOut]);
}

/** Nobody else has it: perhaps the member does, and the repair was for nothing. */
async function planWithoutSource(
  target: ReplicaClient,
  repair: Repair,
  unasked: readonly MemberId[],
): Promise<Plan | Failure> {
  const { blob } = repair;
  const own = await askOne(target, blob);
  if (own && own !== 'silent' && (await verifies(target, blob.id))) {
    const wanted: WantedBlob = { ...own, state: 'confirmed', intent: homeIntent(own), replace: true };
    return { repair, blob: wanted, sources: [], twinHasIt: false };
  }
  if (own === 'silent') return { repair, error: `${target.member} does not answer` };
  if (unasked.length > 0)
    return { repair, error: `no replica among those that answer; not asked: ${unasked.join(', ')}` };
  return { repair, error: 'no replica was found anywhere', reason: 'lost' };
}

async function pullGroup(
  deps: CarryDeps,
  target: ReplicaClient,
  plans: readonly Plan[],
  counts: CarryCounts,
  signal: AbortSignal,
): Promise<void> {
  const sources = plans[0]!.sources;
  const open = new Map(plans.map((plan) => [plan.blob.id, plan]));
  const onBatch = async (results: readonly PullResult[], bytes: number) => {
    counts.pulledBytes += bytes;
    const batch = results.map(({ id }) => open.get(id)!);
    for (const { id } of results) open.delete(id);
    await settle(deps, target, batch, results, counts);
  };
  try {
    if (sources.length === 0)
      await onBatch(
        plans.map(({ blob: { id } }) => ({ id, outcome: 'had' }) as const),
        0,
      );
    else
      await pullBlobs(
        deps,
        target,
        sources,
        plans.map((plan) => plan.blob),
        signal,
        onBatch,
      );
  } catch (error) {
    if (!(error instanceof NodeError) || signal.aborted) throw error;
    await postpone(
      deps,
      [...open.values()].map(({ repair }) => failing(error.message)(repair)),
      counts,
    );
  }
}

async function settle(
  deps: CarryDeps,
  target: ReplicaClient,
  plans: readonly Plan[],
  results: readonly PullResult[],
  counts: CarryCounts,
): Promise<void> {
  const failures: Failure[] = [];
  const home: Plan[] = [];
  for (const [index, plan] of plans.entries()) {
    const { outcome, kind, error } = results[index]!;
    if (outcome === 'failed') {
      failures.push({ repair: plan.repair, error: error ?? kind ?? 'not pulled' });
      // Other bytes under this id: no row is about them, and others have the right ones.
      if (kind === 'conflict') await target.drop([plan.blob.id]);
    } else home.push(plan);
  }
  const live = await liveOf(deps, target, home);
  const done = live.filter(({ repair, twinHasIt }) => twinHasIt || !repair.blob.offMap?.length);
  for (const { repair } of live.filter((plan) => !done.includes(plan)))
    failures.push({ repair, error: 'it is home, but its twin is not: what stands for it stays' });
  await postpone(deps, failures, counts);
  await finish(
    deps,
    done.map(({ repair }) => repair),
    counts,
  );
}

async function finish(deps: CarryDeps, repairs: readonly Repair[], counts: CarryCounts): Promise<void> {
  if (repairs.length === 0) return;
  const done = repairs.map(({ blob, member }) => ({ blobId: blob.id, member }));
  const surplus = await deps.catalog.finishRepairs(done);
  counts.repaired += repairs.length;
  await dropSurplus(deps, surplus, counts);
}

/** A blob that died meanwhile may have been reclaimed before its replica came: then nobody would ever drop that. */
async function liveOf(deps: CarryDeps, target: ReplicaClient, plans: readonly Plan[]): Promise<Plan[]> {
  if (plans.length === 0) return [];
  const ids = plans.map(({ blob }) => blob.id);
  const live = new Set((await deps.catalog.findBlobs(ids)).map(({ id }) => id));
  const dead = ids.filter((id) => !live.has(id));
  if (dead.length > 0) await target.drop(dead);
  return plans.filter(({ blob }) => live.has(blob.id));
}

/** Gives up copies off the map that are wanted no longer. Those whose holder does not answer stay listed as surplus. */
export async function dropSurplus(
  deps: Pick<CarryDeps, 'clients'> & { readonly catalog: Pick<WholeCatalog, 'forgetOffMap'> },
  copies: readonly OffMapReplica[],
  counts: Pick<CarryCounts, 'handoffsDropped' | 'handoffsLeft'>,
): Promise<void> {
  for (const [member, own] of Map.groupBy(copies, (copy) => copy.member)) {
    try {
      const client = deps.clients.get(member);
      if (!client) throw new NodeError('unreachable', member, 'no client for this member');
      await client.drop(own.map((copy) => copy.blobId));
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      counts.handoffsLeft += own.length;
      continue;
    }
    await deps.catalog.forgetOffMap(own);
    counts.handoffsDropped += own.length;
  }
}

const isOfPair = (deps: CarryDeps, blob: BlobRef, member: MemberId): boolean =>
  deps.topology.pairs.get(blob.pair)?.members.includes(member) ?? false;

const failing =
  (error: string) =>
  (repair: Repair): Failure => ({ repair, error });

async function postpone(
  { catalog, random }: CarryDeps,
  failures: readonly Failure[],
  counts: CarryCounts,
): Promise<void> {
  if (failures.length === 0) return;
  counts.postponed += failures.length;
  counts.lost += failures.filter(({ reason }) => reason === 'lost').length;
  await catalog.postponeRepairs(
    failures.map(({ repair, error, reason }) => ({
      blobId: repair.blob.id,
      member: repair.member,
      error: error.slice(0, ERROR_CHARS_MAX),
      retryMs: retryMsOf(repair.attempts - 1, random),
      ...(reason === undefined ? {} : { reason }),
    })),
  );
}

/** 1 s, 2 s, 4 s … 5 min, less up to a half, so that many do not come back at once. */
export const retryMsOf = (failedBefore: number, random: Random): number =>
  Math.round(
    Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** Math.max(0, Math.min(failedBefore, 20))) *
      (0.5 + random() / 2),
  );
