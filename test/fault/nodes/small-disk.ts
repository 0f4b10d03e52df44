/** A disk of a few MiB that really runs full: a tmpfs, where mounting is allowed. */
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { scratchFolder } from '../../integration/nodes/fixture.ts';

const run = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  grow(sizeMib: number): void;
}

/** null where mounting is not allowed. */
export async function smallDisk(sizeMib: number): Promise<SmallDisk | null> {
  const path = await scratchFolder();
  const release = async (): Promise<void> => {
    run('umount', path);
    await rm(path, { recursive: true, force: true });
  };
  if (!run('mount', '-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', path)) {
    await release();
    return null;
  }
  const grow = (mib: number): void => {
    if (!run('mount', '-o', `remount,size=${mib}m`, path)) throw new Error('the disk did not grow');
  };
  return { path, grow, [Symbol.asyncDispose]: release };
}
