/**
 * The decider's record: DATA/decisions.jsonl, one JSON line for each decision, fsynced before it is acted upon.
 * What the last line about a pair says is how the pair starts next time: who is the primary, and whether it waits.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { MemberId, PairId } from '../base/ids.ts';
import { syncFolder } from './durable.ts';

export interface Decision {
  /** ISO 8601. */
  readonly at: string;
  readonly pair: PairId;
  /**
   * `left-out`: commits no longer wait for the member. `may-return`: a member that an operator took out is started again.
   * `returned`: commits wait for it again. `promoted`: it is the primary, and its twin, the old one, is out.
   */
  readonly what: 'left-out' | 'may-return' | 'returned' | 'promoted';
  readonly member: MemberId;
  readonly why: string;
  /** What shows that the member (or the old primary) answers nobody, or that it has caught up. */
  readonly proof: string;
  /** Whether who is out by this returns by itself; absent: it does. */
  readonly mayReturn?: boolean;
  /** Absent: the launcher. */
  readonly decidedBy?: string;
}

export const DECIDED_BY_ITSELF = 'antipode start';

/** Who is what in a pair, by its last decision. */
export interface Standing {
  readonly primary: MemberId;
  readonly twin: MemberId;
  /** Whether commits wait for the twin; only then does it have all that was acknowledged. */
  readonly twinIn: boolean;
  /** Of a twin that is out: whether it is started, and waited for again once it has caught up. */
  readonly mayReturn: boolean;
}

export function standingOf(
  members: readonly [MemberId, MemberId],
  last: Pick<Decision, 'what' | 'member' | 'mayReturn'> | undefined,
): Standing {
  const [first, second] = members;
  if (!last) return { primary: first, twin: second, twinIn: true, mayReturn: true };
  if (!members.includes(last.member))
    throw new Error(`decisions.jsonl names ${last.member} in the pair of ${first} and ${second}`);
  const other = last.member === first ? second : first;
  const [primary, twin] = last.what === 'promoted' ? [last.member, other] : [other, last.member];
  return { primary, twin, twinIn: last.what === 'returned', mayReturn: last.mayReturn !== false };
}

export interface DecisionLog {
  readonly last: ReadonlyMap<PairId, Decision>;
  /** How often somebody has become the primary, the first one included. */
  term(pair: PairId): number;
  /** The latest of each pair, oldest first; bounded. */
  history(pair: PairId): readonly Decision[];
  /** Durable when it returns. */
  append(decision: Decision): void;
}

/** For the catalog's copy, which has the others already. */
const KEPT_MAX = 100;

export function openDecisions(path: string): DecisionLog {
  const last = new Map<PairId, Decision>();
  const histories = new Map<PairId, Decision[]>();
  const promotions = new Map<PairId, number>();
  const keep = (decision: Decision) => {
    if (decision.what === 'promoted') promotions.set(decision.pair, (promotions.get(decision.pair) ?? 0) + 1);
    last.set(decision.pair, decision);
    histories.set(decision.pair, [...(histories.get(decision.pair) ?? []), decision].slice(-KEPT_MAX));
  };
  const fresh = !existsSync(path);
  const text = fresh ? '' : readFileSync(path, 'utf8');
  for (const line of text.split('\n')) {
    const decision = parse(line);
    if (decision) keep(decision);
  }
  // A line that was torn by a crash was never acted upon; the next one must not be glued to it.
  let separator = text === '' || text.endsWith('\n') ? '' : '\n';
  return {
    last,
    term: (pair) => 1 + (promotions.get(pair) ?? 0),
    history: (pair) => histories.get(pair) ?? [],
    append(decision) {
      const file = openSync(path, 'a', 0o600);
      try {
        writeSync(file, `${separator}${JSON.stringify(decision)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      if (separator === '' && last.size === 0) syncFolder(dirname(path));
      separator = '';
      keep(decision);
    },
  };
}

function parse(line: string): Decision | null {
  try {
    return JSON.parse(line) as Decision;
  } catch {
    return null;
  }
}
