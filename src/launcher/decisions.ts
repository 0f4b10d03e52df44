/**
 * The decider's record: DATA/decisions.jsonl, one JSON line for each decision, fsynced before it is acted upon.
 * What the last line about a pair says is how the pair starts next time.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { MemberId, PairId } from '../base/ids.ts';
import { syncFolder } from './durable.ts';

export interface Decision {
  /** ISO 8601. */
  readonly at: string;
  readonly pair: PairId;
  /** `left-out`: commits no longer wait for the member. `returned`: they do again. */
  readonly what: 'left-out' | 'returned';
  readonly member: MemberId;
  readonly why: string;
  /** What shows that the member answers nobody, or that it has caught up. */
  readonly proof: string;
}

export interface DecisionLog {
  readonly last: ReadonlyMap<PairId, Decision>;
  /** Durable when it returns. */
  append(decision: Decision): void;
}

export function openDecisions(path: string): DecisionLog {
  const last = new Map<PairId, Decision>();
  const fresh = !existsSync(path);
  const text = fresh ? '' : readFileSync(path, 'utf8');
  for (const line of text.split('\n')) {
    const decision = parse(line);
    if (decision) last.set(decision.pair, decision);
  }
  // A line that was torn by a crash was never acted upon; the next one must not be glued to it.
  let separator = text === '' || text.endsWith('\n') ? '' : '\n';
  return {
    last,
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
      last.set(decision.pair, decision);
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
