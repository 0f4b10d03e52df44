/**
 * The model catalog of a world with everything that was done to it, in order, so that it can be made again as it was at an
 * earlier moment: what a standby that is behind has, or what an old primary still knows. Callers always get the present one.
 */
import { ModelCatalog } from '../model/model-catalog.ts';

interface Done {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly at: number;
}
type Ask = (...args: unknown[]) => unknown;

const READS =
  /^(find|list|read|known|count|locate|status|pairWeights|conditionHistory|directoryHistory|close)/;
/** Whether a call changes something. */
export const isWrite = (name: string): boolean => !READS.test(name);

export class ModelLog {
  /** The present one, whichever that is. */
  readonly model: ModelCatalog;
  readonly #now: () => number;
  #log: Done[] = [];
  #current: ModelCatalog;

  constructor(now: () => number) {
    this.#now = now;
    this.#current = new ModelCatalog({ now });
    this.model = new Proxy(this.#current, {
      get: (_, name) => {
        const value: unknown = Reflect.get(this.#current, name);
        if (typeof value !== 'function' || typeof name !== 'string') return value;
        return (...args: unknown[]) => {
          if (isWrite(name)) this.#log.push({ name, args, at: now() });
          return Reflect.apply(value as Ask, this.#current, args);
        };
      },
    });
  }

  /** As it would be if only these had been done. */
  async rebuilt(isKept: (done: Done) => boolean = () => true): Promise<ModelCatalog> {
    return (await this.#replay(this.#log.filter(isKept))).copy;
  }

  /** From now on it is as if the others had never been done. */
  async forget(isKept: (done: Done) => boolean): Promise<void> {
    this.#log = this.#log.filter(isKept);
    this.#current = (await this.#replay(this.#log)).copy;
  }

  async #replay(log: readonly Done[]): Promise<{ copy: ModelCatalog }> {
    let at: number | null = null;
    const copy = new ModelCatalog({ now: () => at ?? this.#now() });
    for (const done of log) {
      at = done.at;
      try {
        await Reflect.apply(Reflect.get(copy, done.name) as Ask, copy, [...done.args]);
      } catch {
        // It failed then as well.
      }
    }
    at = null;
    // Not the model itself: what an async function returns is looked at for a `then`.
    return { copy };
  }
}
