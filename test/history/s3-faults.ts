/**
 * Histories over S3 of one store with two gateways, while parts of it fail: round by round a new bucket, a few clients on
 * each gateway, one kind of failure; then the history of the round is judged. What kind comes when is the seed's, the
 * timing is not.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { StatusReport } from '../../src/admin/api.ts';
import { createAdminClient } from '../../src/cli/admin-client.ts';
import type { Gateway } from '../harness/gateway.ts';
import type { Store } from '../harness/store.ts';
import { TcpProxy } from '../harness/tcp-proxy.ts';
import { pick, seededRandom, whole } from '../world/seeded-random.ts';
import {
  type DirectoryFault,
  isDirectoryFault,
  strikeDirectory,
  untilDirectoriesWell,
} from './directory-faults.ts';
import { HistoryOfBucket, runClient } from './s3-clients.ts';

/** Short, so that a member goes out and comes back while others fail. */
export const HISTORY_SETTINGS = {
  monitor: { probeMs: 200, failAfterMs: 1_500, backAfterMs: 1_000, reloadMs: 300 },
  replication: { repairMs: 300, resyncMs: 300, surplusMs: 2_000, sweepMs: 5_000, damageMs: 1_000 },
  intentMs: 15_000,
  pendingGraceMs: 500,
  reapIntervalMs: 1_000,
  reclaimIntervalMs: 1_000,
  blobGraceMs: 5_000,
};

export const FAULTS = [
  'none',
  'kill a node',
  'stop a node',
  'kill the first gateway',
  'kill the second gateway',
  'stop the second gateway',
  'cut clients',
  'enter failover',
  'kill a center',
] as const;
export type Fault = (typeof FAULTS)[number] | DirectoryFault;

const CLIENTS_OF_EACH = 3;

export interface RoundsOptions {
  readonly store: Store;
  readonly second: Gateway;
  readonly seed: number;
  readonly rounds: readonly Fault[];
  readonly roundMs: number;
  readonly print: (line: string) => void;
}
export interface Rounds {
  readonly calls: number;
  readonly tried: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** @throws {Error} of the first round whose answers nothing explains */
export async function runRounds(o: RoundsOptions): Promise<Rounds> {
  const proxies = await Promise.all([o.store, o.second.store].map(proxyTo));
  const counts: Record<string, number> = {};
  let calls = 0;
  let tried = 0;
  try {
    for (const [index, fault] of o.rounds.entries()) {
      const history = await runRound(o, proxies, index, fault);
      const orders = history.judge();
      o.print(
        `${index} ${fault}: ${history.events.length} calls, ${orders} orders ${JSON.stringify(history.counts)}`,
      );
      calls += history.events.length;
      tried += orders;
      for (const [what, times] of Object.entries(history.counts)) counts[what] = (counts[what] ?? 0) + times;
    }
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()));
  }
  return { calls, tried, counts };
}

async function proxyTo(store: Store): Promise<TcpProxy> {
  const { hostname, port } = new URL(store.endpoint);
  const proxy = new TcpProxy({ host: hostname, port: Number(port) });
  await proxy.start();
  return proxy;
}

async function runRound(
  o: RoundsOptions,
  proxies: readonly TcpProxy[],
  index: number,
  fault: Fault,
): Promise<HistoryOfBucket> {
  const history = new HistoryOfBucket(`history-${o.seed}-${index}`);
  const clients = proxies.map(({ port }) => clientAt(o.store, port));
  if (isDirectoryFault(fault)) await untilDirectoriesWell(o.store);
  await created(clients[0]!, history.bucket);
  const until = performance.now() + o.roundMs;
  const running = clients.flatMap((s3, gateway) =>
    Array.from({ length: CLIENTS_OF_EACH }, (_, number) =>
      runClient(history, s3, { seed: o.seed * 1_000 + index * 10 + gateway * 5 + number, until }),
    ),
  );
  const random = seededRandom(o.seed * 31 + index);
  await sleep(o.roundMs * 0.15);
  const mend = await strike(o, proxies, fault, random);
  await sleep(o.roundMs * 0.6);
  await mend();
  await Promise.all(running);
  for (const s3 of clients) s3.destroy();
  return history;
}

/** Does it, and answers how to put it right. */
async function strike(
  { store, second, roundMs }: RoundsOptions,
  proxies: readonly TcpProxy[],
  fault: Fault,
  random: () => number,
): Promise<() => Promise<void>> {
  const nodes = Object.keys(store.pids()).filter((member) => member.startsWith('node-'));
  const node = pick(random, nodes);
  const nothing = async () => {};
  const admin = createAdminClient({ admin: second.store.adminEndpoint, data: store.dataDir });
  if (isDirectoryFault(fault)) return strikeDirectory(store, fault);
  switch (fault) {
    case 'none':
      return nothing;
    case 'kill a node':
      store.signal(node, 'SIGKILL');
      return nothing;
    case 'kill a center': {
      const center = pick(random, ['node-a', 'node-b']);
      for (const member of nodes) if (member.startsWith(center)) store.signal(member, 'SIGKILL');
      return nothing;
    }
    case 'stop a node':
      store.signal(node, 'SIGSTOP');
      return async () => store.signal(node, 'SIGCONT');
    case 'kill the first gateway':
      store.signal('gateway-1', 'SIGKILL');
      return nothing;
    case 'kill the second gateway':
      await second.kill();
      await second.restart();
      return nothing;
    case 'stop the second gateway':
      second.run().child.kill('SIGSTOP');
      return async () => void second.run().child.kill('SIGCONT');
    case 'enter failover':
      await entered(() => admin.send('POST', '/failover/enter', { subject: node }));
      return async () => void (await admin.send('POST', '/failover/leave', { subject: node }));
    case 'cut clients': {
      const until = performance.now() + roundMs * 0.5;
      while (performance.now() < until) {
        const direction = random() < 0.5 ? 'up' : 'down';
        pick(random, proxies).set({ direction, afterBytes: whole(random, 0, 3_000), kind: 'cut' });
        await sleep(whole(random, 50, 300));
      }
      return async () => {
        for (const proxy of proxies) proxy.heal();
      };
    }
  }
}

/** While another member of the pair is still on its way back, it is refused: then a little later. */
async function entered(enter: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await enter();
      return;
    } catch (error) {
      if (tries === 40) throw error;
      await sleep(250);
    }
  }
}

/** One attempt each, and no end later than 15 s: what takes longer is unknown. */
function clientAt(store: Store, port: number): S3Client {
  return new S3Client({
    endpoint: `http://127.0.0.1:${port}`,
    region: store.region,
    credentials: { ...store.credentials },
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: { requestTimeout: 15_000, throwOnRequestTimeout: true },
  });
}

async function created(s3: S3Client, Bucket: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await s3.send(new CreateBucketCommand({ Bucket }));
      return;
    } catch (error) {
      if ((error as Error).name === 'BucketAlreadyOwnedByYou') return;
      if (tries === 60) throw error;
      await sleep(250);
    }
  }
}

/** Everybody serves and nothing waits. @throws {Error} when it is not so in time */
export async function untilWell(store: Store, ms = 60_000): Promise<void> {
  const admin = createAdminClient({ admin: store.adminEndpoint, data: store.dataDir });
  const until = performance.now() + ms;
  let last = '';
  for (;;) {
    try {
      const status = await admin.send<StatusReport>('GET', '/status');
      const out = status.members.filter(({ kind, condition }) => kind === 'node' && condition !== 'serving');
      last = `${out.map(({ id, condition }) => `${id} ${condition}`)}; ${status.repairs.queued} repairs`;
      if (out.length === 0 && status.repairs.queued === 0) return;
    } catch (error) {
      last = String(error);
    }
    if (performance.now() > until) throw new Error(`not well after ${ms} ms: ${last}`);
    await sleep(250);
  }
}
