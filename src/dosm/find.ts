/**
 * Finds a blob that is not where its row says: asks the nodes of the twin's center, then those of the first center
 * (twin/center-search.ts).
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
import { SingleFlight } from '../base/single-flight.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import type { FoundDetail } from '../nodes/protocol.ts';
import {
  askCenters,
  type CenterStep,
  isAnsweredByAll,
  type Searched,
  type Wanted,
} from '../twin/center-search.ts';
import type { ConditionView } from '../twin/condition.ts';
import type { SearchAnswer, Searcher } from '../twin/search.ts';
import type { Topology } from '../twin/topology.ts';
import type { BlobFinder, FoundBlob } from './finder.ts';

export type FindStep = CenterStep;
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
  { topology, conditions, searcher }: FinderOptions,
  blob: BlobRef,
  isPatient: boolean,
  signal: AbortSignal,
): Promise<TracedBlob> {
  const nodes: Searched = {
    centers: topology.centers,
    members: [...topology.members.values()].filter((member) => member.kind === 'node'),
    stateOf: (member) => conditions.stateOf(member),
    isCenterOut: (center) => conditions.isCenterOut(center),
    epoch: () => conditions.current().epoch,
  };
  const wanted: Wanted = {
    ...{ kind: 'blob', subject: blob.id, isPatient },
    pair: topology.pairs.get(blob.pair),
    isIt: (answer) => isBlob(answer, blob),
  };
  const trace: FindStep[] = [];
  for await (const steps of askCenters(searcher, nodes, wanted, signal)) {
    trace.push(...steps);
    const holders = new Set(steps.flatMap((each) => each.holders));
    if (holders.size > 0) return { outcome: 'found', members: [...holders], trace };
  }
  return { outcome: isAnsweredByAll(nodes, trace) ? 'nowhere' : 'unknown', members: [], trace };
}

/** Whether this is the blob that the catalog means, by what the node's index says. */
function isBlob({ has, detail }: SearchAnswer, blob: BlobRef): boolean {
  if (!has || typeof detail !== 'object' || detail === null) return false;
  const { size, root, state } = detail as Partial<FoundDetail>;
  const isState = state === 'pending' || state === 'confirmed';
  return isState && size === blob.size && root === blob.root.toString('hex');
}
