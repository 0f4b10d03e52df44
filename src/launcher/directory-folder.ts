/**
 * How the data folders of a directory pair come to be. Each function leaves either a complete folder or none under the
 * final name: work happens in `….new`, and a folder that is replaced is set aside, not deleted, until its successor runs.
 */
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type BackupSource, takeBaseBackup } from './base-backup.ts';
import { syncFolder, syncTree } from './durable.ts';
import { initPostgres, isInitialized } from './postgres.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { SYNCHRONOUS_CONF } from './postgres-config.ts';

const STANDBY_SIGNAL = 'standby.signal';

export const isStandbyFolder = (dataDir: string): boolean =>
  isInitialized(dataDir) && existsSync(join(dataDir, STANDBY_SIGNAL));

/** A new cluster and its twin. initdb leaves it cleanly shut down, so a plain copy of the files is a valid standby. */
export async function makePairFolders(
  binaries: PostgresBinaries,
  o: { primary: string; standby: string; superuserPassword: string; progress: (step: string) => void },
): Promise<void> {
  await makePrimaryFolder(binaries, o.primary, o.superuserPassword);
  o.progress('made the catalog');
  // Interrupted here, the next start finds no twin and its agent seeds one: a twin without a primary is a lost primary.
  await copyAsStandby(o.primary, o.standby);
  o.progress('copied it for its twin');
}

/** A new cluster, which has no twin yet. */
export async function makePrimaryFolder(
  binaries: PostgresBinaries,
  dataDir: string,
  superuserPassword: string,
): Promise<void> {
  const fresh = `${dataDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  await initPostgres(binaries, { dataDir: fresh, superuserPassword });
  renameSync(fresh, dataDir);
  syncFolder(dirname(dataDir));
}

async function copyAsStandby(from: string, to: string): Promise<void> {
  const fresh = `${to}.new`;
  rmSync(fresh, { recursive: true, force: true });
  rmSync(to, { recursive: true, force: true });
  await cp(from, fresh, { recursive: true, preserveTimestamps: true });
  await finishStandby(fresh, to);
}

/**
 * A standby anew from the running primary. What was there is set aside as `….aside`; with something set aside already, it
 * is a successor that never caught up, and goes.
 */
export async function reseedStandby(source: BackupSource, dataDir: string): Promise<void> {
  const fresh = `${dataDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  await takeBaseBackup(source, fresh);
  // The primary's own state: its twin must not wait for itself.
  dropPrimaryState(fresh);
  await replaceFolder(fresh, dataDir);
}

async function replaceFolder(fresh: string, dataDir: string): Promise<void> {
  if (existsSync(asideOf(dataDir))) rmSync(dataDir, { recursive: true, force: true });
  else if (existsSync(dataDir)) renameSync(dataDir, asideOf(dataDir));
  await finishStandby(fresh, dataDir);
}

/** The old primary's folder, changed by `change` into one that its successor can be followed from; itself set aside. */
export async function replaceByCopy(dataDir: string, change: (copy: string) => Promise<void>): Promise<void> {
  const fresh = `${dataDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  await cp(dataDir, fresh, { recursive: true, preserveTimestamps: true });
  await change(fresh);
  dropPrimaryState(fresh);
  await replaceFolder(fresh, dataDir);
}

/** A primary that ended in order, with nothing that its successor lacks, becomes a standby as it is. */
export function turnIntoStandby(dataDir: string): void {
  dropPrimaryState(dataDir);
  writeFileSync(join(dataDir, STANDBY_SIGNAL), '', { mode: 0o600, flush: true });
  syncFolder(dataDir);
}

/** Slots would keep WAL for nobody; a synchronous set would make commits wait for itself. */
function dropPrimaryState(dataDir: string): void {
  const slots = join(dataDir, 'pg_replslot');
  for (const name of existsSync(slots) ? readdirSync(slots) : [])
    rmSync(join(slots, name), { recursive: true, force: true });
  for (const name of [SYNCHRONOUS_CONF, 'postmaster.pid']) rmSync(join(dataDir, name), { force: true });
}

/** Once the successor has caught up. */
export const dropAside = (dataDir: string): void =>
  rmSync(asideOf(dataDir), { recursive: true, force: true });

const asideOf = (dataDir: string): string => `${dataDir}.aside`;

async function finishStandby(fresh: string, dataDir: string): Promise<void> {
  writeFileSync(join(fresh, STANDBY_SIGNAL), '', { mode: 0o600 });
  await syncTree(fresh);
  renameSync(fresh, dataDir);
  syncFolder(dirname(dataDir));
}
