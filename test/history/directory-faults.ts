/** What fails of the directories of a store while histories are written, and how to see that they are well again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusReport } from '../../src/admin/api.ts';
import { createAdminClient } from '../../src/cli/admin-client.ts';
import type { Store } from '../harness/store.ts';

export const DIRECTORY_FAULTS = [
  'kill the primary directory',
  'stop the primary directory',
  'kill the standby directory',
  'switch the directories',
] as const;
export type DirectoryFault = (typeof DIRECTORY_FAULTS)[number];

export const isDirectoryFault = (fault: string): fault is DirectoryFault =>
  (DIRECTORY_FAULTS as readonly string[]).includes(fault);

const adminOf = (store: Store) => createAdminClient({ admin: store.adminEndpoint, data: store.dataDir });

/** Does it, and answers how to put it right. The supervisor does the rest by itself. */
export async function strikeDirectory(store: Store, fault: DirectoryFault): Promise<() => Promise<void>> {
  const admin = adminOf(store);
  const { members } = await admin.send<StatusReport>('GET', '/status');
  const nameOf = (isPrimary: boolean) =>
    members.find(({ kind, primary }) => kind === 'directory' && primary === isPrimary)!.id;
  const [primary, standby] = [nameOf(true), nameOf(false)];
  switch (fault) {
    case 'kill the primary directory':
      store.signal(primary, 'SIGKILL');
      return async () => {};
    case 'kill the standby directory':
      store.signal(standby, 'SIGKILL');
      return async () => {};
    case 'stop the primary directory': {
      const pid = store.pids()[primary]!;
      process.kill(pid, 'SIGSTOP');
      return async () => {
        try {
          process.kill(pid, 'SIGCONT');
        } catch {
          // It has been ended by force, as it should be.
        }
      };
    }
    case 'switch the directories':
      await admin.send('POST', '/failover/enter', { subject: primary, reason: 'a history' });
      return async () => void (await admin.send('POST', '/failover/leave', { subject: primary }));
  }
}

/** Both members of every pair serve. @throws {Error} when it is not so in time */
export async function untilDirectoriesWell(store: Store, ms = 120_000): Promise<void> {
  const admin = adminOf(store);
  const until = performance.now() + ms;
  let last = '';
  for (;;) {
    try {
      const { pairs, members } = await admin.send<StatusReport>('GET', '/status');
      if (pairs.every(({ kind, state }) => kind === 'node' || state === 'redundant')) return;
      const directories = members.filter(({ kind }) => kind === 'directory');
      last = directories.map(({ id, condition, reason }) => `${id} ${condition} ${reason ?? ''}`).join('; ');
    } catch (error) {
      last = String(error);
    }
    if (performance.now() > until) throw new Error(`the directories are not well after ${ms} ms: ${last}`);
    await sleep(250);
  }
}
