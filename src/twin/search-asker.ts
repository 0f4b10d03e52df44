/**
 * The asking side of a search: one center, one question, one or two steps (`auto`: the datagram first, then point to
 * point for who kept silent). Sockets are arguments. Counts as an answer: the first valid one of each member that was
 * asked, to this very question, under an epoch that is not below its pair's; everything else is as if it had not come.
 */
import { type Clock, OVER, type Random } from '../base/clock.ts';
import type { Epoch, MemberId } from '../base/ids.ts';
import type {
  AskedState,
  SearchAnswer,
  Searcher,
  SearchMode,
  SearchQuestion,
  SearchStep,
  SearchTransport,
} from './search.ts';
import { jitterWindowMs, SEARCH_TUNING, type SearchTuning } from './search-tuning.ts';
import {
  answeredNonce,
  openAnswer,
  type Sealed,
  type SearchKey,
  SUBJECT_BYTES_MAX,
  sealQuestion,
  type WireAnswer,
} from './search-wire.ts';
import { TokenBucket } from './token-bucket.ts';

/** Where datagrams go out and answers come in. */
export interface QuestionPort {
  /** Makes ready to send to the center's group. @throws when that is not possible here */
  open(center: string): Promise<{
    /** Where answers are to go, at the address that the datagram comes from. */
    readonly replyPort: number;
    send(datagram: Buffer): Promise<void>;
  }>;
  /** Who is given whatever arrives, from anybody. */
  onDatagram(listener: (bytes: Buffer) => void): void;
  close(): Promise<void>;
}
/** The member refused the question without looking at it: its pair's epoch is above the asker's. */
export class StaleAsker extends Error {
  override readonly name = 'StaleAsker';
  readonly epoch: Epoch;
  constructor(epoch: Epoch) {
    super(`the epoch is ${epoch}`);
    this.epoch = epoch;
  }
}
/** Sends the question to one member and resolves with what it answered. @throws {StaleAsker} and whatever else goes wrong */
export type AskMember = (member: MemberId, question: Buffer, signal: AbortSignal) => Promise<Buffer>;

export interface SearcherOptions {
  readonly mode: SearchMode;
  readonly key: SearchKey;
  readonly clock: Clock;
  /** null: there is none, and every search is point to point. */
  readonly multicast: QuestionPort | null;
  readonly askMember: AskMember;
  /** Answers under an epoch below this are ignored: the epoch of the member's pair as the record has it. */
  readonly epochOf: (member: MemberId) => Epoch;
  readonly tuning?: Partial<SearchTuning>;
  /** Makes nonces; only for simulated worlds, which must replay. */
  readonly random?: Random;
}

interface Asked {
  readonly sealed: Sealed;
  readonly step: Step;
  readonly awaited: ReadonlySet<MemberId>;
  onAnswer(answer: WireAnswer): void;
}

export function createSearcher(options: SearcherOptions): Searcher {
  const tuning = { ...SEARCH_TUNING, ...options.tuning };
  const { clock, key, multicast, epochOf } = options;
  const asked = new Map<string, Asked>();
  const bucket = new TokenBucket(tuning.answersPerSecondMax);

  const take = (question: Asked, bytes: Buffer): void => {
    const answer = openAnswer(key, question.sealed, bytes);
    if (!answer || !question.awaited.has(answer.member) || question.step.answers.has(answer.member)) return;
    if (answer.epoch < epochOf(answer.member)) return;
    question.step.answers.set(answer.member, answer);
    if (answer.stale) question.step.staleAt = Math.max(question.step.staleAt, answer.epoch);
    question.onAnswer(answer);
  };
  multicast?.onDatagram((bytes) => {
    const nonce = answeredNonce(bytes);
    const question = nonce === null ? undefined : asked.get(nonce);
    // Who does not know the nonce of an open question costs a look into a map.
    if (question && bucket.take(clock.monotonic())) take(question, bytes);
  });

  const seal = (question: SearchQuestion, reply: { windowMs: number; replyPort: number }): Sealed | null => {
    const { kind, subject, center, leftOut, epoch } = question;
    const { random } = options;
    const nonce = random && Buffer.from(Array.from({ length: 12 }, () => Math.floor(random() * 256)));
    return sealQuestion(key, { kind, subject, center, leftOut, epoch, at: clock.now(), ...reply }, nonce);
  };

  const askGroup = async (question: SearchQuestion, step: Step): Promise<void> => {
    if (!multicast) return;
    const windowMs = jitterWindowMs(question.members.length, tuning);
    const { replyPort, send } = await multicast.open(question.center);
    const sealed = seal(question, { windowMs, replyPort });
    if (!sealed) return; // so many are left out that their names do not fit: they must not be asked by accident
    const until = new Wait(clock, step.signal, windowMs + tuning.multicastWaitMs);
    const settleAt = clock.monotonic() + windowMs + tuning.settleMs;
    const entry: Asked = {
      sealed,
      step,
      awaited: new Set(question.members),
      onAnswer: (answer) => {
        if (step.answers.size === question.members.length) until.end();
        else if (isEnough(question, answer)) until.shorten(settleAt - clock.monotonic());
      },
    };
    asked.set(sealed.nonce, entry);
    try {
      await send(sealed.bytes);
      await until.over;
      // Timers run before sockets are looked at: on a busy machine answers have come that nobody has read yet.
      for (let read = -1; read < step.answers.size && step.answers.size < question.members.length; ) {
        read = step.answers.size;
        await clock.sleep(1, step.signal);
      }
    } finally {
      until.end();
      asked.delete(sealed.nonce);
    }
  };

  const askEach = async (
    question: SearchQuestion,
    members: readonly MemberId[],
    step: Step,
  ): Promise<void> => {
    const sealed = seal({ ...question, leftOut: [] }, { windowMs: 0, replyPort: 0 });
    if (!sealed) return;
    const stop = new AbortController();
    const entryOf = (member: MemberId): Asked => ({
      sealed,
      step,
      awaited: new Set([member]),
      onAnswer: (answer) => isEnough(question, answer) && stop.abort(OVER),
    });
    const waiting = [...members];
    const lane = async (): Promise<void> => {
      for (let member = waiting.shift(); member && !stop.signal.aborted; member = waiting.shift()) {
        const patience = AbortSignal.any([step.signal, stop.signal]);
        const answer = await askOne(member, sealed.bytes, patience);
        if (answer instanceof StaleAsker) step.staleAt = Math.max(step.staleAt, answer.epoch);
        else if (answer) take(entryOf(member), answer);
      }
    };
    const lanes = Math.min(tuning.pointToPointAtOnce, members.length);
    await Promise.all(Array.from({ length: lanes }, lane));
  };

  const askOne = async (
    member: MemberId,
    question: Buffer,
    signal: AbortSignal,
  ): Promise<Buffer | StaleAsker | null> => {
    const late = new AbortController();
    const until = new Wait(clock, signal, tuning.pointToPointMs);
    until.over.then(() => late.abort(OVER));
    try {
      const answer = options.askMember(member, question, late.signal);
      return await Promise.race([answer, until.over.then(() => null)]);
    } catch (error) {
      return error instanceof StaleAsker ? error : null;
    } finally {
      until.end();
    }
  };

  const runStep = async (
    question: SearchQuestion,
    members: readonly MemberId[],
    transport: SearchTransport,
    signal: AbortSignal,
  ): Promise<SearchStep> => {
    const startedAt = clock.monotonic();
    const step: Step = { answers: new Map(), staleAt: 0, signal };
    try {
      if (transport === 'multicast') await askGroup(question, step);
      else await askEach(question, members, step);
    } catch {
      // What cannot be sent is not answered.
    }
    return describe(question, members, transport, step, clock.monotonic() - startedAt);
  };

  const ask = async (question: SearchQuestion, signal?: AbortSignal): Promise<readonly SearchStep[]> => {
    if (Buffer.byteLength(question.subject) > SUBJECT_BYTES_MAX)
      throw new RangeError('the subject is too long');
    const over = new AbortController();
    const until = new Wait(clock, signal, tuning.stepMs);
    until.over.then(() => over.abort(OVER));
    try {
      if (options.mode === 'point-to-point' || (options.mode === 'auto' && !multicast)) {
        return [await runStep(question, question.members, 'point-to-point', over.signal)];
      }
      const first = await runStep(question, question.members, 'multicast', over.signal);
      const silent = first.asked.filter(({ state }) => state === 'silent').map(({ member }) => member);
      const isDone = silent.length === 0 || first.answers.some((answer) => isEnough(question, answer));
      if (options.mode === 'multicast' || isDone || over.signal.aborted) return [first];
      return [first, await runStep(question, silent, 'point-to-point', over.signal)];
    } finally {
      until.end();
    }
  };
  return { ask, close: async () => multicast?.close() };
}

interface Step {
  readonly answers: Map<MemberId, WireAnswer>;
  /** The highest epoch of those who refused; 0: nobody did. */
  staleAt: number;
  readonly signal: AbortSignal;
}

const isEnough = (question: SearchQuestion, answer: SearchAnswer): boolean =>
  question.isEnough?.(answer) ?? false;

function describe(
  question: SearchQuestion,
  members: readonly MemberId[],
  transport: SearchTransport,
  { answers, staleAt }: Step,
  ms: number,
): SearchStep {
  const stateOf = (member: MemberId): AskedState => {
    const answer = answers.get(member);
    if (!answer || answer.stale) return 'silent';
    return answer.has ? 'has' : 'has-not';
  };
  const asked = members.map((member) => ({ member, state: stateOf(member) }));
  const leftOut = question.leftOut.map((member) => ({ member, state: 'left-out' as const }));
  const said = [...answers.values()].filter((answer) => !answer.stale);
  return {
    center: question.center,
    transport,
    asked: [...asked, ...leftOut],
    answers: said.map(({ member, has, detail }) => ({
      member,
      has,
      ...(detail === undefined ? {} : { detail }),
    })),
    ...(staleAt > 0 ? { staleAt: staleAt as Epoch } : {}),
    ms: Math.round(ms),
  };
}

/** A wait that ends at its deadline, when it is told to, or with a signal; and that can be made shorter. Never rejects. */
class Wait {
  readonly over: Promise<void>;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #resolve: () => void;

  constructor(clock: Clock, signal: AbortSignal | undefined, ms: number) {
    this.#clock = clock;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#resolve = resolve;
    const onSignal = (): void => this.end();
    if (signal?.aborted) this.end();
    else signal?.addEventListener('abort', onSignal, { once: true });
    promise.then(() => signal?.removeEventListener('abort', onSignal));
    this.shorten(ms);
  }

  shorten(ms: number): void {
    this.#clock.sleep(Math.max(0, ms), this.#ended.signal).then(
      () => this.end(),
      () => {},
    );
  }

  end(): void {
    this.#resolve();
    this.#ended.abort(OVER);
  }
}
