/**
 * `node bench/failover.ts [--rounds 10]`: how long clients notice the end of a node. For each way of ending (kill -9, and
 * SIGSTOP, which accepts connections and never answers) and each round: one node of a real store goes in the middle of a
 * steady load of GETs and PUTs of 4 KiB; measured is, for each of the requests that were under way or began within the
 * first second, how long it took, and when the first good GET that began after the end was answered. Between rounds the node comes back
 * and serves again. Every request is tried once; a failed one is counted and said.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Store, startStore } from '../test/harness/store.ts';

const OBJECTS = 64;
const CLIENTS = 8;
const WATCH_MS = 6_000;
const JUST_AFTER_MS = 1_000;

interface Call {
  readonly kind: 'get' | 'put';
  readonly beganAt: number;
  readonly endedAt: number;
  readonly ok: boolean;
}

const flag = process.argv.indexOf('--rounds');
const rounds = flag < 0 ? 10 : Number(process.argv[flag + 1]);
const store = await startStore({ settings: { monitor: { backAfterMs: 1_000 } } });
const s3 = new S3Client({
  endpoint: store.endpoint,
  region: store.region,
  credentials: store.credentials,
  forcePathStyle: true,
  maxAttempts: 1,
});
const body = Buffer.alloc(4_096, 7);
try {
  await s3.send(new CreateBucketCommand({ Bucket: 'bench' }));
  for (let n = 0; n < OBJECTS; n += 1)
    await s3.send(new PutObjectCommand({ Bucket: 'bench', Key: `${n}`, Body: body }));
  console.log(
    '| how it ends | request | under way or begun within 1 s | failed | p50 ms | p99 ms | longest ms | first good one after, p50 / worst ms |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const how of ['SIGKILL', 'SIGSTOP'] as const) await measure(how);
} finally {
  s3.destroy();
  await store.stop();
}

async function measure(how: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
  const near: Call[] = [];
  const firstGood = { get: [] as number[], put: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const victim = ['node-a11', 'node-b12', 'node-a12', 'node-b11'][round % 4]!;
    const { calls, goneAt } = await oneRound(how, victim);
    const touched = calls.filter((c) => c.endedAt > goneAt && c.beganAt < goneAt + JUST_AFTER_MS);
    near.push(...touched);
    for (const kind of ['get', 'put'] as const) {
      const good = calls
        .filter((c) => c.kind === kind && c.ok && c.beganAt >= goneAt)
        .map((c) => c.endedAt - goneAt);
      firstGood[kind].push(Math.min(...good));
    }
    if (how === 'SIGSTOP') store.signal(victim, 'SIGCONT');
    await untilWhole(store);
  }
  for (const kind of ['get', 'put'] as const) {
    const calls = near.filter((c) => c.kind === kind);
    const took = calls
      .filter((c) => c.ok)
      .map((c) => c.endedAt - c.beganAt)
      .sort((a, b) => a - b);
    const first = firstGood[kind].sort((a, b) => a - b);
    const failed = calls.length - took.length;
    const figures = [quantile(took, 0.5), quantile(took, 0.99), took.at(-1) ?? Number.NaN].map(Math.round);
    console.log(
      `| ${how} | ${kind} | ${calls.length} | ${failed} | ${figures.join(' | ')} | ${Math.round(quantile(first, 0.5))} / ${Math.round(first.at(-1)!)} |`,
    );
  }
}

async function oneRound(how: 'SIGKILL' | 'SIGSTOP', victim: string) {
  const calls: Call[] = [];
  const stop = { at: Number.POSITIVE_INFINITY };
  const clients = Array.from({ length: CLIENTS }, async (_, n) => {
    for (let i = n; performance.now() < stop.at; i += 1) {
      const kind = n % 4 === 3 ? 'put' : 'get';
      const beganAt = performance.now();
      const ok = await (kind === 'get' ? get(`${i % OBJECTS}`) : put(`w-${n}-${i % OBJECTS}`)).then(
        () => true,
        () => false,
      );
      calls.push({ kind, beganAt, endedAt: performance.now(), ok });
    }
  });
  await sleep(500);
  store.signal(victim, how);
  const goneAt = performance.now();
  stop.at = goneAt + WATCH_MS;
  await Promise.all(clients);
  return { calls, goneAt };
}

async function get(key: string): Promise<void> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'bench', Key: key }));
  const bytes = await Body!.transformToByteArray();
  if (!body.equals(bytes)) throw new Error(`${key} reads otherwise`);
}

async function put(key: string): Promise<void> {
  await s3.send(new PutObjectCommand({ Bucket: 'bench', Key: key, Body: body }));
}

/** Every node serves again, and no repair waits. */
async function untilWhole(running: Store): Promise<void> {
  for (let i = 0; i < 240; i += 1) {
    const metrics = await fetch(`${running.adminEndpoint}/metrics`).then((answer) => answer.text());
    if (/^antipode_pairs_degraded 0$/m.test(metrics) && !/^antipode_repairs_queued [1-9]/m.test(metrics))
      return;
    await sleep(250);
  }
  throw new Error('the store did not become whole again within a minute');
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
