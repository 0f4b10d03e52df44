/**
 * The order of a search, the same for nodes and directories: the members of the twin's center, then those of the first
 * center, one question to each. Home is the member of the pair that does not serve (the first one, where both do), the
 * twin is the other one. Members that do not serve are left out: they are not asked, and count as answered when their
 * twin has answered, unless their whole center is out. What holders say is a hint that the caller verifies.
 */
import type { Epoch, MemberId } from '../base/ids.ts';
import type { RecordedState } from './condition.ts';
import type { AskedState, SearchAnswer, Searcher, SearchQuestion, SearchStep } from './search.ts';
import type { Member, Pair, Topology } from './topology.ts';

/** One step of the trace. Nobody was asked where `transport` is `none`. */
export interface CenterStep extends SearchStep {
  readonly step: 'twin-center' | 'first-center';
  readonly answer: 'found' | 'nowhere' | 'unknown' | 'left out';
  /** Who said to have this very thing. */
  readonly holders: readonly MemberId[];
}

/** The members of one kind, and what the asker knows of them now. */
export interface Searched {
  readonly centers: Topology['centers'];
  readonly members: readonly Member[];
  readonly stateOf: (member: MemberId) => RecordedState;
  readonly isCenterOut: (center: string) => boolean;
  /** What questions carry. */
  readonly epoch: () => Epoch;
}

export interface Wanted {
  readonly kind: SearchQuestion['kind'];
  readonly subject: string;
  /** Where it should be; undefined: the topology has no such pair (any more). */
  readonly pair: Pair | undefined;
  /** Whether this answer names the thing itself, and not another one under its name. */
  readonly isIt: (answer: SearchAnswer) => boolean;
  /** Everybody's answer is awaited, also when somebody has it. */
  readonly isPatient: boolean;
}

/** The steps of one center after those of the other; whoever has what is wanted stops asking for more. */
export async function* askCenters(
  searcher: Searcher,
  searched: Searched,
  wanted: Wanted,
  signal: AbortSignal,
): AsyncGenerator<readonly CenterStep[]> {
  const { kind, subject, isIt, isPatient } = wanted;
  for (const [index, center] of centersInOrder(searched, wanted.pair).entries()) {
    const step = index === 0 ? 'twin-center' : 'first-center';
    const here = searched.members.filter((member) => member.center === center);
    const ids = (isServing: boolean): MemberId[] =>
      here.filter(({ id }) => (searched.stateOf(id) === 'serving') === isServing).map(({ id }) => id);
    const [members, leftOut] = [ids(true), ids(false)];
    if (members.length === 0) {
      yield [nobody(step, center, leftOut)];
      continue;
    }
    const question = { kind, subject, center, members, leftOut, epoch: searched.epoch() };
    const steps = await searcher.ask(isPatient ? question : { ...question, isEnough: isIt }, signal);
    yield steps.map((each) => describe(each, step, isIt));
  }
}

function nobody(step: CenterStep['step'], center: string, leftOut: readonly MemberId[]): CenterStep {
  const asked = leftOut.map((member) => ({ member, state: 'left-out' as const }));
  return { step, center, transport: 'none', asked, answers: [], answer: 'left out', holders: [], ms: 0 };
}

/** The twin's center, the first center; one, where they are the same. */
function centersInOrder({ centers, members, stateOf }: Searched, pair: Pair | undefined): readonly string[] {
  const all = centers.map(({ name }) => name);
  if (!pair) return all;
  const away = pair.members.findIndex((member) => stateOf(member) !== 'serving');
  const home = pair.members[Math.max(0, away)]!;
  const twin = pair.members.find((member) => member !== home)!;
  const named = [twin, home].map((id) => members.find((member) => member.id === id)?.center ?? null);
  return [...new Set([...named, ...all])].filter((center) => center !== null);
}

function describe(
  asked: SearchStep,
  step: CenterStep['step'],
  isIt: (answer: SearchAnswer) => boolean,
): CenterStep {
  const holders = asked.answers.filter(isIt).map(({ member }) => member);
  const isSilent = asked.asked.some(({ state }) => state === 'silent');
  const answer = holders.length > 0 ? 'found' : isSilent ? 'unknown' : 'nowhere';
  return { ...asked, step, answer, holders };
}

/** Each member by itself or, left out, by its twin; nobody answers for a center that is out as a whole. */
export function isAnsweredByAll({ members, isCenterOut }: Searched, trace: readonly CenterStep[]): boolean {
  const states = new Map<MemberId, AskedState>();
  for (const { member, state } of trace.flatMap(({ asked }) => asked)) {
    if (state !== 'silent' || !states.has(member)) states.set(member, state);
  }
  const hasAnswered = (member: MemberId | null): boolean => {
    const state = member === null ? undefined : states.get(member);
    return state === 'has' || state === 'has-not';
  };
  const outCenters = new Set(
    trace.filter(({ transport }) => transport === 'none').map(({ center }) => center),
  );
  return members.every(({ id, twin, center }) => {
    if (hasAnswered(id)) return true;
    if (center === null || outCenters.has(center) || isCenterOut(center)) return false;
    return states.get(id) === 'left-out' && hasAnswered(twin);
  });
}
