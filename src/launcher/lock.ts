/**
 * One supervisor per data folder. The lock is a listening socket in Linux's abstract namespace, named after the folder's
 * device and inode: the kernel drops it with the process however that ends, so no stale lock can exist. Elsewhere a pid
 * file with a look at whether the process still runs must do. DATA/run/supervisor.json says who holds it.
 */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { ConfigError } from '../config.ts';
import { writeDurably } from './durable.ts';

export interface FolderLock {
  /** Adds what others may want to know of the running store, e.g. its addresses. */
  describe(facts: Readonly<Record<string, unknown>>): void;
  release(): void;
}

/** @throws {ConfigError} when another instance runs on this folder, or the folder cannot be written */
export async function lockFolder(dataDir: string): Promise<FolderLock> {
  const runDir = join(dataDir, 'run');
  const file = join(runDir, 'supervisor.json');
  try {
    makeFolder(runDir);
  } catch (error) {
    throw unwritable(dataDir, error);
  }
  const server = process.platform === 'linux' ? await listen(dataDir, file) : checkPid(dataDir, file);
  const describe = (facts: Readonly<Record<string, unknown>>) =>
    writeDurably(file, `${JSON.stringify({ pid: process.pid, ...facts }, null, 2)}\n`);
  try {
    describe({});
  } catch (error) {
    server?.close();
    throw unwritable(dataDir, error);
  }
  return { describe, release: () => server?.close() };
}

/** Not `recursive`: that loops for ever where the system says ENOENT for a folder that is there, as /proc does. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

function listen(dataDir: string, file: string): Promise<Server> {
  const { dev, ino } = statSync(dataDir);
  // The namespace of names is the machine's, not the user's: nobody speaks on this socket, it only is there.
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? taken(dataDir, file) : error);
    });
    server.listen(`\0antipode-${dev}-${ino}`, () => {
      server.unref();
      resolve(server);
    });
  });
}

function checkPid(dataDir: string, file: string): null {
  const pid = holder(file);
  if (pid === null || pid === process.pid) return null;
  try {
    process.kill(pid, 0);
  } catch {
    return null;
  }
  throw taken(dataDir, file);
}

function holder(file: string): number | null {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid;
  } catch {
    return null;
  }
}

function taken(dataDir: string, file: string): ConfigError {
  const pid = holder(file);
  return new ConfigError(
    `--data: another instance${pid === null ? '' : ` (process ${pid})`} runs on ${dataDir}; stop it or choose another folder`,
  );
}

function unwritable(dataDir: string, error: unknown): ConfigError {
  const { code } = error as NodeJS.ErrnoException;
  return new ConfigError(
    `--data: ${dataDir} cannot be written (${code}); choose a folder that you may write`,
  );
}
