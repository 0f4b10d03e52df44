/**
 * After a start: files that no record names (a crash between rename and record, or between record and unlink) are
 * removed when they are older than the process; records whose file is gone are reported. Runs beside live traffic.
 */
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobId, parseBlobId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { IndexDb } from './index-db.ts';

export interface SweepResult {
  readonly orphans: number;
  readonly missing: number;
}

type Locked = (id: BlobId, step: () => Promise<void>) => Promise<void>;

const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

function blobIdOf(name: string): BlobId | null {
  try {
    return parseBlobId(name);
  } catch {
    return null;
  }
}

/** One fan-out folder; `openedAt` is the wall clock at start. */
export async function sweepFolder(
  path: string,
  fanOut: number,
  index: IndexDb,
  openedAt: number,
  locked: Locked,
): Promise<{ orphans: number; missing: readonly BlobId[] }> {
  const expected = new Set<BlobId>();
  for (const { id, size } of index.sizes(fanOut)) if (size > LIMITS.smallBlobBytesMax) expected.add(id);
  let orphans = 0;
  for (const name of await readdir(path)) {
    const id = blobIdOf(name);
    if (!id || expected.delete(id)) continue;
    await locked(id, async () => {
      if (index.get(id)) return;
      const { mtimeMs } = await stat(join(path, name));
      if (mtimeMs >= openedAt) return;
      await unlink(join(path, name));
      orphans += 1;
    });
  }
  const missing: BlobId[] = [];
  for (const id of expected) if (index.get(id) && (await isMissing(join(path, id)))) missing.push(id);
  return { orphans, missing };
}

async function isMissing(file: string): Promise<boolean> {
  try {
    await stat(file);
    return false;
  } catch (error) {
    if (isGone(error)) return true;
    throw error;
  }
}
