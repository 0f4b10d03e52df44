/**
 * Which processes work in a data folder, and their end. A postmaster that was killed leaves backends, and a stopped
 * (SIGSTOP) one answers no signal but SIGKILL; every Postgres process has the data folder as its working directory,
 * which /proc tells even when the pid file lies. Where there is no /proc, the pid file and `ps` must do.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const GONE_MS = 10_000;
const FAST_MS = 15_000;
const POLL_MS = 10;

/** Ends (fast shutdown, then SIGKILL) what an earlier owner left running over `dataDir`; removes a stale pid file. */
export async function endLeftovers(dataDir: string): Promise<void> {
  const postmaster = postmasterPid(dataDir);
  const running = processesIn(dataDir);
  if (postmaster !== null && running.includes(postmaster)) {
    signal(postmaster, 'SIGINT');
    await gone(dataDir, FAST_MS);
  }
  await killFolder(dataDir);
  // With no process left the file is stale, and its pid may meanwhile be somebody else's: Postgres would refuse to start.
  rmSync(join(dataDir, 'postmaster.pid'), { force: true });
}

/** SIGKILL for every process of the folder until none is left. @throws {Error} when some will not go */
export async function killFolder(dataDir: string): Promise<void> {
  for (const pid of processesIn(dataDir)) signal(pid, 'SIGKILL');
  if (!(await gone(dataDir, GONE_MS))) throw new Error(`processes of ${dataDir} do not end`);
}

/** Whether no process is left within `ms`. The postmaster's children may fork between two looks, so the folder is looked at until it is empty. */
export async function gone(dataDir: string, ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  while (processesIn(dataDir).length > 0) {
    if (performance.now() > until) return false;
    await sleep(POLL_MS);
  }
  return true;
}

export function processesIn(dataDir: string): number[] {
  const folder = realPath(dataDir);
  if (folder === null) return [];
  if (!existsSync('/proc/self/cwd')) return withoutProc(folder);
  // A folder that was removed under a running server is still where it works.
  const names = [folder, `${folder} (deleted)`];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => names.includes(cwd(pid) ?? '') && isPostgres(pid))
    .map(Number);
}

/** Also of a folder that is gone, as long as the one around it is there. */
function realPath(dataDir: string): string | null {
  try {
    return realpathSync(dataDir);
  } catch {
    try {
      return join(realpathSync(dirname(dataDir)), basename(dataDir));
    } catch {
      return null;
    }
  }
}

function cwd(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null; // ended, or somebody else's
  }
}

/** A shell that stands in the folder is none of ours; a zombie has no more to end. */
function isPostgres(pid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const state = stat.slice(stat.lastIndexOf(')') + 2)[0];
    return name === 'postgres' && state !== 'Z';
  } catch {
    return false;
  }
}

function withoutProc(folder: string): number[] {
  const pid = postmasterPid(folder);
  if (pid === null) return [];
  try {
    const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return command.includes(folder) ? [pid] : [];
  } catch {
    return [];
  }
}

function postmasterPid(dataDir: string): number | null {
  try {
    const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 1 ? pid : null;
  } catch {
    return null;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Ended meanwhile.
  }
}
