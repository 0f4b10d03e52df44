/**
 * Tells "no room" from every other failure of files and of LMDB, whose commit errors arrive wrapped.
 * Sources: errno(3); lmdb.h (MDB_MAP_FULL); lmdb-js write.js (a failed commit rejects every write of its batch with
 * an error whose `commitError` is a promise that rejects with the cause).
 */
import { StoreError } from './blob-store.ts';

const ENOSPC = 28;
const EDQUOT = 122;
const MDB_MAP_FULL = -30792;
const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', ENOSPC, EDQUOT, MDB_MAP_FULL]);

const isNoRoom = (error: unknown): boolean => NO_ROOM.has((error as { code?: unknown } | null)?.code);

async function causeOf(error: unknown): Promise<unknown> {
  const wrapped = (error as { commitError?: unknown } | null)?.commitError;
  if (!(wrapped instanceof Promise)) return error;
  return wrapped.then(
    () => error,
    (cause) => cause,
  );
}

/** Runs a step that writes to the disk; out of room becomes StoreError 'full'. */
export async function onDisk<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const cause = await causeOf(error);
    if (isNoRoom(cause)) throw new StoreError('full', 'no room on the disk', { cause });
    throw cause;
  }
}
