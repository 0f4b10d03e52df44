/**
 * What is to be done about a blob that a returning member and its twin do not have alike. Pure; the catalog decides:
 *
 *   on the member alone    live: the twin lacks it and gets it. Dying: dropped, it stays deleted. Unknown: dropped when its
 *                          write cannot be committed any more, else left to the reaper.
 *   on the twin alone      live, or of a write that may still be committed: pulled. Else nothing: the twin's will go.
 *   on both, unlike        the one that is not what the row says is replaced.
 *
 * Blobs of writes in flight are pulled too, although most of them have a handoff: a commit that waits for the directory's
 * twin is not visible yet, and may be of a write from before the outage that counts on this member. What such a write
 * then gives up, the reaper takes away.
 *
 * A record that says `confirmed` had a row: when no row names it now, it was reclaimed everywhere else.
 */
import type { BlobId, MemberId, PairId } from '../../base/ids.ts';
import type { BlobRef, NewRepair } from '../../ddm/catalog.ts';
import type { InventoryEntry } from '../../nodes/protocol.ts';
import { type Difference, isSameBlob } from './compare.ts';
import type { WantedBlob } from './pull.ts';

/** `known` must have been asked before `live`: so what is known and not live is dead, and not just being committed. */
export interface CatalogSays {
  readonly known: ReadonlySet<BlobId>;
  readonly live: ReadonlyMap<BlobId, BlobRef>;
}
export interface Case {
  readonly pair: PairId;
  readonly member: MemberId;
  readonly twin: MemberId;
  /** Writes that began before (ms since the epoch) can no longer be committed. */
  readonly expiredBefore: number;
}

export interface Verdict {
  /** On the member: dead, or not the bytes that the row is about. */
  readonly drop: BlobId[];
  /** By the member, from its twin or who holds it off the map. `isOwed`: a row promises it, and no handoff stands for it. */
  readonly pull: {
    readonly blob: WantedBlob;
    readonly offMap: readonly MemberId[];
    readonly isOwed: boolean;
  }[];
  /** By the twin, from the member. */
  readonly giveBack: WantedBlob[];
  readonly repairs: NewRepair[];
  /** Live blobs of other pairs on the member that no row says are there. */
  readonly strangers: BlobId[];
  /** Left to the reaper, or to the twin's reclaim. */
  left: number;
}

export function judge(
  differences: readonly Difference[],
  { known, live }: CatalogSays,
  where: Case,
): Verdict {
  const verdict: Verdict = { drop: [], pull: [], giveBack: [], repairs: [], strangers: [], left: 0 };
  for (const difference of differences) {
    const row = live.get(difference.id);
    if (row && row.pair === where.pair) judgeLive(verdict, difference, row, where);
    else if (row) judgeStranger(verdict, difference, row, where);
    else if (known.has(difference.id)) judgeDead(verdict, difference);
    else judgeUnknown(verdict, difference, where);
  }
  return verdict;
}

function judgeLive(verdict: Verdict, { id, mine, theirs }: Difference, row: BlobRef, where: Case): void {
  const hasMine = mine !== null && isSameBlob(mine, row);
  const hasTheirs = theirs !== null && isSameBlob(theirs, row);
  const entry = (hasTheirs ? theirs : hasMine ? mine : (theirs ?? mine))!;
  const { size, root } = row;
  const blob: WantedBlob = { id, size, root, state: 'confirmed', intent: homeIntent(entry), replace: true };
  const { offMap = [], absent = [] } = row;
  // Other bytes under this id, which no row is about: dropped when the right ones can be had.
  if (mine && !hasMine && hasTheirs) verdict.drop.push(id);
  if (!hasMine) verdict.pull.push({ blob, offMap, isOwed: !absent.includes(where.member) });
  if (!hasTheirs && hasMine) verdict.giveBack.push(blob);
  if (!hasTheirs) {
    const reason = theirs === null ? 'missing' : 'corrupt';
    verdict.repairs.push({ blobId: id, member: where.twin, reason, foundBy: 'resync' });
  }
}

/** A copy that stands off the map for others, or was left behind by a move. */
function judgeStranger(verdict: Verdict, { id, mine }: Difference, row: BlobRef, { member }: Case): void {
  if (mine && !row.offMap?.includes(member)) verdict.strangers.push(id);
  else verdict.left += 1;
}

function judgeDead(verdict: Verdict, { id, mine }: Difference): void {
  if (mine) verdict.drop.push(id);
  else verdict.left += 1;
}

function judgeUnknown(verdict: Verdict, { id, mine, theirs }: Difference, { expiredBefore }: Case): void {
  const isOver = (entry: InventoryEntry) =>
    entry.state === 'confirmed' || entry.intent.intentAt < expiredBefore;
  if (mine && isOver(mine)) verdict.drop.push(id);
  else if (!mine && theirs && !isOver(theirs)) {
    const { size, root, state } = theirs;
    const blob: WantedBlob = { id, size, root, state, intent: homeIntent(theirs) };
    verdict.pull.push({ blob, offMap: [], isOwed: false });
  } else verdict.left += 1;
}

/** The intent as it stands at home: a handoff's says for whom it was parked. */
export function homeIntent({ intent }: Pick<InventoryEntry, 'intent'>): InventoryEntry['intent'] {
  const { handoffFor: _, ...home } = intent;
  return home;
}
