/** A further gateway of a store that runs: a process of its own over the same members, without a supervisor. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Run, runCommand, type Store } from './store.ts';

export interface Gateway {
  /** The store as it looks through this gateway. */
  readonly store: Store;
  /** The process that runs now. */
  run(): Run;
  /** After its end: the same gateway, at the same ports. */
  restart(): Promise<void>;
  kill(): Promise<void>;
}

const READY_MS = 60_000;

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

/** `settings` replace those of the store's own gateway, by name. */
export async function startGateway(
  first: Store,
  member = 'gateway-2',
  settings: Readonly<Record<string, unknown>> = {},
): Promise<Gateway> {
  const config = JSON.parse(readFileSync(join(first.dataDir, 'run', 'gateway-1.json'), 'utf8'));
  const [s3, admin] = [await freePort(), await freePort()];
  const dataDir = join(first.dataDir, member);
  mkdirSync(dataDir, { recursive: true });
  const gateway = {
    ...config.gateway,
    listen: { host: '127.0.0.1', port: s3 },
    admin: { host: '127.0.0.1', port: admin },
  };
  const file = join(dataDir, `${member}.json`);
  const own = { ...config, member, dataDir, settings: { ...config.settings, ...settings }, gateway };
  writeFileSync(file, JSON.stringify(own));
  const store = {
    ...first,
    endpoint: `http://127.0.0.1:${s3}`,
    adminEndpoint: `http://127.0.0.1:${admin}`,
  };
  let run: Run;
  const restart = async () => {
    run = runCommand(['gateway', '--config', file]);
    const until = performance.now() + READY_MS;
    for (;;) {
      if (run.child.exitCode !== null) throw new Error(`${member} ended: ${run.stderr()}`);
      const isReady = await fetch(`${store.endpoint}/-/ready`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (isReady) return;
      if (performance.now() > until) throw new Error(`${member} was not ready: ${run.stderr()}`);
      await sleep(50);
    }
  };
  await restart();
  return {
    store,
    run: () => run,
    restart,
    kill: async () => {
      run.child.kill('SIGKILL');
      await run.exited;
    },
  };
}
