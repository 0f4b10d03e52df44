/**
 * Tells "no room" from every other failure of files and of LMDB. Sources: errno(3); lmdb.h (MDB_MAP_FULL); mdb.c: a
 * write cut short by a full disk is reported as EIO, so EIO on a disk without room means "full" as well.
 */
import { statfs } from 'node:fs/promises';
import { StoreError } from './blob-store.ts';

const ENOSPC = 28;
const EDQUOT = 122;
const EIO = 5;
const MDB_MAP_FULL = -30792;
const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', ENOSPC, EDQUOT, MDB_MAP_FULL]);
const MAYBE_NO_ROOM: ReadonlySet<unknown> = new Set(['EIO', EIO]);
/** A group of commits writes a few MiB at most. */
const LITTLE_BYTES = 16 * 1024 * 1024;

async function isNoRoom(error: unknown, path: string): Promise<boolean> {
  const code = (error as { code?: unknown } | null)?.code;
  if (NO_ROOM.has(code)) return true;
  if (!MAYBE_NO_ROOM.has(code)) return false;
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize < LITTLE_BYTES;
}

/** Runs a step that writes to the disk below `path`; out of room becomes StoreError 'full'. */
export async function onDisk<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (await isNoRoom(error, path)) throw new StoreError('full', 'no room on the disk', { cause: error });
    throw error;
  }
}
