/** What a change of a primary's role file says to people, for the copy in the catalog (directory-history.ts). */
import type { MemberId, PairId } from '../base/ids.ts';
import type { RoleRecord } from './agent-role.ts';
import type { DirectoryEvent } from './directory-history.ts';

/** Of one process: what was copied is copied again to no effect. */
const KEPT_MAX = 100;

export class RoleHistory {
  readonly #ids: { readonly pair: PairId; readonly self: MemberId; readonly twin: MemberId };
  #events: readonly DirectoryEvent[] = [];

  constructor(ids: { readonly pair: PairId; readonly self: MemberId; readonly twin: MemberId }) {
    this.#ids = ids;
  }

  /** @returns all that is to be copied, or null when this change is none that people ask about */
  note(before: RoleRecord | null, after: RoleRecord): readonly DirectoryEvent[] | null {
    const what = eventOf(before, after);
    if (!what) return null;
    const { pair, self, twin } = this.#ids;
    const { since: at, why, decidedBy } = after;
    const member = what === 'promoted' ? self : twin;
    this.#events = [...this.#events, { at, pair, what, member, why, decidedBy }].slice(-KEPT_MAX);
    return this.#events;
  }
}

/** @param before null: what is found at a start */
export function eventOf(before: RoleRecord | null, after: RoleRecord): DirectoryEvent['what'] | null {
  if (after.role !== 'primary') return null;
  if (after.step?.kind === 'promoting') return 'promoted';
  if (before?.role !== 'primary' || before.step !== null) return null;
  if (after.synchronous) return before.synchronous ? null : 'returned';
  return after.mayReturn ? 'may-return' : 'left-out';
}
