/**
 * The condition of members and centers, as it is recorded in the root pair, and what a gateway knows of it. Knows
 * nothing of blobs or SQL: nodes and directories use it alike.
 *
 *   serving --declared (detection or operator)--> failed-over --the member answers, and may return--> resyncing
 *   resyncing --audited--> serving        resyncing --it or its twin is lost--> failed-over
 *
 * `suspect` is a gateway's own view (suspicion.ts) and is never recorded. Every change raises the cluster's epoch by
 * one, and the pair's epoch becomes the cluster's. A member that is not `serving` receives no data request.
 */
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import type { Topology } from './topology.ts';

export type RecordedState = 'serving' | 'failed-over' | 'resyncing';
export type ConditionState = RecordedState | 'suspect';

export interface MemberCondition {
  readonly member: MemberId;
  readonly state: RecordedState;
  /** When it came to be, by the directory's clock. */
  readonly since: Date;
  readonly why: string;
  /** `gateway-1` (its detection) or the operator's account. */
  readonly decidedBy: string;
  /** Whether a resync may start when the member answers: what an operator entered waits for `leave`. */
  readonly mayReturn: boolean;
  /** The random id of the data folder that last served here; null before the first. Another one is an empty disk. */
  readonly storeId: string | null;
}

export interface CenterCondition {
  readonly center: string;
  /** `failed-over` from the declaration for the whole center until each of its members serves again. */
  readonly state: RecordedState;
  readonly since: Date;
  readonly why: string;
  readonly decidedBy: string;
}

/** One moment of the record. */
export interface Conditions {
  /** The cluster's: raised by every change. */
  readonly epoch: Epoch;
  readonly members: ReadonlyMap<MemberId, MemberCondition>;
  readonly centers: ReadonlyMap<string, CenterCondition>;
  /** The cluster's epoch at the last change of either member of the pair. */
  readonly pairEpochs: ReadonlyMap<PairId, Epoch>;
}

/** What one gateway knows now. Cheap; asked for every request. */
export interface ConditionView {
  current(): Conditions;
  /** `serving` for members that the record does not name (yet). */
  stateOf(member: MemberId): RecordedState;
  epochOf(pair: PairId): Epoch;
  /** Whether the whole center was declared out. */
  isCenterOut(center: string): boolean;
  /**
   * Asks the root again (one question at a time for all callers) unless what is known has `atLeast` already. Never
   * rejects: when the root does not answer within its deadline, what is known stays.
   */
  reload(atLeast?: Epoch): Promise<Conditions>;
}

export const FIRST_EPOCH = 1 as Epoch;

/** Everybody serves, at the first epoch. */
export function allServing(topology: Pick<Topology, 'centers' | 'members' | 'pairs'>): Conditions {
  const since = new Date(0);
  const facts = { state: 'serving', since, why: '', decidedBy: '' } as const;
  const members = [...topology.members.values()].filter((member) => member.kind !== 'gateway');
  return {
    epoch: FIRST_EPOCH,
    members: new Map(
      members.map(({ id }) => [id, { member: id, ...facts, mayReturn: true, storeId: null }] as const),
    ),
    centers: new Map(topology.centers.map(({ name }) => [name, { center: name, ...facts }] as const)),
    pairEpochs: new Map([...topology.pairs.keys()].map((id) => [id, FIRST_EPOCH] as const)),
  };
}

/** A view of what `read` gives, asked anew for each question: for tests, tools, and stores without a record. */
export function viewOf(read: () => Conditions): ConditionView {
  return {
    current: read,
    stateOf: (member) => read().members.get(member)?.state ?? 'serving',
    epochOf: (pair) => read().pairEpochs.get(pair) ?? FIRST_EPOCH,
    isCenterOut: (center) => read().centers.get(center)?.state === 'failed-over',
    reload: async () => read(),
  };
}
