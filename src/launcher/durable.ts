/** Files that are whole or not there, also across a power loss. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Flushes under way at once: the file system's journal commits them together. */
const FLUSHES_MAX = 32;

export function writeDurably(path: string, text: string, mode = 0o600): void {
  const temp = `${path}.new`;
  writeFileSync(temp, text, { mode, flush: true });
  renameSync(temp, path);
  syncFolder(dirname(path));
}

/** After a rename or a removal in it. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Everything below `path`, and `path`. */
export async function syncTree(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  const paths = [
    path,
    ...entries.filter((e) => e.isFile() || e.isDirectory()).map((e) => join(e.parentPath, e.name)),
  ];
  const flush = async () => {
    for (let next = paths.pop(); next !== undefined; next = paths.pop()) {
      const file = await open(next, 'r');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    }
  };
  await Promise.all(Array.from({ length: FLUSHES_MAX }, flush));
}
