/**
 * Empties pairs whose weight is 0: moves every blob to the pair that placement prefers now. Every gateway may run it: a move is
 * a compare-and-set, and two who move the same do no harm. A pair is looked at again in each run, so that blobs of writes that
 * began before the drain, and those that had to wait, follow.
 */
import { type MoveCounts, type MoveDeps, movePass } from '../dosm/move/mover.ts';
import { nodePairs, preferredBy } from '../dosm/move/preferred.ts';
import { NodeError } from '../nodes/protocol.ts';

export async function drainPairs(
  deps: MoveDeps,
  dropAfterMs: number,
  counts: MoveCounts,
  signal: AbortSignal,
): Promise<void> {
  for (const pair of nodePairs(deps.topology)) {
    if (pair.weight > 0) continue;
    const order = { from: pair.id, targetOf: preferredBy(deps.topology), dropAfterMs };
    try {
      await movePass(deps, order, counts, signal);
    } catch (error) {
      // A node that does not answer: the next run begins anew.
      if (!(error instanceof NodeError)) throw error;
    }
  }
}
