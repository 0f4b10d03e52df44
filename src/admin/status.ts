/**
 * Whether everything stands twice, asked live: nodes by their protocol, directories by the catalog, both completed by
 * what the supervisor knows of its children. Invariant: never fails and never takes longer than its deadline, however
 * many members are down; what does not answer in time is reported as `suspect`, with the reason.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { Catalog, CatalogStatus } from '../ddm/catalog.ts';
import type { NodeClient, NodeStatus } from '../nodes/protocol.ts';
import type { Center, Member, Pair, Topology } from '../twin/topology.ts';
import type { Condition, MemberReport, PairReport, StatusReport } from './api.ts';

/** What whoever started the members knows of them. Absent fields: not known. */
export interface MemberState {
  readonly id: MemberId;
  /** null: no process runs. */
  readonly pid?: number | null;
  /** As decided (a standby taken out of the synchronous set: `failed-over`; one that is copied anew: `resyncing`). */
  readonly condition?: Condition;
  /** Directories: whether it answers for its pair. */
  readonly primary?: boolean;
  readonly requests?: number;
  readonly controlRequests?: number;
}

export interface StatusSources {
  readonly topology: Topology;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly catalog: Pick<Catalog, 'status'>;
  /** Asked anew for every report. A deployment without a supervisor answers with no rows. */
  readonly members: () => readonly MemberState[];
  readonly clock: Clock;
  readonly epoch?: () => number;
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
  const [catalog, ...nodes] = await Promise.all([
    ask(() => sources.catalog.status()),
    ...[...clients].map(async ([id, client]) => [id, await ask(() => client.status())] as const),
  ]);
  const states = new Map(sources.members().map((state) => [state.id, state]));
  return describeStatus({ topology, states, catalog, nodes: new Map(nodes), epoch: sources.epoch?.() ?? 1 });
}

interface Facts {
  readonly topology: Topology;
  readonly states: ReadonlyMap<MemberId, MemberState>;
  readonly catalog: Answer<readonly CatalogStatus[]>;
  readonly nodes: ReadonlyMap<MemberId, Answer<NodeStatus>>;
  readonly epoch: number;
}

/** Pure: from what was answered to what is reported. */
export function describeStatus(facts: Facts): StatusReport {
  const { topology, epoch } = facts;
  const members = [...topology.members.values()].map((member) => describeMember(member, facts));
  const conditions = new Map(members.map((m) => [m.id, m.condition]));
  const pairs = [...topology.pairs.values()].map((pair) => describePair(pair, conditions));
  return {
    epoch,
    redundant: pairs.every((pair) => pair.state === 'redundant'),
    centers: topology.centers.map((center) => describeCenter(center, members)),
    members,
    pairs,
    repairs: { queued: 0 },
  };
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
  if (member.kind === 'node') return { ...base, ...describeNode(state, facts.nodes.get(member.id)) };
  if (member.kind === 'directory') return { ...base, ...describeDirectory(member, state, facts) };
  return { ...base, condition: state?.condition ?? (state?.pid === null ? 'suspect' : 'serving') };
}

type Described = Partial<MemberReport> & { readonly condition: Condition };

function describeNode(state: MemberState | undefined, answer: Answer<NodeStatus> | undefined): Described {
  if (!answer)
    return { condition: unlessDecided(state, 'suspect'), reason: 'this gateway has no connection to it' };
  if (!answer.ok) return { condition: unlessDecided(state, 'suspect'), reason: answer.reason };
  const { pid, requests, controlRequests, blobs, storedBytes, freeBytes } = answer.value;
  const counters = { pid, requests, controlRequests, blobs, storedBytes, freeBytes };
  return { ...counters, condition: state?.condition ?? 'serving' };
}

function describeDirectory(member: Member, state: MemberState | undefined, facts: Facts): Described {
  const role = state?.primary === undefined ? {} : { primary: state.primary };
  const problem = directoryProblem(member, state, facts);
  if (!problem) return { ...role, condition: state?.condition ?? 'serving' };
  return { ...role, condition: unlessDecided(state, problem.condition), reason: problem.reason };
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

function describePair(pair: Pair, conditions: ReadonlyMap<string, Condition>): PairReport {
  const serving = pair.members.filter((id) => conditions.get(id) === 'serving').length;
  const state = serving === 2 ? 'redundant' : serving === 1 ? 'degraded' : 'lost';
  return { id: pair.id, kind: pair.kind, members: pair.members, state };
}

/** A center is out when none of its members serves. */
function describeCenter(center: Center, members: readonly MemberReport[]): StatusReport['centers'][number] {
  const own = members.filter((m) => m.center === center.name);
  const condition = own.length === 0 || own.some((m) => m.condition === 'serving') ? 'serving' : 'suspect';
  return { name: center.name, subnet: center.subnets.join(', '), condition };
}
