/**
 * What a bucket's keys may answer over S3, as a pure function: each key a register with conditional writes, the listing
 * all of them at one moment. A value is an ETag; every write has one of its own.
 */
import type { Machine, Recorded } from './linearize.ts';

export type RegisterState = Readonly<Record<string, string>>;
export type Condition = { readonly ifNoneMatch: '*' } | { readonly ifMatch: string };

export type RegisterEvent =
  | {
      readonly op: 'put';
      readonly key: string;
      readonly value: string;
      readonly condition?: Condition;
      /** `refused`: 412, or 404 for an If-Match on nothing. `unknown`: it may or may not have taken effect. */
      readonly answer: 'done' | 'refused' | 'unknown';
    }
  | { readonly op: 'delete'; readonly key: string; readonly answer: 'done' | 'unknown' }
  | { readonly op: 'get'; readonly key: string; readonly shown: string | null }
  | { readonly op: 'list'; readonly shown: RegisterState };

const holds = (now: string | undefined, condition: Condition | undefined): boolean => {
  if (!condition) return true;
  return 'ifMatch' in condition ? now === condition.ifMatch : now === undefined;
};

function explain(state: RegisterState, event: RegisterEvent): RegisterState | null {
  switch (event.op) {
    case 'get':
      return (state[event.key] ?? null) === event.shown ? state : null;
    case 'list':
      return textOf(state) === textOf(event.shown) ? state : null;
    case 'delete': {
      if (state[event.key] === undefined) return state;
      const { [event.key]: _, ...rest } = state;
      return rest;
    }
    case 'put': {
      const isMet = holds(state[event.key], event.condition);
      if (event.answer === 'refused') return isMet ? null : state;
      if (isMet) return { ...state, [event.key]: event.value };
      return event.answer === 'done' ? null : state;
    }
  }
}

const texts = new WeakMap<object, string>();
function textOf(state: RegisterState): string {
  let text = texts.get(state);
  if (text === undefined) {
    text = Object.entries(state)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .join(';');
    texts.set(state, text);
  }
  return text;
}

export const REGISTERS: Machine<RegisterState, RegisterEvent> = {
  explain,
  textOf,
  isIdle: (event) =>
    event.op === 'get' || event.op === 'list' || (event.op === 'put' && event.answer === 'refused'),
};

/** For people: the calls by begin, with their place in the longest order that was found. */
export function linesOf(
  events: readonly Recorded<RegisterEvent>[],
  placed: readonly Recorded<RegisterEvent>[],
): string[] {
  const places = new Map(placed.map((one, index) => [one, index + 1]));
  return events
    .toSorted((a, b) => a.begin - b.begin)
    .map((one) => {
      const place = String(places.get(one) ?? '-').padStart(4);
      const span = `${one.begin}–${Number.isFinite(one.end) ? one.end : '…'}`.padEnd(10);
      return `${place} | ${span} | ${JSON.stringify(one.event)}`;
    });
}
