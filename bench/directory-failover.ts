/**
 * `node bench/directory-failover.ts [--rounds 20]`: how long clients are without names when the primary directory ends. For
 * each way of ending (kill -9 of its Postgres, and SIGSTOP, which accepts connections and never answers) and each round, in
 * a steady load of GETs and PUTs of 4 KiB: the time from its end to the answer of the first good PUT and the first good GET
 * that began afterwards, each request tried once and then again at once; and how many answered with an error. Between rounds
 * the old primary returns as the standby.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { processesIn } from '../src/launcher/postgres-processes.ts';
import { startStore } from '../test/harness/store.ts';

const OBJECTS = 32;
const CLIENTS = 4;
const RETURN_MS = 120_000;

const flag = process.argv.indexOf('--rounds');
const rounds = flag < 0 ? 20 : Number(process.argv[flag + 1]);
const store = await startStore({ nodesPerCenter: 1 });
const s3 = new S3Client({
  endpoint: store.endpoint,
  region: store.region,
  credentials: store.credentials,
  forcePathStyle: true,
  maxAttempts: 1,
});
const body = Buffer.alloc(4_096, 7);

interface Decision {
  readonly what: string;
  readonly member: string;
}
const decisions = (): Decision[] => {
  const file = join(store.dataDir, 'decisions.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Decision);
};

/** Until one of that kind is good. */
async function firstGood(send: () => Promise<unknown>): Promise<{ at: number; errors: number }> {
  for (let errors = 0; ; errors++) {
    try {
      await send();
      return { at: performance.now(), errors };
    } catch {
      await sleep(20);
    }
  }
}

const put = (key: string) => s3.send(new PutObjectCommand({ Bucket: 'bench', Key: key, Body: body }));
const get = async (key: string) => {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'bench', Key: key }));
  return Body!.transformToByteArray();
};

async function load(isOver: () => boolean, client: number): Promise<void> {
  for (let n = client; !isOver(); n += CLIENTS)
    await (n % 2 === 0 ? put(`${n % OBJECTS}`) : get(`${n % OBJECTS}`)).catch(() => sleep(20));
}

async function oneRound(how: 'SIGKILL' | 'SIGSTOP') {
  const made = decisions().length;
  const primary = decisions().findLast(({ what }) => what === 'promoted')?.member ?? 'directory-a5';
  let over = false;
  const loads = Array.from({ length: CLIENTS }, (_, client) => load(() => over, client));
  await sleep(500);
  const [postmaster, ...others] = processesIn(join(store.dataDir, primary, 'pg'));
  const goneAt = performance.now();
  for (const pid of how === 'SIGKILL' ? [postmaster!] : [postmaster!, ...others]) process.kill(pid, how);
  const [goodPut, goodGet] = await Promise.all([firstGood(() => put('after')), firstGood(() => get('1'))]);
  over = true;
  await Promise.all(loads);
  const until = performance.now() + RETURN_MS;
  while (
    !decisions()
      .slice(made)
      .some(({ what, member }) => what === 'returned' && member === primary)
  ) {
    if (performance.now() > until) throw new Error(`${primary} did not return\n${store.stderr()}`);
    await sleep(50);
  }
  return { put: goodPut.at - goneAt, get: goodGet.at - goneAt, errors: goodPut.errors + goodGet.errors };
}

const percentile = (values: readonly number[], share: number): string => {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!).toString();
};

try {
  await s3.send(new CreateBucketCommand({ Bucket: 'bench' }));
  for (let n = 0; n < OBJECTS; n++) await put(`${n}`);
  console.log(
    '| how it ends | rounds | first good PUT p50 / p99 ms | first good GET p50 / p99 ms | errors before |',
  );
  console.log('|---|---|---|---|---|');
  for (const how of ['SIGKILL', 'SIGSTOP'] as const) {
    const seen: Awaited<ReturnType<typeof oneRound>>[] = [];
    for (let round = 0; round < rounds; round++) seen.push(await oneRound(how));
    const puts = seen.map((r) => r.put);
    const gets = seen.map((r) => r.get);
    const errors = seen.reduce((sum, r) => sum + r.errors, 0);
    console.log(
      `| ${how} | ${rounds} | ${percentile(puts, 0.5)} / ${percentile(puts, 0.99)} | ${percentile(gets, 0.5)} / ${percentile(gets, 0.99)} | ${errors} |`,
    );
  }
} finally {
  s3.destroy();
  await store.stop();
}
