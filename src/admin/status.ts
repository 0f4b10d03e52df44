/**
 * Whether everything stands twice, asked live: nodes by their protocol, directories by the catalog, both completed by
 * what the supervisor knows of its children. Invariant: never fails and never takes longer than its deadline, however
 * many members are down; what does not answer in time is reported as `suspect`, with the reason.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { Catalog, CatalogStatus } from '../ddm/catalog.ts';
import type { ClusterCatalog, DirectoryEvent, ResyncState } from '../ddm/cluster-catalog.ts';
import type { NodeClient, NodeStatus } from '../nodes/protocol.ts';
import type { Conditions, ConditionView, MemberCondition } from '../twin/condition.ts';
import type { Center, Member, Pair, Topology } from '../twin/topology.ts';
import type { Condition, MemberReport, PairReport, ResyncReport, StatusReport } from './api.ts';

/** What whoever started the members knows of them. Absent fields: not known. */
export interface MemberState {
  readonly id: MemberId;
  /** null: no process runs. */
  readonly pid?: number | null;
  /** As decided (a standby taken out of the synchronous set: `failed-over`; one that is copied anew: `resyncing`). */
  readonly condition?: Condition;
  /** Directories: whether it answers for its pair. */
  readonly primary?: boolean;
  /** Why the condition is not `serving`. */
  readonly reason?: string;
  readonly requests?: number;
  readonly controlRequests?: number;
}

export interface StatusSources {
  readonly topology: Topology;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly catalog: Pick<Catalog, 'status'> &
    Partial<Pick<ClusterCatalog, 'countRepairs' | 'listResyncs' | 'directoryHistory'>>;
  /** Asked anew for every report. A deployment without a supervisor answers with no rows. */
  readonly members: () => readonly MemberState[];
  readonly clock: Clock;
  /** The record; absent: everybody serves by it. */
  readonly conditions?: ConditionView;
  /** Why a node that answers is not admitted; null when it is. */
  readonly notAdmitted?: (member: MemberId) => string | null;
  readonly deadlineMs?: number;
}

/** Longer than a node's connect and first-byte deadlines together, so that the reason is the node client's own. */
const DEADLINE_MS = 2_000;

type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

export async function collectStatus(sources: StatusSources): Promise<StatusReport> {
  const { topology, clients, clock } = sources;
  const deadlineMs = sources.deadlineMs ?? DEADLINE_MS;
  const ask = async <T>(question: () => Promise<T>): Promise<Answer<T>> => {
    try {
      return { ok: true, value: await within(clock, deadlineMs, question()) };
    } catch (error) {
      return { ok: false, reason: error instanceof Error ? error.message : String(error) };
    }
  };
  const { catalog: source } = sources;
  const [catalog, repairs, resyncs, decided, record, ...nodes] = await Promise.all([
    ask(() => source.status()),
    ask(async () => (source.countRepairs ? await source.countRepairs() : NO_REPAIRS)),
    ask(async () => (source.listResyncs ? await source.listResyncs() : [])),
    ask(async () =>
      source.directoryHistory ? await source.directoryHistory({ max: DECISIONS_MAX }) : NO_DECISIONS,
    ),
    // Bounded by itself; what is known stays when the root is away.
    sources.conditions?.reload(),
    ...[...clients].map(async ([id, client]) => [id, await ask(() => client.status())] as const),
  ]);
  return describeStatus({
    topology,
    states: new Map(sources.members().map((state) => [state.id, state])),
    catalog,
    repairs,
    resyncs: new Map(resyncs.ok ? resyncs.value.map((r) => [r.member, r]) : []),
    decisions: decided.ok ? decided.value.events : [],
    record: record ?? null,
    nodes: new Map(nodes),
    notAdmitted: sources.notAdmitted ?? (() => null),
  });
}

type RepairCount = Awaited<ReturnType<ClusterCatalog['countRepairs']>>;
/** Enough to have the last one of every pair among them, but for pairs that went to and fro. */
const DECISIONS_MAX = 50;
const NO_DECISIONS = { events: [] };
const NO_REPAIRS: RepairCount = { queued: 0, byMember: new Map() };

interface Facts {
  readonly topology: Topology;
  readonly states: ReadonlyMap<MemberId, MemberState>;
  readonly catalog: Answer<readonly CatalogStatus[]>;
  readonly repairs: Answer<RepairCount>;
  readonly resyncs: ReadonlyMap<MemberId, ResyncState>;
  /** About directories, newest first. */
  readonly decisions: readonly DirectoryEvent[];
  readonly record: Conditions | null;
  readonly nodes: ReadonlyMap<MemberId, Answer<NodeStatus>>;
  readonly notAdmitted: (member: MemberId) => string | null;
}

/** Pure: from what was answered to what is reported. */
export function describeStatus(facts: Facts): StatusReport {
  const { topology, record } = facts;
  const members = [...topology.members.values()].map((member) => describeMember(member, facts));
  const conditions = new Map(members.map((m) => [m.id, m.condition]));
  const pairs = [...topology.pairs.values()].map((pair) => describePair(pair, conditions, facts));
  const repairs = describeRepairs(facts.repairs);
  return {
    epoch: record?.epoch ?? 1,
    redundant: repairs.queued === 0 && pairs.every((pair) => pair.state === 'redundant'),
    centers: topology.centers.map((center) => describeCenter(center, members, record)),
    members,
    pairs,
    repairs,
  };
}

function describeRepairs(answer: Answer<RepairCount>): StatusReport['repairs'] {
  if (!answer.ok) return { queued: null };
  const { queued, byMember } = answer.value;
  return queued === 0 ? { queued } : { queued, byMember: Object.fromEntries(byMember) };
}

function describeMember(member: Member, facts: Facts): MemberReport {
  const state = facts.states.get(member.id);
  const base = {
    id: member.id,
    kind: member.kind,
    center: member.center,
    address: `${member.address.includes(':') ? `[${member.address}]` : member.address}:${member.port}`,
    twin: member.twin,
    pid: state?.pid ?? null,
    requests: state?.requests ?? null,
    controlRequests: state?.controlRequests ?? null,
  };
  if (member.kind === 'node') return { ...base, ...describeNode(member.id, state, facts) };
  if (member.kind === 'directory') return { ...base, ...describeDirectory(member, state, facts) };
  const reason = state?.reason === undefined ? {} : { reason: state.reason };
  return { ...base, condition: state?.condition ?? (state?.pid === null ? 'suspect' : 'serving'), ...reason };
}

type Described = Partial<MemberReport> & { readonly condition: Condition };

/** The record's word first; what is seen of a node that serves by it. */
function describeNode(id: MemberId, state: MemberState | undefined, facts: Facts): Described {
  const answer = facts.nodes.get(id);
  const recorded = facts.record?.members.get(id);
  const figures = answer?.ok ? nodeFigures(answer.value) : {};
  const problem = !answer
    ? 'this gateway has no connection to it'
    : answer.ok
      ? notServing(answer.value, facts.notAdmitted(id))
      : answer.reason;
  if (recorded && recorded.state !== 'serving')
    return { ...figures, ...describeRecorded(recorded, answer?.ok ? null : problem, facts.resyncs.get(id)) };
  if (problem !== null) return { ...figures, condition: unlessDecided(state, 'suspect'), reason: problem };
  return { ...figures, condition: state?.condition ?? 'serving' };
}

function describeRecorded(
  { state, why, since, decidedBy, mayReturn }: MemberCondition,
  silence: string | null,
  resync: ResyncState | undefined,
): Described {
  const waits = state === 'failed-over' && !mayReturn ? ['until failover leave'] : [];
  return {
    condition: state,
    reason: [why, ...waits, ...(silence === null ? [] : [silence])].join('; '),
    since: since.toISOString(),
    decidedBy,
    mayReturn,
    ...(resync && state === 'resyncing' ? { resync: describeResync(resync) } : {}),
  };
}

function describeResync(resync: ResyncState): ResyncReport {
  const { phase, startedAt, updatedAt, owner, toPull, pulledBlobs, pulledBytes, lag, lastError } = resync;
  const counters = { toPull, pulledBlobs, pulledBytes, lag };
  const times = { startedAt: startedAt.toISOString(), updatedAt: updatedAt.toISOString() };
  return { phase, ...times, owner, ...counters, ...(lastError === undefined ? {} : { lastError }) };
}

/** A node that answers and takes no data requests. */
function notServing({ state }: NodeStatus, notAdmitted: string | null): string | null {
  if (state === undefined || state === 'serving') return null;
  return notAdmitted ?? `it is ${state} and waits to be told its condition`;
}

function nodeFigures(status: NodeStatus): Partial<MemberReport> {
  const { pid, requests, controlRequests, blobs, storedBytes, freeBytes } = status;
  const { refusedRequests, state: stance, epoch, damaged, scrub } = status;
  const lastRoundEndedAt = scrub?.lastRoundEndedAt ?? null;
  return {
    ...{ pid, requests, controlRequests, blobs, storedBytes, freeBytes },
    ...(refusedRequests === undefined ? {} : { refusedRequests }),
    ...(stance === undefined ? {} : { stance }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(damaged === undefined ? {} : { damaged }),
    ...(scrub === undefined
      ? {}
      : {
          scrub: {
            bytes: scrub.bytes,
            blobs: scrub.blobs,
            bytesPerSecondMax: scrub.bytesPerSecondMax,
            lastRoundEndedAt: lastRoundEndedAt === null ? null : new Date(lastRoundEndedAt).toISOString(),
          },
        }),
  };
}

function describeDirectory(member: Member, state: MemberState | undefined, facts: Facts): Described {
  const role = state?.primary === undefined ? {} : { primary: state.primary };
  // Whoever decides knows best why.
  if (state?.condition !== undefined && state.condition !== 'serving' && state.reason !== undefined)
    return { ...role, condition: state.condition, reason: state.reason, ...decidedOn(member, facts) };
  const problem = directoryProblem(member, state, facts);
  if (!problem) return { ...role, condition: state?.condition ?? 'serving' };
  return { ...role, condition: unlessDecided(state, problem.condition), reason: problem.reason };
}

/** Since when a directory is out, and by whose decision, as far as its pair's catalog has it already. */
function decidedOn({ id, twin }: Member, { decisions }: Facts): Pick<MemberReport, 'since' | 'decidedBy'> {
  const last = decisions.find(
    ({ member, state }) => member === id || (member === twin && state === 'primary'),
  );
  const isOut = last?.member === id ? last.state === 'failed-over' || last.state === 'may-return' : true;
  return last && isOut ? { since: last.at.toISOString(), decidedBy: last.decidedBy } : {};
}

/** What is seen to be wrong with a directory, whatever has been decided about it. */
function directoryProblem(
  member: Member,
  state: MemberState | undefined,
  { topology, catalog }: Facts,
): { condition: Condition; reason: string } | null {
  if (state?.pid === null) return { condition: 'suspect', reason: 'not running' };
  // What the catalog says is said by the primary; of a standby it is known only whether commits wait for it.
  const isStandby = state?.primary === false;
  if (!catalog.ok) return isStandby ? null : { condition: 'suspect', reason: catalog.reason };
  const pair = [...topology.pairs.values()].find((p) => p.members.includes(member.id));
  const answer = catalog.value.find((c) => c.pair === pair?.id);
  if (answer && !answer.writable && !isStandby)
    return { condition: 'suspect', reason: 'the pair takes no writes' };
  if (answer?.writable && !answer.synchronous && isStandby) {
    return { condition: 'failed-over', reason: 'commits do not wait for it' };
  }
  return null;
}

/** The decider's word, unless it is no more than that nothing is wrong. */
function unlessDecided(state: MemberState | undefined, seen: Condition): Condition {
  return state?.condition === undefined || state.condition === 'serving' ? seen : state.condition;
}

function describePair(
  pair: Pair,
  conditions: ReadonlyMap<string, Condition>,
  { record, catalog }: Facts,
): PairReport {
  const serving = pair.members.filter((id) => conditions.get(id) === 'serving').length;
  const state = serving === 2 ? 'redundant' : serving === 1 ? 'degraded' : 'lost';
  const timeline = () => (catalog.ok ? catalog.value.find((c) => c.pair === pair.id)?.epoch : undefined);
  const epoch = (pair.kind === 'node' ? record?.pairEpochs.get(pair.id) : timeline()) ?? null;
  return { id: pair.id, kind: pair.kind, members: pair.members, state, epoch };
}

/** What was declared; else a center is out when none of its members serves. */
function describeCenter(
  center: Center,
  members: readonly MemberReport[],
  record: Conditions | null,
): StatusReport['centers'][number] {
  const base = { name: center.name, subnet: center.subnets.join(', ') };
  const recorded = record?.centers.get(center.name);
  if (recorded && recorded.state !== 'serving') {
    const { state, why, since } = recorded;
    return { ...base, condition: state, reason: why, since: since.toISOString() };
  }
  const own = members.filter((m) => m.center === center.name);
  const condition = own.length === 0 || own.some((m) => m.condition === 'serving') ? 'serving' : 'suspect';
  return { ...base, condition };
}
