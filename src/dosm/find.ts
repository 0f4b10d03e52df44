/**
 * Finds a blob that is not where its row says: asks the nodes of the twin's center, then those of the first center. Home
 * is the member of the blob's pair that does not serve (the first one, where both do), the twin is the other one.
 *
 *   found    a node has a blob of this id, size and root; its bytes are still to be verified
 *   nowhere  every node answered that it has not, itself or, for a member in failover, by its twin
 *   unknown  anything else: somebody was silent, or a whole center is out
 *
 * Members that do not serve are left out: they are not asked and count for nothing. Searches of one blob are one search,
 * its result is remembered for a moment, and searches at once are bounded. Never rejects.
 */
import type { Logger } from 'pino';
import { type Clock, OVER } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import type { FoundDetail } from '../nodes/protocol.ts';
import type { ConditionView } from '../twin/condition.ts';
import type { AskedState, SearchAnswer, Searcher, SearchStep } from '../twin/search.ts';
import type { Member, Topology } from '../twin/topology.ts';
import type { BlobFinder, FoundBlob } from './finder.ts';
import { SingleFlight } from './single-flight.ts';

/** One step of the trace. Nobody was asked where `transport` is `none`. */
export interface FindStep extends SearchStep {
  readonly step: 'twin-center' | 'first-center';
  readonly answer: 'found' | 'nowhere' | 'unknown' | 'left out';
  /** Who said to have this very blob. */
  readonly holders: readonly MemberId[];
}
export interface TracedBlob extends FoundBlob {
  readonly trace: readonly FindStep[];
}
export interface NodeFinder extends BlobFinder {
  find(blob: BlobRef, signal?: AbortSignal): Promise<TracedBlob>;
  /** For people: asks anew, and waits for everybody's answer. */
  trace(blob: BlobRef): Promise<TracedBlob>;
  close(): Promise<void>;
}

export interface FinderTuning {
  /** Searches under way, those that wait for a place, and for how long. */
  readonly searchesAtOnce: number;
  readonly searchesWaitingMax: number;
  readonly searchWaitMs: number;
  /** A search's result serves for so long, for so many blobs. */
  readonly rememberMs: number;
  readonly rememberedMax: number;
}
export const FINDER_TUNING: FinderTuning = {
  searchesAtOnce: 64,
  searchesWaitingMax: 1_000,
  searchWaitMs: 2_000,
  rememberMs: 1_000,
  rememberedMax: 10_000,
};

export interface FinderOptions {
  readonly topology: Pick<Topology, 'centers' | 'members' | 'pairs'>;
  readonly conditions: ConditionView;
  readonly searcher: Searcher;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info'>;
  /** A read's search has ended, whoever shared it. */
  readonly onSearched?: (outcome: FoundBlob['outcome']) => void;
  readonly tuning?: Partial<FinderTuning>;
}

const UNKNOWN: TracedBlob = { outcome: 'unknown', members: [], trace: [] };

export function createFinder(options: FinderOptions): NodeFinder {
  const { conditions, clock, log, searcher } = options;
  const tuning = { ...FINDER_TUNING, ...options.tuning };
  const closed = new AbortController();

  const search = async (blob: BlobRef, isPatient: boolean): Promise<TracedBlob> => {
    const first = await searchOnce(options, blob, isPatient, closed.signal);
    const staleAt = Math.max(0, ...first.trace.map(({ staleAt }) => staleAt ?? 0));
    if (first.outcome === 'found' || staleAt <= conditions.current().epoch) return first;
    const known = await conditions.reload(staleAt as typeof known.epoch);
    return known.epoch < staleAt ? first : searchOnce(options, blob, isPatient, closed.signal);
  };
  const flights = new SingleFlight<TracedBlob>({
    clock,
    otherwise: () => UNKNOWN,
    atOnce: tuning.searchesAtOnce,
    waitingMax: tuning.searchesWaitingMax,
    waitMs: tuning.searchWaitMs,
    rememberMs: tuning.rememberMs,
    rememberedMax: tuning.rememberedMax,
  });

  return {
    find: async (blob, signal) => {
      if (signal?.aborted || closed.signal.aborted) return UNKNOWN;
      const flight = flights.run(blob.id, async () => {
        const found = await search(blob, false);
        const { outcome, members } = found;
        log.info({ blob: blob.id, pair: blob.pair, outcome, members }, 'searched for a blob');
        options.onSearched?.(outcome);
        return found;
      });
      return signal ? orAborted(flight, signal) : flight;
    },
    trace: (blob) => search(blob, true),
    close: async () => {
      closed.abort(OVER);
      await searcher.close();
    },
  };
}

/** The search goes on for the others who want it. */
function orAborted(flight: Promise<TracedBlob>, signal: AbortSignal): Promise<TracedBlob> {
  return new Promise((resolve) => {
    const leave = (): void => resolve(UNKNOWN);
    signal.addEventListener('abort', leave, { once: true });
    flight.then((found) => {
      signal.removeEventListener('abort', leave);
      resolve(found);
    });
  });
}

async function searchOnce(
  options: FinderOptions,
  blob: BlobRef,
  isPatient: boolean,
  signal: AbortSignal,
): Promise<TracedBlob> {
  const { topology, conditions, searcher } = options;
  const nodes = [...topology.members.values()].filter((member) => member.kind === 'node');
  const trace: FindStep[] = [];
  for (const [index, center] of centersInOrder(options, blob).entries()) {
    const step = index === 0 ? 'twin-center' : 'first-center';
    const here = nodes.filter((node) => node.center === center);
    const [asked, out] = partition(here, (node) => conditions.stateOf(node.id) === 'serving');
    const [members, leftOut] = [asked.map(({ id }) => id), out.map(({ id }) => id)];
    if (members.length === 0) {
      const states = leftOut.map((member) => ({ member, state: 'left-out' as const }));
      trace.push({
        step,
        center,
        transport: 'none',
        asked: states,
        answers: [],
        answer: 'left out',
        holders: [],
        ms: 0,
      });
      continue;
    }
    const { epoch } = conditions.current();
    const question = { kind: 'blob', subject: blob.id, center, members, leftOut, epoch } as const;
    const isEnough = (answer: SearchAnswer): boolean => isBlob(answer, blob);
    const steps = await searcher.ask(isPatient ? question : { ...question, isEnough }, signal);
    const described = steps.map((each) => describe(each, step, isEnough));
    trace.push(...described);
    const holders = new Set(described.flatMap((each) => each.holders));
    if (holders.size > 0) return { outcome: 'found', members: [...holders], trace };
  }
  const outcome = isAnsweredByAll(nodes, trace, conditions) ? 'nowhere' : 'unknown';
  return { outcome, members: [], trace };
}

/** The twin's center, the first center; one, where they are the same. */
function centersInOrder({ topology, conditions }: FinderOptions, blob: BlobRef): readonly string[] {
  const pair = topology.pairs.get(blob.pair);
  const all = topology.centers.map(({ name }) => name);
  if (!pair) return all;
  const away = pair.members.findIndex((member) => conditions.stateOf(member) !== 'serving');
  const home = pair.members[Math.max(0, away)]!;
  const twin = pair.members.find((member) => member !== home)!;
  const named = [twin, home].map((member) => topology.members.get(member)?.center ?? null);
  return [...new Set([...named, ...all])].filter((center) => center !== null);
}

/** Whether this is the blob that the catalog means, by what the node's index says. */
function isBlob({ has, detail }: SearchAnswer, blob: BlobRef): boolean {
  if (!has || typeof detail !== 'object' || detail === null) return false;
  const { size, root, state } = detail as Partial<FoundDetail>;
  const isState = state === 'pending' || state === 'confirmed';
  return isState && size === blob.size && root === blob.root.toString('hex');
}

function describe(
  asked: SearchStep,
  step: FindStep['step'],
  isBlob: (answer: SearchAnswer) => boolean,
): FindStep {
  const holders = asked.answers.filter(isBlob).map(({ member }) => member);
  const isSilent = asked.asked.some(({ state }) => state === 'silent');
  const answer = holders.length > 0 ? 'found' : isSilent ? 'unknown' : 'nowhere';
  return { ...asked, step, answer, holders };
}

/** Each node by itself or, left out, by its twin; nobody answers for a center that is out as a whole. */
function isAnsweredByAll(
  nodes: readonly Member[],
  trace: readonly FindStep[],
  conditions: ConditionView,
): boolean {
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
  return nodes.every(({ id, twin, center }) => {
    if (hasAnswered(id)) return true;
    if (center === null || outCenters.has(center) || conditions.isCenterOut(center)) return false;
    return states.get(id) === 'left-out' && hasAnswered(twin);
  });
}

function partition<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}
