/** What the tests of promotions with a real store share: what was decided, and the command line. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Decision } from '../../../src/launcher/decisions.ts';
import { runCommand, type Store } from '../../harness/store.ts';

export const A = 'directory-a5';
export const B = 'directory-b5';

export function decisionsOf({ dataDir }: Pick<Store, 'dataDir'>): Decision[] {
  const file = join(dataDir, 'decisions.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Decision);
}

/** Resolves when the decision is on record, behind the first `made` ones. */
export async function decided(
  store: Store,
  made: number,
  what: Decision['what'],
  member: string,
): Promise<void> {
  const is = (d: Decision) => d.what === what && d.member === member;
  for (const until = performance.now() + 90_000; !decisionsOf(store).slice(made).some(is); await sleep(20))
    assert.ok(
      performance.now() < until,
      `${what} ${member}: ${JSON.stringify(decisionsOf(store))}\n${store.stderr()}`,
    );
}

export async function antipode(
  store: Store,
  ...args: string[]
): Promise<{ code: number | null; out: string }> {
  const { accessKeyId, secretAccessKey } = store.credentials;
  const env = { ANTIPODE_ACCESS_KEY: accessKeyId, ANTIPODE_SECRET_KEY: secretAccessKey };
  const run = runCommand([...args, '--admin', store.adminEndpoint], { env });
  return { code: await run.exited, out: run.stdout() + run.stderr() };
}

/** Its process as the supervisor knows it, not its Postgres. */
export function agentOf({ dataDir }: Store, member: string): number {
  const text = readFileSync(join(dataDir, 'run', 'pids.json'), 'utf8');
  return (JSON.parse(text) as Record<string, number>)[member]!;
}
