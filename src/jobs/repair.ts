/**
 * Takes repairs that are due, of members that serve, and carries them home. Every gateway runs it: leases in the catalog
 * keep them apart. Members that do not serve are left to their resync.
 */
import type { MemberId } from '../base/ids.ts';
import { type CarryCounts, type CarryDeps, carryHome } from '../dosm/resync/carry-home.ts';
import type { WholeCatalog } from '../dosm/resync/types.ts';

export interface RepairDeps extends CarryDeps {
  readonly catalog: CarryDeps['catalog'] & Pick<WholeCatalog, 'takeRepairs'>;
  /** Members that this gateway cannot reach at the moment: their repairs are left to others. */
  readonly suspects?: () => readonly MemberId[];
}

/**
 * A batch must end within its lease, or another gateway does the same once more, which harms nothing. Short, because what
 * is taken and never worked on waits for as long: a statement that was under way when a line was cut may still take
 * effect when the line is back, for a gateway that has given it up (seen: 120 s until everything was home).
 */
const TAKEN_AT_ONCE = 200;
const LEASE_MS = 30_000;
const MEMBERS_AT_ONCE = 4;
/** Batches per run. */
const BATCHES_MAX = 50;

/** Adds to `counts` as it goes. @throws what the catalog threw */
export async function repair(deps: RepairDeps, counts: CarryCounts, signal: AbortSignal): Promise<void> {
  for (let batches = 0; batches < BATCHES_MAX; batches += 1) {
    signal.throwIfAborted();
    const repairs = await deps.catalog.takeRepairs({
      max: TAKEN_AT_ONCE,
      leaseMs: LEASE_MS,
      except: membersToLeave(deps),
    });
    if (repairs.length === 0) return;
    const waiting = [...Map.groupBy(repairs, ({ member }) => member)];
    const lanes = Array.from({ length: Math.min(MEMBERS_AT_ONCE, waiting.length) }, async () => {
      for (let next = waiting.pop(); next; next = waiting.pop())
        await carryHome(deps, next[0], next[1], counts, signal);
    });
    await Promise.all(lanes);
    if (repairs.length < TAKEN_AT_ONCE) return;
  }
}

function membersToLeave({ topology, view, suspects, clients }: RepairDeps): MemberId[] {
  const away = [...topology.members.keys()].filter(
    (member) => clients.has(member) && view.stateOf(member) !== 'serving',
  );
  return [...new Set([...away, ...(suspects?.() ?? [])])];
}
