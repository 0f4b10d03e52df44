/** Starts that cannot work: one clear line on standard error, exit code 2, nothing left behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  deadline,
  makeFolder,
  processesOf,
  type Run,
  runCommand,
  runStart,
  startStore,
  takeSubnets,
} from '../../harness/store.ts';

const EXIT_MS = 30_000;

/** The line, without its program's name. */
async function refusal(run: Run): Promise<string> {
  const code = await deadline(run.exited, EXIT_MS, 'it did not end');
  const lines = run.stderr().trimEnd().split('\n');
  assert.equal(code, 2, run.stderr());
  assert.equal(lines.length, 1, run.stderr());
  assert.equal(run.stdout(), '');
  assert.match(lines[0]!, /^antipode: /);
  return lines[0]!.slice('antipode: '.length);
}

const occupied: Server[] = [];
async function occupy(host: string, port: number): Promise<number> {
  const server = createServer();
  occupied.push(server);
  await new Promise<void>((resolve) => server.listen({ host, port }, resolve));
  return (server.address() as { port: number }).port;
}
after(() => {
  for (const server of occupied) server.close();
});

describe('a start is refused', () => {
  for (const flag of ['--listen', '--admin'])
    it(`when the port of ${flag} is in use`, async () => {
      const subnets = await takeSubnets();
      const dataDir = join(makeFolder(), 'data');
      const port = await occupy('127.0.0.1', 0);
      const line = await refusal(runStart(dataDir, subnets, { args: [flag, `127.0.0.1:${port}`] }));
      assert.match(line, new RegExp(`^${flag}: 127\\.0\\.0\\.1:${port} is in use; `));
      assert.ok(!existsSync(join(dataDir, 'secrets')), 'nothing is made before');
      subnets.release();
    });

  it("when a member's port is in use", async () => {
    const subnets = await takeSubnets();
    await occupy(`127.2.${subnets.octet}.11`, 7100);
    const line = await refusal(runStart(join(makeFolder(), 'data'), subnets));
    assert.match(line, /^--subnets: 127\.2\.\d+\.11:7100 is in use; /);
    subnets.release();
  });

  it('when the subnets are not on this machine', async () => {
    const args = [
      'start',
      '--data',
      join(makeFolder(), 'data'),
      '--listen',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
    ];
    const line = await refusal(runCommand([...args, '--subnets', '198.51.100.0/24,203.0.113.0/24']));
    assert.match(line, /^--subnets: (198\.51\.100|203\.0\.113)\.\d+:\d+ is no address of this machine; /);
  });

  it('when the folder cannot be made or written', async () => {
    const subnets = await takeSubnets();
    const file = join(makeFolder(), 'a-file');
    writeFileSync(file, '');
    assert.match(
      await refusal(runStart(join(file, 'data'), subnets)),
      /^--data: .* cannot be written \(ENOTDIR\); /,
    );
    assert.match(
      await refusal(runStart('/proc/antipode', subnets)),
      /^--data: .* cannot be written \(\w+\); /,
    );
    subnets.release();
  });

  it('when the folder belongs to somebody else', {
    skip: process.getuid?.() !== 0 && 'only root can become somebody else',
  }, async () => {
    const subnets = await takeSubnets();
    const dataDir = join(makeFolder(), 'data');
    mkdirSync(dataDir, { mode: 0o755 });
    const wrapper = ['setpriv', '--reuid=1234', '--regid=1234', '--clear-groups'];
    const line = await refusal(runStart(dataDir, subnets, { wrapper }));
    assert.match(line, /^--data: .* cannot be written \(EACCES\); /);
    subnets.release();
  });

  it('when a flag makes no sense', async () => {
    assert.match(
      await refusal(runCommand(['start', '--listen', 'everywhere'])),
      /^--listen: "everywhere" is not HOST:PORT/,
    );
    assert.match(await refusal(runCommand(['start', '--lisen', 'x'])), /unknown option '--lisen'/);
    assert.match(
      await refusal(runCommand(['node', '--config', '/no/such'])),
      /^\/no\/such: cannot be read \(ENOENT\)/,
    );
  });

  it('when another instance runs on the same folder, and that one goes on', async () => {
    const store = await startStore({ nodesPerCenter: 1 });
    try {
      const subnets = await takeSubnets();
      const line = await refusal(runStart(store.dataDir, subnets));
      assert.match(line, new RegExp(`^--data: another instance \\(process ${store.pid}\\) runs on .*; `));
      const answer = await fetch(`${store.endpoint}/-/live`);
      assert.equal(answer.status, 200);
      subnets.release();
    } finally {
      assert.equal(await store.stop(), 0);
      assert.deepEqual(processesOf(store.dataDir), []);
    }
  });
});
