/**
 * A real store for a test: `bin/antipode.js start` on a temporary data folder, subnets and ports of its own, so that any
 * number of them run side by side. What was started is gone after `stop()`, `kill()` or the end of the test process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface StoreOptions {
  /** An earlier store's folder (and subnets): a second start. */
  readonly from?: { readonly dataDir: string; readonly subnets: Subnets };
  readonly nodesPerCenter?: number;
  /** Settings of `--config`, e.g. `{ reapIntervalMs: 500 }`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** How blobs are searched for, in the same file, e.g. `{ transport: 'multicast' }`. */
  readonly search?: Readonly<Record<string, unknown>>;
  /** Further flags. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The checkout to run; default: this one. */
  readonly checkout?: string;
  /** What runs the command line, e.g. ['setpriv', '--reuid=1234', …]. */
  readonly wrapper?: readonly string[];
  readonly readyMs?: number;
}

export interface Subnets {
  /** Third octet: 127.1.X.0/24 and 127.2.X.0/24. */
  readonly octet: number;
  release(): void;
}

export interface Store {
  readonly endpoint: string;
  readonly adminEndpoint: string;
  /** What the ready line named. */
  readonly catalogUrl: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly region: string;
  readonly dataDir: string;
  readonly subnets: Subnets;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The supervisor's. */
  readonly pid: number;
  /** Of every member that runs, by id; of a directory, its Postgres. Read anew at each call. */
  pids(): Record<string, number>;
  signal(member: string, name: NodeJS.Signals): void;
  /** SIGTERM; resolves with the exit code. Removes the data folder unless told to keep it. */
  stop(options?: { keep?: boolean }): Promise<number | null>;
  /** SIGKILL of supervisor, members and Postgres servers. */
  kill(options?: { keep?: boolean }): Promise<void>;
  /** Resolves with the exit code of the command. */
  readonly exited: Promise<number | null>;
}

const ROOT = resolve(import.meta.dirname, '../..');
const READY_MS = 60_000;
const STOP_MS = 45_000;

export async function startStore(options: StoreOptions = {}): Promise<Store> {
  const subnets = options.from?.subnets ?? (await takeSubnets());
  const dataDir = options.from?.dataDir ?? join(makeFolder(), 'data');
  const run = runStart(dataDir, subnets, options);
  const ready = await waitForReady(run, options.readyMs ?? READY_MS);
  const { accessKeyId, secretKey } = JSON.parse(
    readFileSync(join(dataDir, 'secrets', 'root-credentials.json'), 'utf8'),
  ) as { accessKeyId: string; secretKey: string };
  const supervisor = (
    JSON.parse(readFileSync(join(dataDir, 'run', 'supervisor.json'), 'utf8')) as { pid: number }
  ).pid;
  const cleanUp = (keep: boolean | undefined) => {
    if (keep) return;
    subnets.release();
    rmSync(resolve(dataDir, '..'), { recursive: true, force: true });
  };
  const store: Store = {
    endpoint: ready.s3,
    adminEndpoint: ready.admin,
    catalogUrl: ready.catalog,
    credentials: { accessKeyId, secretAccessKey: secretKey },
    region: 'us-east-1',
    dataDir,
    subnets,
    stdout: run.stdout,
    stderr: run.stderr,
    pid: supervisor,
    exited: run.exited,
    pids: () => readPids(dataDir),
    signal: (member, name) => {
      const pid = readPids(dataDir)[member];
      if (pid === undefined) throw new Error(`${member} does not run`);
      process.kill(pid, name);
    },
    async stop({ keep } = {}) {
      run.child.kill('SIGTERM');
      const code = await deadline(run.exited, STOP_MS, 'the store did not stop');
      cleanUp(keep);
      return code;
    },
    async kill({ keep } = {}) {
      killAll(dataDir, [supervisor, run.child.pid!]);
      await run.exited;
      await untilNoneRuns(dataDir);
      cleanUp(keep);
    },
  };
  return store;
}

export interface Run {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  stdout(): string;
  stderr(): string;
}

/** The command alone, ready or not: for starts that are to fail. */
export function runStart(dataDir: string, subnets: Subnets, options: StoreOptions = {}): Run {
  const { octet } = subnets;
  const args = ['start', '--data', dataDir, '--subnets', `127.1.${octet}.0/24,127.2.${octet}.0/24`];
  for (const [flag, value] of [
    ['--listen', '127.0.0.1:0'],
    ['--admin', '127.0.0.1:0'],
  ] as const)
    if (!options.args?.includes(flag)) args.push(flag, value);
  if (options.nodesPerCenter !== undefined) args.push('--nodes-per-center', String(options.nodesPerCenter));
  if (options.settings || options.search) args.push('--config', settingsFile(options));
  return runCommand([...args, ...(options.args ?? [])], options);
}

/** Any `antipode` command. */
export function runCommand(
  args: readonly string[],
  options: Pick<StoreOptions, 'env' | 'checkout' | 'wrapper'> = {},
): Run {
  const line = [
    ...(options.wrapper ?? []),
    process.execPath,
    join(options.checkout ?? ROOT, 'bin', 'antipode.js'),
    ...args,
  ];
  const { ANTIPODE_ACCESS_KEY: _, ANTIPODE_SECRET_KEY: __, NODE_TEST_CONTEXT: ___, ...env } = process.env;
  const child = spawn(line[0]!, line.slice(1), {
    cwd: tmpdir(),
    env: { ...env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = new Promise<number | null>((done, reject) => {
    child.once('error', reject);
    child.once('close', (code) => done(code));
  });
  return { child, exited, stdout: () => stdout, stderr: () => stderr };
}

async function waitForReady(run: Run, ms: number): Promise<{ s3: string; admin: string; catalog: string }> {
  const until = performance.now() + ms;
  let ended: { code: number | null } | null = null;
  run.exited.then(
    (code) => {
      ended = { code };
    },
    () => {
      ended = { code: null };
    },
  );
  for (;;) {
    const match = /^ready s3=(\S+) admin=(\S+) catalog=(\S+)$/m.exec(run.stdout());
    if (match) return { s3: match[1]!, admin: match[2]!, catalog: match[3]! };
    if (ended) throw new Error(`the store ended (${JSON.stringify(ended)}): ${run.stderr()}`);
    if (performance.now() > until) {
      run.child.kill('SIGTERM');
      throw new Error(`the store was not ready after ${ms} ms: ${run.stderr()}`);
    }
    await sleep(20);
  }
}

/** Two subnets that no other store of this machine uses, held by a listening socket as long as this process lives. */
export async function takeSubnets(): Promise<Subnets> {
  for (let tries = 0; tries < 250; tries++) {
    const octet = 1 + ((process.pid + tries * 37) % 250);
    const guard = await listen(`127.1.${octet}.250`, 7999);
    if (!guard) continue;
    if (await areFree(octet)) return { octet, release: () => guard.close() };
    guard.close();
  }
  throw new Error('no free subnet');
}

/** Stores that were not started by this harness hold no guard. */
async function areFree(octet: number): Promise<boolean> {
  for (const [host, port] of [
    [5, 7432],
    [11, 7100],
  ] as const)
    for (const center of [1, 2]) {
      const server = await listen(`127.${center}.${octet}.${host}`, port);
      if (!server) return false;
      server.close();
    }
  return true;
}

function listen(host: string, port: number): Promise<Server | null> {
  return new Promise((done) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => done(null));
    server.listen({ host, port, exclusive: true }, () => {
      server.unref();
      done(server);
    });
  });
}

/** Not below a 0700 folder: stores under another uid must reach it. */
export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'antipode-test-'));
}

function settingsFile({ settings = {}, search = {} }: StoreOptions): string {
  const path = join(makeFolder(), 'settings.yaml');
  writeFileSync(path, `settings: ${JSON.stringify(settings)}\nsearch: ${JSON.stringify(search)}\n`);
  return path;
}

export function readPids(dataDir: string): Record<string, number> {
  const file = join(dataDir, 'run', 'pids.json');
  const pids = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>) : {};
  for (const id of Object.keys(pids).filter((name) => name.startsWith('directory-'))) {
    const pidFile = join(dataDir, id, 'pg', 'postmaster.pid');
    if (existsSync(pidFile)) pids[id] = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
    else delete pids[id];
  }
  return pids;
}

/** Every process that names the data folder on its command line or works inside it. */
export function processesOf(dataDir: string): number[] {
  const folder = existsSync(dataDir) ? realpathSync(dataDir) : dataDir;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        if (/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) return false;
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return command.includes(`${folder}/`) || readlinkSync(`/proc/${pid}/cwd`).startsWith(`${folder}/`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

function killAll(dataDir: string, first: readonly number[]): void {
  for (const pid of [...first, ...processesOf(dataDir)]) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
}

export async function untilNoneRuns(dataDir: string, ms = 30_000): Promise<void> {
  const until = performance.now() + ms;
  while (processesOf(dataDir).length > 0) {
    if (performance.now() > until) throw new Error(`still running: ${processesOf(dataDir).join(', ')}`);
    await sleep(50);
  }
}

export async function deadline<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
