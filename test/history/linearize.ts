/**
 * Whether an order of the calls explains every answer: the search of Wing and Gong with Lowe's memory of what was tried
 * (a set of calls placed and the state that they led to). Each call takes effect at one moment between its begin and its
 * end; a call whose outcome is unknown has no end, and may have had no effect.
 */
export interface Recorded<E> {
  readonly event: E;
  /** Places on one axis of time, all different. */
  readonly begin: number;
  /** Infinity: the outcome is unknown. */
  readonly end: number;
}

export interface Machine<S, E> {
  /** The same state object when nothing changes; null when it cannot be explained. */
  readonly explain: (state: S, event: E) => S | null;
  readonly textOf: (state: S) => string;
  /** The event, with the answer that it had, changes no state whatever: a read, a refusal. */
  readonly isIdle: (event: E) => boolean;
}

export type Explanation<S, E> =
  | { readonly holds: true; readonly tried: number }
  | {
      readonly holds: false;
      readonly tried: number;
      /** The longest way that was found, and where it ended. */
      readonly placed: readonly Recorded<E>[];
      readonly state: S;
    };

/** Beyond this the history is too hard to judge, which no program of ours should be. */
const TRIED_MAX = 1_000_000;

/** @throws {RangeError} when the search grows beyond its bound */
export function linearize<S, E>(
  machine: Machine<S, E>,
  start: S,
  events: readonly Recorded<E>[],
): Explanation<S, E> {
  const history = events.toSorted((a, b) => a.begin - b.begin);
  const placed: number[] = [];
  const isPlaced = new Uint8Array(history.length);
  const tried = new Set<string>();
  let best: { placed: readonly number[]; state: S } = { placed: [], state: start };

  /** Those that may come next: begun before any other that is left has ended. */
  const next = (): { may: number[]; isOver: boolean } => {
    let firstEnd = Number.POSITIVE_INFINITY;
    let isOver = true;
    const left: number[] = [];
    for (const [i, { begin, end }] of history.entries()) {
      if (isPlaced[i]) continue;
      if (begin > firstEnd) break;
      left.push(i);
      if (end !== Number.POSITIVE_INFINITY) isOver = false;
      firstEnd = Math.min(firstEnd, end);
    }
    return { may: left.filter((i) => history[i]!.begin < firstEnd), isOver };
  };

  const visit = (state: S): boolean => {
    const { may, isOver } = next();
    if (isOver) return true;
    if (placed.length >= best.placed.length) best = { placed: [...placed], state };
    const key = `${Buffer.from(isPlaced).toString('latin1')}${machine.textOf(state)}`;
    if (tried.has(key)) return false;
    if (tried.size >= TRIED_MAX) throw new RangeError('the history is too hard to judge');
    tried.add(key);
    const steps = may
      .map((i) => ({ i, after: machine.explain(state, history[i]!.event) }))
      .filter((step): step is { i: number; after: S } => step.after !== null);
    // What never changes anything and fits here may as well come here: any order that has it later works without it there.
    const idle = steps.find(({ i, after }) => after === state && machine.isIdle(history[i]!.event));
    // Those that ended first, first: what is unknown is placed where nothing else fits.
    steps.sort((a, b) => history[a.i]!.end - history[b.i]!.end || 0);
    for (const { i, after } of idle ? [idle] : steps) {
      isPlaced[i] = 1;
      placed.push(i);
      if (visit(after)) return true;
      placed.pop();
      isPlaced[i] = 0;
    }
    return false;
  };

  if (visit(start)) return { holds: true, tried: tried.size };
  return {
    holds: false,
    tried: tried.size,
    placed: best.placed.map((i) => history[i]!),
    state: best.state,
  };
}
