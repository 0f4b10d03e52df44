/**
 * How a member that was away returns. It is `resyncing` in the record and answers no data request until it serves:
 *
 *   tombstones   what died while it was away is dropped; what the twin lost is given back
 *   compare      how much differs
 *   pull         it pulls what it lacks
 *   handoffs     repairs that wait for it are carried home, until few are left or clients make new ones as fast
 *   audit        it is compared again, until both are equal or what differs is younger than the last look
 *   (its records of names are made those of its twin: copy-names.ts)
 *   serving      compare-and-set in the record; then it and its twin are told
 *
 * The member receives no client's write meanwhile: what its twin gets has a handoff, or is queued as lag, in the same
 * commit; so whatever the last look at the twin did not see is queued as a repair, which the repair job carries home when
 * the member serves. An empty disk is the same procedure. Everything may be repeated: a crash of the gateway, the member or
 * the twin costs a new comparison. The facts: the record (epoch, state), both inventories, the catalog.
 */
import type { Logger } from 'pino';
import type { Epoch, MemberId } from '../../base/ids.ts';
import { NodeError, type NodeStatus } from '../../nodes/protocol.ts';
import type { Pair } from '../../twin/topology.ts';
import { type CarryDeps, carryHome, newCarryCounts } from './carry-home.ts';
import { type DifferingRange, differingRanges, type Sides } from './compare.ts';
import { copyNames } from './copy-names.ts';
import type { Case } from './judge.ts';
import { LeaseLost, ResyncLease } from './lease.ts';
import { type Pass, runPass } from './pass.ts';
import { sweepHandoffs } from './sweep-handoffs.ts';
import type { WholeCatalog } from './types.ts';

export interface ResyncDeps extends CarryDeps {
  readonly catalog: CarryDeps['catalog'] &
    Pick<
      WholeCatalog,
      'addRepairs' | 'knownBlobs' | 'takeRepairs' | 'countRepairs' | 'leaseResync' | 'changeCondition'
    >;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The gateway's id. */
  readonly owner: string;
  readonly leaseMs: number;
  /** A write that began longer ago can no longer be committed: intentMs and its grace. */
  readonly intentMs: number;
}

export type ResyncEnd =
  | 'serving'
  | 'elsewhere' // another gateway drives it
  | 'void'; // the record changed meanwhile: the member is not resyncing under this epoch any more

/** With so few repairs left the member may serve: a read of one of those blobs costs one question more. */
const LAG_MAX = 16;
const CARRIED_AT_ONCE = 256;
const CARRY_ROUNDS_MAX = 1_000;
const ROUNDS_WITHOUT_GAIN_MAX = 3;
const AUDIT_ROUNDS_MAX = 4;
const REPAIR_LEASE_MS = 30_000;
const PUT_OFF_MS = 500;

class Void extends Error {}

interface Run {
  readonly deps: ResyncDeps;
  readonly member: MemberId;
  readonly twin: MemberId;
  readonly pair: Pair;
  readonly epoch: Epoch;
  readonly sides: Sides;
  readonly lease: ResyncLease;
  readonly signal: AbortSignal;
}

/**
 * Does what is left to be done. @throws {NodeError} when the member or its twin does not answer, and what the catalog
 * threw: the caller tries again after a pause.
 */
export async function runResync(deps: ResyncDeps, member: MemberId, stop: AbortSignal): Promise<ResyncEnd> {
  const pair = [...deps.topology.pairs.values()].find(({ members }) => members.includes(member));
  const twin = pair?.members.find((other) => other !== member);
  const own = deps.clients.get(member);
  const other = twin && deps.clients.get(twin);
  if (!pair || !twin || !own || !other) throw new Error(`${member} is no member of a pair of nodes`);
  const epoch = deps.view.epochOf(pair.id);
  if (deps.view.stateOf(member) !== 'resyncing') return 'void';
  const { catalog, clock, owner, leaseMs } = deps;
  const lease = await ResyncLease.take({ catalog, clock, member, epoch, owner, leaseMs });
  if (!lease) return elsewhereOrVoid(deps, member, pair, epoch);
  const signal = AbortSignal.any([stop, lease.signal]);
  const run: Run = { deps, member, twin, pair, epoch, sides: { member: own, twin: other }, lease, signal };
  try {
    await bringBack(run);
    return 'serving';
  } catch (error) {
    if (lease.signal.aborted || error instanceof LeaseLost) return elsewhereOrVoid(deps, member, pair, epoch);
    if (error instanceof Void) return 'void';
    if (!stop.aborted) await lease.save((error as Error).message).catch(() => {});
    throw error;
  } finally {
    await lease.close(stop.aborted);
  }
}

/** No lease is given for an epoch that has passed. */
async function elsewhereOrVoid(
  { view }: ResyncDeps,
  member: MemberId,
  pair: Pair,
  epoch: Epoch,
): Promise<ResyncEnd> {
  await view.reload();
  return view.stateOf(member) === 'resyncing' && view.epochOf(pair.id) === epoch ? 'elsewhere' : 'void';
}

async function bringBack(run: Run): Promise<void> {
  const { sides, epoch, lease, deps } = run;
  assertValid(run);
  const before = await sides.member.setCondition({ state: 'resyncing', epoch });
  await lease.enter('tombstones');
  // What it holds for others may stand for nobody by now.
  const expiredBefore = deps.clock.now() - deps.intentMs;
  lease.figures.removedBlobs += await sweepHandoffs(deps, sides.member, expiredBefore, run.signal);
  await pass(run, 'tombstones', withMemberBlobs(differingRanges(sides)));
  await lease.enter('compare');
  const ranges = await compare(run);
  await lease.enter('pull');
  await pass(run, 'pull', ranges);
  await lease.enter('handoffs');
  await carryHandoffs(run);
  await lease.enter('audit');
  await audit(run);
  assertValid(run);
  const names = await copyNames(run.sides, epoch, run.signal);
  if (names > 0) deps.log.info({ member: run.member, names }, 'resync: records of names are as on the twin');
  await serve(run, before);
}

/** @throws {Void} when the record has gone on; {NodeError} while there is no twin to compare with */
function assertValid({ deps: { view }, member, twin, pair, epoch, signal }: Run): void {
  signal.throwIfAborted();
  if (view.stateOf(member) !== 'resyncing' || view.epochOf(pair.id) !== epoch) throw new Void();
  if (view.stateOf(twin) !== 'serving') throw new NodeError('fenced', twin, 'the twin does not serve');
}

function pass(run: Run, kind: Pass['kind'], ranges: AsyncIterable<DifferingRange> | DifferingRange[]) {
  const { deps, pair, member, twin, sides, lease, signal } = run;
  assertValid(run);
  const expiredBefore = deps.clock.now() - deps.intentMs;
  const where: Case = { pair: pair.id, member, twin, expiredBefore };
  return runPass(deps, { kind, where, sides, lease, signal }, ranges);
}

async function* withMemberBlobs(ranges: AsyncIterable<DifferingRange>): AsyncGenerator<DifferingRange> {
  for await (const range of ranges) if (range.memberCount > 0) yield range;
}

/** What differs now, and about how much there is to pull. At most 65,536 ranges. */
async function compare(run: Run): Promise<DifferingRange[]> {
  const { figures } = run.lease;
  const ranges: DifferingRange[] = [];
  const onCompared = (count: number) => {
    figures.comparedRanges += count;
  };
  for await (const range of differingRanges(run.sides, onCompared)) {
    run.signal.throwIfAborted();
    ranges.push(range);
    figures.toPull += Math.max(0, range.twinCount - range.memberCount);
  }
  await run.lease.save();
  return ranges;
}

async function carryHandoffs(run: Run): Promise<void> {
  const { deps, member, lease, signal } = run;
  let fewest = Number.POSITIVE_INFINITY;
  let withoutGain = 0;
  for (let round = 0; round < CARRY_ROUNDS_MAX && withoutGain < ROUNDS_WITHOUT_GAIN_MAX; round += 1) {
    assertValid(run);
    const { byMember } = await deps.catalog.countRepairs();
    lease.figures.lag = byMember.get(member) ?? 0;
    await lease.save();
    if (lease.figures.lag <= LAG_MAX && round > 0) return;
    withoutGain = lease.figures.lag < fewest ? 0 : withoutGain + 1;
    fewest = Math.min(fewest, lease.figures.lag);
    const due = await deps.catalog.takeRepairs({ max: CARRIED_AT_ONCE, leaseMs: REPAIR_LEASE_MS, member });
    const counts = newCarryCounts();
    await carryHome(deps, member, due, counts, signal);
    lease.figures.pulledBytes += counts.pulledBytes;
    if (lease.figures.lag === 0) return;
    // What is left was put off, or is in somebody's hands.
    if (due.length === 0) await deps.clock.sleep(PUT_OFF_MS, signal);
  }
}

/**
 * Every look pulls what it finds. Equal, or only writes in flight: proven. After the last look what it found has been
 * pulled or is queued, and what came later is queued by its commit: under load both are never equal at one moment.
 */
async function audit(run: Run): Promise<void> {
  for (let round = 1; ; round += 1) {
    const { owed, failed } = await pass(run, 'pull', differingRanges(run.sides));
    if (owed === failed) return;
    if (round < AUDIT_ROUNDS_MAX) continue;
    run.deps.log.info({ member: run.member, owed }, 'resync: clients write as fast as the audit looks');
    return;
  }
}

async function serve(run: Run, before: NodeStatus): Promise<void> {
  const { deps, member, twin, epoch, sides, lease } = run;
  assertValid(run);
  await lease.save();
  await sides.twin.status();
  const { storeId } = await sides.member.status();
  if (storeId !== before.storeId) throw new NodeError('protocol', member, 'its disk was changed meanwhile');
  const changed = await deps.catalog.changeCondition({
    subject: { kind: 'member', member },
    to: 'serving',
    expectedEpoch: epoch,
    why: 'resync finished',
    decidedBy: deps.owner,
    ...(storeId === undefined ? {} : { storeId }),
  });
  if (changed.outcome === 'refused') {
    await deps.view.reload();
    if (changed.reason === 'stale-epoch') throw new Void();
    throw new Error(`the record refuses: ${changed.reason} ${changed.detail ?? ''}`);
  }
  // Unknown: whether it took effect says the record, at the next try.
  if (changed.outcome === 'unknown') {
    await deps.view.reload();
    throw new Error('whether the member serves now is not known');
  }
  const now = await deps.view.reload(changed.value.epoch);
  const served = { state: 'serving', epoch: now.pairEpochs.get(run.pair.id) ?? changed.value.epoch } as const;
  // Best effort: who is not told here is told by the next gateway that probes it.
  await Promise.allSettled([sides.member.setCondition(served), sides.twin.setCondition(served)]);
  deps.log.info({ member, twin, epoch: served.epoch, ...lease.figures }, 'resync: the member serves');
}
