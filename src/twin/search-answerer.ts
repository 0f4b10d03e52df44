/**
 * The answering side of a search, whatever the transport: bytes of a question in, bytes of an answer out, or silence.
 *
 * Silence is for: a bad MAC, another center's question, a question out of its time or heard before, one that leaves this
 * member out, and a member that does not serve. A question under an epoch below this member's is answered with `stale`
 * and nothing else, so that the asker reads the record again. A valid question costs one look.
 */
import type { Clock } from '../base/clock.ts';
import type { Epoch, MemberId } from '../base/ids.ts';
import type { SearchQuestion, SearchTransport } from './search.ts';
import { SEARCH_TUNING, type SearchTuning } from './search-tuning.ts';
import { openQuestion, type SearchKey, sealAnswer, type WireQuestion } from './search-wire.ts';
import { TokenBucket } from './token-bucket.ts';

/** `silent`: it cannot tell now, e.g. as what it would look into does not answer in time. */
export type Sight = { readonly has: boolean; readonly detail?: unknown } | 'silent' | null;
/** What this member has; null: no such kind of thing is kept here. Not called for what must not be answered. Bounded by itself. */
export type Look = (kind: SearchQuestion['kind'], subject: string) => Sight | Promise<Sight>;

export interface AnswererOptions {
  readonly member: MemberId;
  readonly center: string;
  readonly key: SearchKey;
  readonly clock: Clock;
  /** The epoch of this member's pair, or null while it must keep silent. */
  readonly standing: () => Epoch | null;
  readonly look: Look;
  /**
   * Whether who asks under an epoch below `standing` is refused with it (true, unless told). Not where members of several
   * pairs hear one question and their epochs have no order among each other.
   */
  readonly refusesOlder?: boolean;
  /** An answer is given: it counts as a data request. */
  readonly onAnswer?: (transport: SearchTransport) => void;
  readonly tuning?: Partial<SearchTuning>;
}

export type Silence =
  | 'too-many' // datagrams above the rate; nobody looked at it
  | 'forged' // or malformed
  | 'other-center'
  | 'out-of-time'
  | 'replayed'
  | 'left-out'
  | 'not-serving'
  | 'unknown-kind'
  | 'cannot-tell';
export type Reply =
  | { readonly bytes: Buffer; readonly question: WireQuestion }
  | { readonly silent: Silence };

export interface Answerer {
  /** Never rejects. */
  answer(question: Buffer, transport: SearchTransport): Promise<Reply>;
  /** Questions by what became of them. */
  readonly counts: Readonly<Record<Silence | 'answered', number>>;
}

export function createAnswerer(options: AnswererOptions): Answerer {
  const { member, center, key, clock, standing } = options;
  const tuning = { ...SEARCH_TUNING, ...options.tuning };
  const bucket = new TokenBucket(tuning.questionsPerSecondMax);
  const heard = new NonceMemory(tuning);
  const counts: Record<Silence | 'answered', number> = {
    answered: 0,
    'too-many': 0,
    forged: 0,
    'other-center': 0,
    'out-of-time': 0,
    replayed: 0,
    'left-out': 0,
    'not-serving': 0,
    'unknown-kind': 0,
    'cannot-tell': 0,
  };

  const judge = async (bytes: Buffer, transport: SearchTransport): Promise<Reply> => {
    // Anybody can send a datagram; what comes point to point has shown already that a member sent it.
    if (transport === 'multicast' && !bucket.take(clock.monotonic())) return { silent: 'too-many' };
    const opened = openQuestion(key, bytes);
    if (!opened) return { silent: 'forged' };
    const { question, nonce } = opened;
    if (question.center !== center) return { silent: 'other-center' };
    if (Math.abs(clock.now() - question.at) > tuning.skewMs) return { silent: 'out-of-time' };
    if (!heard.isNew(nonce, clock.monotonic())) return { silent: 'replayed' };
    if (question.leftOut.includes(member)) return { silent: 'left-out' };
    const epoch = standing();
    if (epoch === null) return { silent: 'not-serving' };
    const stale = (options.refusesOlder ?? true) && question.epoch < epoch;
    const found = stale ? { has: false } : await see(question);
    if (!found) return { silent: 'unknown-kind' };
    if (found === 'silent') return { silent: 'cannot-tell' };
    const sealed = sealAnswer(key, opened, { member, epoch, stale, ...found });
    return sealed ? { bytes: sealed.bytes, question } : { silent: 'unknown-kind' };
  };

  const see = async ({ kind, subject }: WireQuestion): Promise<Sight> => {
    try {
      return await options.look(kind, subject);
    } catch {
      return 'silent';
    }
  };

  return {
    counts,
    answer: async (bytes, transport) => {
      const reply = await judge(bytes, transport);
      counts['silent' in reply ? reply.silent : 'answered'] += 1;
      if (!('silent' in reply)) options.onAnswer?.(transport);
      return reply;
    },
  };
}

/** Nonces of valid questions for as long as those are valid. When it is full it knows nothing new, and nothing is answered. */
class NonceMemory {
  readonly #heardAt = new Map<string, number>();
  readonly #max: number;
  readonly #keepMs: number;

  constructor({ noncesMax, skewMs }: SearchTuning) {
    this.#max = noncesMax;
    this.#keepMs = 2 * skewMs;
  }

  isNew(nonce: string, now: number): boolean {
    for (const [old, at] of this.#heardAt) {
      if (now - at <= this.#keepMs) break;
      this.#heardAt.delete(old);
    }
    if (this.#heardAt.has(nonce) || this.#heardAt.size >= this.#max) return false;
    this.#heardAt.set(nonce, now);
    return true;
  }
}
