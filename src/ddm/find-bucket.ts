/**
 * Finds the directory pair that has a bucket, where the root pair's list cannot be read or names a pair that has not got
 * it (any more): the pair where it was found last, the computed pair, the directories of the twin's center, those of the
 * first center, and at last every pair that has not said anything yet.
 *
 *   found    the primary of a pair has given the bucket's row
 *   nowhere  the primary of every pair has said that it has none
 *   unknown  anything else
 *
 * What members say in a search is a hint, in both directions: a standby may be behind, an old primary may not know of its
 * successor. A bucket is only ever taken from its pair's primary, and so is its absence. Nothing is created here.
 * Searches of one name are one search, its result is remembered for a moment, searches at once are bounded. Never rejects.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { type Clock, OVER } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import { SingleFlight } from '../base/single-flight.ts';
import { within } from '../base/within.ts';
import { askCenters, type CenterStep, type Searched, type Wanted } from '../twin/center-search.ts';
import type { Searcher } from '../twin/search.ts';
import type { Pair } from '../twin/topology.ts';
import type { Bucket, FoundBucket, NameStep } from './catalog.ts';

/** How directories are asked; whoever wires the store together implements it. */
export interface NameSearch {
  readonly searcher: Searcher;
  /** The directories, and what is known of them now. */
  searched(): Searched;
  pairOf(member: MemberId): Pair | undefined;
  pair(id: PairId): Pair | undefined;
  /** A request's search has ended, whoever shared it. */
  readonly onSearched?: (outcome: FoundBucket['outcome']) => void;
}

export interface NameFinder {
  find(name: string): Promise<FoundBucket>;
  /** For people: asks anew, and waits for everybody's answer. */
  trace(name: string): Promise<FoundBucket>;
  close(): void;
}

export interface NameFinderTuning {
  /** Reading a row from a primary. */
  readonly readMs: number;
  readonly searchesAtOnce: number;
  readonly searchesWaitingMax: number;
  readonly searchWaitMs: number;
  /** A result serves for so long; part of the age that settings may have. */
  readonly rememberMs: number;
  readonly rememberedMax: number;
  /** Where a bucket was found is where the next search begins. */
  readonly placesMax: number;
}
export const NAME_FINDER_TUNING: NameFinderTuning = {
  readMs: 2_000,
  searchesAtOnce: 16,
  searchesWaitingMax: 1_000,
  searchWaitMs: 2_000,
  rememberMs: 500,
  rememberedMax: 10_000,
  placesMax: 10_000,
};

export interface NameFinderOptions {
  readonly pairs: () => readonly PairId[];
  /** The pair that a bucket of this name goes to. */
  readonly compute: (name: string) => PairId;
  /** By the pair's primary. @throws {Error} when it does not say */
  readonly readRow: (pair: PairId, name: string) => Promise<Bucket | null>;
  /** Absent: the primaries are asked, and nobody else. */
  readonly search?: NameSearch;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info'>;
  readonly tuning?: Partial<NameFinderTuning>;
}

export function createNameFinder(options: NameFinderOptions): NameFinder {
  const { clock, log } = options;
  const tuning = { ...NAME_FINDER_TUNING, ...options.tuning };
  const closed = new AbortController();
  const places = new LRUCache<string, PairId>({ max: tuning.placesMax });
  const flights = new SingleFlight<FoundBucket>({
    clock,
    otherwise: () => ({ outcome: 'unknown', bucket: null, steps: [] }),
    atOnce: tuning.searchesAtOnce,
    waitingMax: tuning.searchesWaitingMax,
    waitMs: tuning.searchWaitMs,
    rememberMs: tuning.rememberMs,
    rememberedMax: tuning.rememberedMax,
  });
  const run = (name: string, place: PairId | undefined, isPatient: boolean): Promise<FoundBucket> =>
    new BucketHunt({ ...options, tuning, name, isPatient, signal: closed.signal }).run(place);
  return {
    find: (name) =>
      flights.run(name, async () => {
        const found = await run(name, places.get(name), false);
        if (found.bucket) places.set(name, found.bucket.directory);
        else places.delete(name);
        options.search?.onSearched?.(found.outcome);
        const steps = found.steps.map(({ step, answer }) => `${step}: ${answer}`);
        log.info(
          { name, outcome: found.outcome, pair: found.bucket?.directory, steps },
          'searched for a bucket',
        );
        return found;
      }),
    trace: (name) => run(name, undefined, true),
    close: () => closed.abort(OVER),
  };
}

interface Hunted extends Omit<NameFinderOptions, 'tuning'> {
  readonly tuning: NameFinderTuning;
  readonly name: string;
  readonly isPatient: boolean;
  readonly signal: AbortSignal;
}

/** One search, step by step. */
class BucketHunt {
  readonly #o: Hunted;
  readonly #steps: NameStep[] = [];
  /** What the primaries have said; a pair that said that it has the bucket ends the search. */
  readonly #said = new Map<PairId, 'has-not' | 'silent'>();

  constructor(o: Hunted) {
    this.#o = o;
  }

  async run(place: PairId | undefined): Promise<FoundBucket> {
    const computed = this.#o.compute(this.#o.name);
    const known = place !== undefined && this.#o.pairs().includes(place) && place !== computed;
    const bucket =
      (known ? await this.#readPairs('remembered-pair', [place]) : null) ??
      (await this.#readPairs('computed-pair', [computed])) ??
      (await this.#search(computed)) ??
      (await this.#readPairs('other-pairs', this.#unasked()));
    const isSure = this.#o.pairs().every((pair) => this.#said.get(pair) === 'has-not');
    const outcome = bucket ? 'found' : isSure ? 'nowhere' : 'unknown';
    return { outcome, bucket, steps: this.#steps };
  }

  #unasked(): readonly PairId[] {
    return this.#o.pairs().filter((pair) => !this.#said.has(pair));
  }

  /** Hints are followed at once; one that leads nowhere costs a read. */
  async #search(computed: PairId): Promise<Bucket | null> {
    const { search, name, isPatient, signal } = this.#o;
    if (!search) return null;
    const wanted: Wanted = {
      ...{ kind: 'bucket', subject: name, isPatient },
      pair: search.pair(computed),
      isIt: ({ has }) => has,
    };
    for await (const steps of askCenters(search.searcher, search.searched(), wanted, signal)) {
      const holders = new Set(steps.flatMap((step) => step.holders));
      const pairs = new Set([...holders].map((member) => search.pairOf(member)?.id));
      const hinted = [...pairs].filter((pair) => pair !== undefined && this.#said.get(pair) !== 'has-not');
      const bucket = await this.#read(hinted as readonly PairId[]);
      this.#steps.push(...steps.map((step) => searchStep(step, bucket, search)));
      if (bucket) return bucket;
    }
    return null;
  }

  async #readPairs(step: NameStep['step'], pairs: readonly PairId[]): Promise<Bucket | null> {
    if (pairs.length === 0) return null;
    const startedAt = this.#o.clock.monotonic();
    const bucket = await this.#read(pairs);
    const silent = pairs.filter((pair) => this.#said.get(pair) === 'silent');
    this.#steps.push({
      ...{ step, center: null, transport: 'catalog', asked: pairs, silent, leftOut: [] },
      answer: bucket ? 'found' : silent.length > 0 ? 'unknown' : 'nowhere',
      foundAt: bucket ? [bucket.directory] : [],
      ms: Math.round(this.#o.clock.monotonic() - startedAt),
    });
    return bucket;
  }

  async #read(pairs: readonly PairId[]): Promise<Bucket | null> {
    const { clock, name, readRow, tuning } = this.#o;
    const rows = await Promise.all(
      pairs.map(async (pair) => {
        try {
          const row = await within(clock, tuning.readMs, readRow(pair, name));
          if (!row) this.#said.set(pair, 'has-not');
          return row;
        } catch {
          this.#said.set(pair, 'silent');
          return null;
        }
      }),
    );
    return rows.find((row) => row !== null) ?? null;
  }
}

/** What members said, and what became of it at the primary. */
function searchStep(
  { step, center, transport, asked, answer, holders, ms }: CenterStep,
  bucket: Bucket | null,
  search: NameSearch,
): NameStep {
  const inState = (wanted: string): MemberId[] =>
    asked.filter(({ state }) => state === wanted).map(({ member }) => member);
  const leftOut = inState('left-out');
  const foundAt = holders.filter((member) => bucket && search.pairOf(member)?.id === bucket.directory);
  const isFalse = answer === 'found' && foundAt.length === 0;
  return {
    ...{ step, center, transport, silent: inState('silent'), leftOut, foundAt, ms },
    asked: asked.map(({ member }) => member).filter((member) => !leftOut.includes(member)),
    answer: isFalse ? 'not confirmed' : answer,
  };
}
