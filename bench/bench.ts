/**
 * `npm run bench -- --help`: measures PUT, GET, HEAD, LIST, DELETE and mixes against any S3 endpoint, at set sizes and
 * concurrency, bounded in time and count. Exit code 1 when any request failed, 2 for usage.
 */
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type BenchOptions, objectsFor, readOptions, USAGE, UsageError } from './options.ts';
import type { PhasePlan, PhaseResult } from './phase.ts';
import { type Row, rowOf, tableHead, tableLine } from './report.ts';
import { createS3 } from './s3.ts';
import { createRunner, type Task, type WorkerAnswer, type WorkerStart } from './worker.ts';

interface Client {
  run(task: Task): Promise<PhaseResult | null>;
  close(): void;
}

async function main(): Promise<void> {
  if (process.argv.includes('--help')) return print(USAGE);
  const options = readOptions(process.argv.slice(2), process.env);
  const admin = createS3(options, 1);
  await admin.createBucket();
  const clients = Array.from({ length: options.processes }, () =>
    options.processes === 1 ? localClient(options) : forkedClient(options),
  );
  const rows: Row[] = [];
  print(tableHead());
  try {
    for (const size of options.sizes) {
      for (const concurrency of options.concurrencies)
        await measure(options, clients, size, concurrency, rows);
    }
    if (!options.keep) await admin.deleteBucket();
  } finally {
    for (const client of clients) client.close();
    await admin.close();
  }
  if (options.json !== null)
    writeFileSync(options.json, `${JSON.stringify(documentOf(options, rows), null, 2)}\n`);
  if (rows.some((row) => Object.keys(row.errors).length > 0)) process.exitCode = 1;
}

/** All phases at one size and concurrency, on keys of their own, which are gone afterwards. */
async function measure(
  options: BenchOptions,
  clients: readonly Client[],
  size: number,
  concurrency: number,
  rows: Row[],
) {
  const share = (total: number, n: number) =>
    Math.floor(total / clients.length) + (n < total % clients.length ? 1 : 0);
  const objects = Math.max(clients.length, objectsFor(options, size, concurrency));
  const planFor = (n: number): Omit<PhasePlan, 'phase'> => ({
    concurrency: share(concurrency, n),
    count: share(options.count, n),
    durationMs: options.durationMs,
    objects: share(objects, n),
    prefix: `${size}-${concurrency}/${n}/`,
    weights: options.weights,
  });
  // With fewer requests at once than processes some have nothing to do.
  const busy = clients.filter((_, n) => planFor(n).concurrency > 0);
  const all = <T>(task: (n: number) => Task, pick: (r: PhaseResult | null) => T) =>
    Promise.all(busy.map(async (client, n) => pick(await client.run(task(n)))));
  let filled = false;
  for (const phase of options.phases) {
    if (phase !== 'put' && !filled) {
      await all(
        (n) => ({ kind: 'fill', size, plan: { ...planFor(n), phase: 'put' } }),
        () => null,
      );
      filled = true;
    }
    const results = await all(
      (n) => ({ kind: 'phase', size, plan: { ...planFor(n), phase } }),
      (r) => r!,
    );
    const row = rowOf({ operation: phase, sizeBytes: size, concurrency }, results);
    rows.push(row);
    print(tableLine(row));
    if (phase === 'delete') filled = false;
  }
  if (!options.keep) {
    const forever = { count: objects, durationMs: Number.POSITIVE_INFINITY };
    await all(
      (n) => ({ kind: 'phase', size, plan: { ...planFor(n), ...forever, phase: 'delete' } }),
      () => null,
    );
  }
}

function localClient(options: BenchOptions): Client {
  return { run: createRunner(options), close: () => {} };
}

function forkedClient(options: BenchOptions): Client {
  const child = fork(join(import.meta.dirname, 'worker.ts'), ['worker'], { serialization: 'advanced' });
  const { endpoint, ...rest } = options;
  child.send({ options: rest as BenchOptions, endpoint: endpoint.href } satisfies WorkerStart);
  return {
    run: (task) =>
      new Promise((resolve, reject) => {
        const onExit = () => reject(new Error('a client process ended'));
        child.once('exit', onExit);
        child.once('message', (answer: WorkerAnswer) => {
          child.off('exit', onExit);
          if ('failure' in answer) reject(new Error(answer.failure));
          else resolve(answer.result);
        });
        child.send(task);
      }),
    close: () => child.disconnect(),
  };
}

function documentOf(options: BenchOptions, rows: readonly Row[]) {
  const { accessKeyId: _id, secretKey: _secret, ...shown } = options;
  const client = { cores: availableParallelism(), node: process.versions.node };
  return {
    at: new Date().toISOString(),
    client,
    options: { ...shown, endpoint: options.endpoint.href },
    rows,
  };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  if (error instanceof UsageError) process.stderr.write(`${USAGE}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
