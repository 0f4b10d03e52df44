/**
 * Asks candidates one after another until one answers: the next one at once when one fails, and one more beside
 * a slow one after `hedgeMs` (never more than two at once, and while the budget lasts). The first answer wins; later ones are closed.
 */
import type { Clock } from '../base/clock.ts';
import { OVER } from './guard.ts';
import type { HedgeBudget } from './hedge-budget.ts';

export interface HedgeOptions<C, T> {
  readonly clock: Clock;
  readonly hedgeMs: number;
  readonly budget: HedgeBudget;
  readonly signal?: AbortSignal | undefined;
  /** The next candidate, or null when there is none (a later call may find one again). */
  readonly next: () => C | null;
  readonly ask: (candidate: C, signal: AbortSignal) => Promise<T>;
  /** An answer that came too late. */
  readonly close: (answer: T) => void;
  /** A candidate failed by itself (not because it lost or the caller gave up). What it throws ends the search. */
  readonly onFailure: (candidate: C, error: unknown) => void;
  /** A candidate that had longer than `hedgeMs` lost against a later one. */
  readonly onSlow: (candidate: C) => void;
  /** The error when no candidate is left. */
  readonly exhausted: () => Error;
}

const IN_FLIGHT_MAX = 2;

export function firstAnswer<C, T>(options: HedgeOptions<C, T>): Promise<T> {
  const { clock, hedgeMs, signal: outer } = options;
  return new Promise<T>((resolve, reject) => {
    const running = new Map<C, { abort: AbortController; since: number }>();
    const timer = new AbortController();
    let isOver = false;

    const end = (settle: () => void) => {
      isOver = true;
      timer.abort(OVER);
      outer?.removeEventListener('abort', onOuterAbort);
      settle();
      for (const { abort } of running.values()) abort.abort(OVER);
    };
    const onOuterAbort = () => end(() => reject(outer!.reason));

    const win = (candidate: C, answer: T) => {
      running.delete(candidate);
      if (isOver) return options.close(answer);
      for (const [loser, { since }] of running) {
        if (clock.monotonic() - since >= hedgeMs) options.onSlow(loser);
      }
      end(() => resolve(answer));
    };
    const fail = (candidate: C, error: unknown) => {
      running.delete(candidate);
      if (isOver) return;
      try {
        options.onFailure(candidate, error);
      } catch (unexpected) {
        return end(() => reject(unexpected));
      }
      if (!start() && running.size === 0) end(() => reject(options.exhausted()));
    };
    const start = (): boolean => {
      const candidate = options.next();
      if (candidate === null) return false;
      const abort = new AbortController();
      running.set(candidate, { abort, since: clock.monotonic() });
      options.ask(candidate, abort.signal).then(
        (answer) => win(candidate, answer),
        (error) => fail(candidate, error),
      );
      return true;
    };
    const hedge = async () => {
      while (!isOver) {
        await clock.sleep(hedgeMs, timer.signal);
        if (!isOver && running.size < IN_FLIGHT_MAX && options.budget.isLeft && start())
          options.budget.spend();
      }
    };

    if (outer?.aborted) return reject(outer.reason);
    outer?.addEventListener('abort', onOuterAbort, { once: true });
    if (!start()) return end(() => reject(options.exhausted()));
    hedge().catch(() => {});
  });
}
