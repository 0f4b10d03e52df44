/**
 * What a killed supervisor may have left: members that are just ending (their channel closed) and Postgres servers whose
 * agents were killed as well. All are gone when this returns; nothing that is not ours is touched.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeDurably } from './durable.ts';
import type { Plan } from './layout.ts';
import { endLeftovers } from './postgres-processes.ts';

/** The longest orderly end of a member: the gateway drains for ten seconds. */
const PATIENCE_MS = 15_000;
const POLL_MS = 50;

const listOf = (plan: Plan): string => join(plan.runDir, 'pids.json');

export function rememberPids(plan: Plan, pids: Readonly<Record<string, number>>): void {
  writeDurably(listOf(plan), `${JSON.stringify(pids)}\n`);
}

/** After an orderly stop there is nothing to look for. */
export const forgetPids = (plan: Plan): void => rmSync(listOf(plan), { force: true });

/** @returns whether there was anything */
export async function clearLeftovers(plan: Plan): Promise<boolean> {
  const members = remembered(plan);
  const until = performance.now() + PATIENCE_MS;
  while (members.some(isOurs)) {
    if (performance.now() > until) for (const member of members.filter(isOurs)) kill(member.pid);
    await sleep(POLL_MS);
  }
  const directories = plan.members.filter((member) => member.kind === 'directory');
  await Promise.all(directories.map((member) => endLeftovers(join(member.dataDir, 'pg'))));
  return members.length > 0;
}

interface Remembered {
  readonly pid: number;
  readonly configFile: string;
}

function remembered(plan: Plan): Remembered[] {
  let pids: Record<string, number>;
  try {
    pids = JSON.parse(readFileSync(listOf(plan), 'utf8')) as Record<string, number>;
  } catch {
    return [];
  }
  return plan.members.flatMap(({ id, configFile }) => {
    const pid = pids[id];
    return typeof pid === 'number' && pid > 1 ? [{ pid, configFile }] : [];
  });
}

/** The pid may be somebody else's by now: the command line must name our configuration file. */
function isOurs({ pid, configFile }: Remembered): boolean {
  if (!existsSync('/proc/self/cmdline')) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(configFile);
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone meanwhile.
  }
}
