/** Runs many programs and counts what they did; a seed that fails is named with the command that replays it. */
import { checkProgram, HistoryRefused } from './check.ts';
import { type ProgramOptions, runProgram } from './program.ts';

export interface SweepOptions extends Pick<ProgramOptions, 'catalogs' | 'kinds' | 'trouble'> {
  readonly seeds: Iterable<number>;
  /** No program is begun after that long, once there were `programsMin`. */
  readonly forMs?: number;
  readonly programsMin?: number;
  /** Programs under way at once. */
  readonly atOnce?: number;
  /** Its buckets are in several directories. */
  readonly isSpread?: boolean;
  /** Of every program; by default each seed's own. */
  readonly shape?: Pick<ProgramOptions, 'clients' | 'stepsPerClient'>;
  /** The command that runs one seed, for the message. */
  readonly replay: (seed: number) => string;
}

export interface Swept {
  readonly programs: number;
  readonly firstSeed: number;
  readonly lastSeed: number;
  readonly calls: number;
  readonly tried: number;
  /** How often each call had each outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Small programs with much in one place, and larger ones; a seed decides. */
const SHAPES = [
  { clients: 3, stepsPerClient: 8 },
  { clients: 4, stepsPerClient: 12 },
  { clients: 6, stepsPerClient: 10 },
  { clients: 8, stepsPerClient: 6 },
] as const;

/** @throws {HistoryRefused} for the first program whose answers nothing explains */
export async function sweep(o: SweepOptions): Promise<Swept> {
  const until = performance.now() + (o.forMs ?? Number.POSITIVE_INFINITY);
  const seeds = o.seeds[Symbol.iterator]();
  const outcomes = new Map<string, number>();
  const ran: number[] = [];
  let calls = 0;
  let tried = 0;
  let begun = 0;
  let isFailed = false;
  const worker = async () => {
    while (!isFailed && (performance.now() < until || begun < (o.programsMin ?? 0))) {
      begun++;
      const { value: seed, done } = seeds.next();
      if (done) return;
      try {
        const program = await runProgram({ ...o, seed, ...(o.shape ?? SHAPES[seed % SHAPES.length]!) });
        tried += checkProgram(program, o);
        for (const events of program.recorder.events.values()) calls += events.length;
        for (const [what, times] of program.recorder.outcomes)
          outcomes.set(what, (outcomes.get(what) ?? 0) + times);
        ran.push(seed);
      } catch (error) {
        isFailed = true;
        if (!(error instanceof HistoryRefused))
          throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
        throw new HistoryRefused(`seed ${seed}; replay with\n  ${o.replay(seed)}\n${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: o.atOnce ?? 1 }, worker));
  const sorted = [...outcomes].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...{ programs: ran.length, firstSeed: Math.min(...ran), lastSeed: Math.max(...ran), calls, tried },
    outcomes: Object.fromEntries(sorted),
  };
}

export function* seedsFrom(first: number, count = Number.POSITIVE_INFINITY): Generator<number> {
  for (let i = 0; i < count; i++) yield first + i;
}
