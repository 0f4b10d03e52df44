/** The benchmark runs against a store, finds no error in what comes back, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, it } from 'node:test';
import { type Store, startStore } from '../harness/store.ts';

const BENCH = resolve(import.meta.dirname, '../../bench/bench.ts');
const RUN_MS = 120_000;
let store: Store;
before(async () => {
  store = await startStore();
});
after(() => store?.stop());

function bench(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { accessKeyId, secretAccessKey } = store.credentials;
  const env = { ...process.env, ANTIPODE_ACCESS_KEY: accessKeyId, ANTIPODE_SECRET_KEY: secretAccessKey };
  const child = spawn(process.execPath, [BENCH, '--endpoint', store.endpoint, ...args], {
    env,
    timeout: RUN_MS,
  });
  const out = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    out.stderr += chunk;
  });
  return new Promise((done) => child.once('close', (code) => done({ code, ...out })));
}

it('measures every operation, in two processes, and cleans up', async () => {
  const json = join(store.dataDir, '..', 'bench.json');
  const operations = ['put', 'get', 'head', 'list', 'mixed', 'delete'];
  const small = [
    '--sizes',
    '4KiB,300KiB',
    '--concurrency',
    '4',
    '--count',
    '40',
    '--objects',
    '20',
    '--processes',
    '2',
  ];
  const { code, stdout, stderr } = await bench([
    ...small,
    '--operations',
    operations.join(','),
    '--json',
    json,
  ]);
  assert.equal(code, 0, stdout + stderr);
  const { rows, options } = JSON.parse(readFileSync(json, 'utf8'));
  assert.deepEqual(
    rows.map((row: { operation: string }) => row.operation),
    [...operations, ...operations],
  );
  for (const row of rows) {
    assert.deepEqual(row.errors, {});
    assert.ok(row.requests > 0 && row.opsPerSecond > 0, JSON.stringify(row));
  }
  assert.equal(options.secretKey, undefined);
  assert.equal(stdout.trimEnd().split('\n').length, 13);
  const bucket = await fetch(`${store.endpoint}/antipode-bench`, { method: 'HEAD' });
  // Anonymous: 403 where the bucket is, 404 where it is not.
  assert.equal(bucket.status, 404);
});

it('says in one line what it cannot do', async () => {
  const wrong = await bench(['--secret-key', 'wrong']);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^bench: 403 SignatureDoesNotMatch\n$/);
  const usage = await bench(['--sizes', 'huge']);
  assert.equal(usage.code, 2);
});
