/**
 * Whose blobs a node keeps. Invariant: once it remembers a catalog, nothing is removed for the sake of another one: to an empty
 * catalog, made after the directories were lost, every blob looks like rubbish.
 */
import type { BlobStore } from '../blob-store/blob-store.ts';
import type { Notes } from '../blob-store/notes.ts';
import { type Exchange, Refused } from './exchange.ts';

const NAME = 'catalog';

export function catalogOf(notes: Pick<Notes, 'get'>): string | null {
  const stored = notes.get(NAME) as { id?: unknown } | null;
  return typeof stored?.id === 'string' ? stored.id : null;
}

/** Durable when it resolves. @throws {Refused} conflict */
export async function adopt(
  notes: Pick<Notes, 'get' | 'put'>,
  { id, instead }: { id: string; instead?: string | undefined },
): Promise<void> {
  const known = catalogOf(notes);
  if (known === id) return;
  if (known !== null && known !== instead)
    throw new Refused('conflict', `the blobs here are those of catalog ${known}`);
  await notes.put(NAME, { id });
}

/** Who names no catalog is a tool, and is trusted to know what it removes. @throws {Refused} fenced */
export function assertOurs(x: Exchange, store: BlobStore): void {
  const named = x.query.get('catalog');
  const known = catalogOf(store.notes);
  if (named !== null && known !== null && named !== known)
    throw new Refused('fenced', `the blobs here are those of catalog ${known}`);
}
