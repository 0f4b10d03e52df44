/** `npm start` as the README has it: npm passes a signal on to the shell that it runs, which must not be in between. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder, processesOf, takeSubnets, untilNoneRuns } from '../harness/store.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const READY_MS = 60_000;

it('npm start stops the whole store on SIGTERM', async () => {
  const subnets = await takeSubnets();
  const folder = makeFolder();
  const dataDir = join(folder, 'data');
  const { octet } = subnets;
  const flags = [
    '--data',
    dataDir,
    '--subnets',
    `127.1.${octet}.0/24,127.2.${octet}.0/24`,
    '--nodes-per-center',
    '1',
  ];
  const args = ['start', '--', ...flags, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const npm = spawn('npm', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let stdout = '';
    npm.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    const until = performance.now() + READY_MS;
    while (!/^ready s3=/m.test(stdout)) {
      assert.ok(performance.now() < until && npm.exitCode === null, `not ready: ${stdout}`);
      await sleep(50);
    }
    assert.ok(processesOf(dataDir).length > 4);
    npm.kill('SIGTERM');
    await untilNoneRuns(dataDir);
  } finally {
    for (const pid of processesOf(dataDir)) process.kill(pid, 'SIGKILL');
    subnets.release();
    rmSync(folder, { recursive: true, force: true });
  }
});
