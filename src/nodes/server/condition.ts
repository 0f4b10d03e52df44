/**
 * Whether a node takes data requests: its state, and its pair's epoch as far as it has heard.
 *
 *   every start --> fenced --setCondition--> resyncing --setCondition--> serving --setCondition--> fenced …
 *
 * Invariants: the epoch never falls, not even by a restart; what is refused is refused before any effect; a stricter
 * state holds at once, a looser one when it is durable. The state is stored with the epoch for whoever looks at the
 * folder, but never believed: a process that was away does not know what was decided meanwhile.
 * A request without an epoch is taken only at the first epoch, that is as long as nobody has changed any condition.
 */
import type { Epoch } from '../../base/ids.ts';
import { FIRST_EPOCH } from '../../twin/condition.ts';
import type { NodeState } from '../protocol.ts';
import { Refused } from './exchange.ts';

/** Where the condition is kept; put() is durable when it resolves. */
export interface ConditionStore {
  get(name: string): unknown;
  put(name: string, document: object): Promise<void>;
}

interface Condition {
  readonly state: NodeState;
  readonly epoch: Epoch;
}

/** Throws when what the request was admitted under no longer holds. @throws {Refused} */
export type Admission = () => void;

const NAME = 'condition';

function storedEpoch(store: ConditionStore): Epoch {
  const stored = store.get(NAME) as { epoch?: unknown } | null;
  return Number.isSafeInteger(stored?.epoch) ? (stored!.epoch as Epoch) : FIRST_EPOCH;
}

export class NodeCondition {
  readonly #store: ConditionStore;
  readonly #onError: (error: unknown) => void;
  #state: NodeState;
  #epoch: Epoch;
  /** What was last said; a call that was overtaken must not apply what it brought. */
  #wanted: Condition;
  /** Raised whenever the node stops serving. */
  #term = 0;
  #savedEpoch: Epoch;
  #saving = false;

  /** `onError`: an epoch that was only heard of could not be stored. */
  constructor(store: ConditionStore, admitAtStart: boolean, onError: (error: unknown) => void) {
    this.#store = store;
    this.#onError = onError;
    this.#epoch = storedEpoch(store);
    this.#savedEpoch = this.#epoch;
    this.#state = admitAtStart ? 'serving' : 'fenced';
    this.#wanted = { state: this.#state, epoch: this.#epoch };
  }

  get state(): NodeState {
    return this.#state;
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  /** Durable when it resolves. @throws {Refused} stale-epoch, also when somebody who knew more was faster */
  async set(next: Condition): Promise<void> {
    if (next.epoch < this.#epoch) throw this.#stale();
    this.#wanted = next;
    this.#epoch = next.epoch;
    if (next.state !== 'serving') this.#become(next.state);
    await this.#store.put(NAME, next);
    this.#savedEpoch = Math.max(this.#savedEpoch, next.epoch) as Epoch;
    const wasOvertaken = this.#wanted.state !== next.state || this.#epoch !== next.epoch;
    if (wasOvertaken) throw this.#stale();
    this.#become(next.state);
  }

  #become(state: NodeState): void {
    if (this.#state === 'serving' && state !== 'serving') this.#term += 1;
    this.#state = state;
  }

  /**
   * `epoch`: what the request carries; null for none. `lastResort`: a read that a resyncing node answers too.
   * @throws {Refused} stale-epoch or fenced
   */
  admit({ epoch, lastResort = false }: { epoch: Epoch | null; lastResort?: boolean }): Admission {
    if ((epoch ?? FIRST_EPOCH) < this.#epoch) throw this.#stale();
    if (this.#state !== 'serving' && !(lastResort && this.#state === 'resyncing')) throw this.#fenced();
    if (epoch !== null && epoch > this.#epoch) {
      this.#epoch = epoch;
      void this.#saveSoon();
    }
    const term = this.#term;
    return () => {
      if (this.#state !== 'serving' || this.#term !== term) throw this.#fenced();
    };
  }

  /** Of a search, which brings the cluster's epoch and judges it itself (twin/search-answerer.ts). @throws {Refused} fenced */
  admitSearch(): Admission {
    if (this.#state !== 'serving') throw this.#fenced();
    return () => {};
  }

  #stale(): Refused {
    return new Refused('stale-epoch', `the epoch is ${this.#epoch}`, this.#epoch);
  }

  #fenced(): Refused {
    return new Refused('fenced', `the node is ${this.#state}`, this.#epoch);
  }

  /** One write at a time, however many requests bring a new epoch. */
  async #saveSoon(): Promise<void> {
    if (this.#saving) return;
    this.#saving = true;
    try {
      while (this.#savedEpoch < this.#epoch) {
        const epoch = this.#epoch;
        await this.#store.put(NAME, { state: this.#state, epoch });
        this.#savedEpoch = Math.max(this.#savedEpoch, epoch) as Epoch;
      }
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#saving = false;
    }
  }
}
