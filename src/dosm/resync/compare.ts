/**
 * What differs between a member and its twin, by digests of id ranges: 256 ranges of one byte, then 256 below each that
 * differs and is large, then the inventories of what still differs. So the cost follows the difference, not the size.
 * Handoffs are no part of it. Nothing is held but a page of each side.
 */
import type { BlobId } from '../../base/ids.ts';
import type { InventoryEntry, RangeDigest } from '../../nodes/protocol.ts';
import type { ReplicaClient } from './types.ts';

export interface DifferingRange {
  readonly prefix: string;
  readonly memberCount: number;
  readonly twinCount: number;
}
/** One blob that both do not have alike. At least one side is there. */
export interface Difference {
  readonly id: BlobId;
  readonly mine: InventoryEntry | null;
  readonly theirs: InventoryEntry | null;
}

export interface Sides {
  readonly member: ReplicaClient;
  readonly twin: ReplicaClient;
}

/** A range with so few blobs on one side is listed at once: a second level of digests would be as long as the list. */
const LISTED_AT_ONCE = 256;
/** To list so many blobs costs about what one question costs: where many parts of a range differ, the range is listed. */
const ENTRIES_FOR_A_QUESTION = 32;
const PAGE = 1_000;

/** `onCompared` is told how many ranges each question compared. */
export async function* differingRanges(
  { member, twin }: Sides,
  onCompared: (ranges: number) => void = () => {},
): AsyncGenerator<DifferingRange> {
  const compare = async (prefix?: string): Promise<DifferingRange[]> => {
    const [mine, theirs] = await Promise.all([member.digests(prefix), twin.digests(prefix)]);
    onCompared(Math.max(mine.length, theirs.length));
    return unequal(mine, theirs);
  };
  for (const range of await compare()) {
    if (Math.min(range.memberCount, range.twinCount) <= LISTED_AT_ONCE) {
      yield range;
      continue;
    }
    const parts = await compare(range.prefix);
    const blobs = Math.max(range.memberCount, range.twinCount);
    if (blobs <= parts.length * ENTRIES_FOR_A_QUESTION) yield range;
    else yield* parts;
  }
}

function unequal(mine: readonly RangeDigest[], theirs: readonly RangeDigest[]): DifferingRange[] {
  const left = new Map(mine.map((range) => [range.prefix, range]));
  const right = new Map(theirs.map((range) => [range.prefix, range]));
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((prefix) => {
      const [a, b] = [left.get(prefix), right.get(prefix)];
      return !a || !b || a.count !== b.count || !a.sum.equals(b.sum);
    })
    .sort()
    .map((prefix) => ({
      prefix,
      memberCount: left.get(prefix)?.count ?? 0,
      twinCount: right.get(prefix)?.count ?? 0,
    }));
}

/** The blobs of the range that differ, by id. */
export async function* differences({ member, twin }: Sides, prefix: string): AsyncGenerator<Difference> {
  const mine = homeBlobs(member, prefix);
  const theirs = homeBlobs(twin, prefix);
  let [a, b] = await Promise.all([mine.next(), theirs.next()]);
  while (!a.done || !b.done) {
    const left = a.done ? null : a.value;
    const right = b.done ? null : b.value;
    if (left && (!right || left.id < right.id)) {
      yield { id: left.id, mine: left, theirs: null };
      a = await mine.next();
    } else if (right && (!left || right.id < left.id)) {
      yield { id: right.id, mine: null, theirs: right };
      b = await theirs.next();
    } else if (left && right) {
      if (!isSameBlob(left, right)) yield { id: left.id, mine: left, theirs: right };
      [a, b] = await Promise.all([mine.next(), theirs.next()]);
    }
  }
}

export const isSameBlob = (
  a: { readonly size: number; readonly root: Buffer },
  b: { readonly size: number; readonly root: Buffer },
): boolean => a.size === b.size && a.root.equals(b.root);

async function* homeBlobs(client: ReplicaClient, prefix: string): AsyncGenerator<InventoryEntry> {
  let after: BlobId | undefined;
  for (;;) {
    const page = await client.inventory({
      max: PAGE,
      prefix,
      scope: 'home',
      ...(after === undefined ? {} : { after }),
    });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)!.id;
  }
}
