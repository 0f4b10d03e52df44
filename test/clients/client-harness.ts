/**
 * What the tests of real S3 clients share: a store, a private home for the client's configuration, and how to run it.
 * A client that is not installed: its tests are skipped with that reason; with CI=true they fail.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { type Store, startStore } from '../harness/store.ts';

export interface ClientResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: Buffer;
  readonly env?: Readonly<Record<string, string>>;
  /** Exit code expected; null takes any. */
  readonly code?: number | null;
}

export interface Client {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  readonly host: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** A folder that is gone after the tests; also the client's HOME. */
  readonly home: string;
  /** A fresh bucket name. */
  bucketName(): string;
  /** Runs a program to its end. @throws when it ends otherwise than expected, with what it wrote */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<ClientResult>;
  /** The same for stdout that is not text. */
  runBytes(command: string, args: readonly string[], options?: RunOptions): Promise<Buffer>;
}

const RUN_MS = 180_000;

export interface Suite {
  /** How to see that the client is there: a command that then exits with 0. */
  readonly probe: readonly [string, ...string[]];
  /** Environment of every run. */
  readonly env?: (client: Client) => Readonly<Record<string, string>>;
}

/** A `describe` whose tests talk to one store of their own through one client. */
export function describeClient(name: string, suite: Suite, tests: (client: () => Client) => void): void {
  const missing = problemWith(suite.probe);
  if (missing !== null && process.env.CI === 'true')
    throw new Error(`${name}: ${missing}; .ci/run must install it`);
  describe(name, missing === null ? {} : { skip: missing }, () => {
    let store: Store;
    let client: Client;
    before(async () => {
      store = await startStore();
      client = createClient(store, suite);
    });
    after(async () => {
      await store?.stop();
      if (client) rmSync(client.home, { recursive: true, force: true });
    });
    tests(() => client);
  });
}

/** Why a program cannot be used here, or null. */
export function problemWith([command, ...args]: readonly [string, ...string[]]): string | null {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: 30_000 });
    return null;
  } catch (error) {
    return `${[command, ...args].join(' ')} does not run here (${(error as NodeJS.ErrnoException).code ?? 'failed'})`;
  }
}

export function createClient(store: Store, suite: Suite): Client {
  const home = mkdtempSync(join(tmpdir(), 'antipode-client-'));
  let buckets = 0;
  const runBytes = async (command: string, args: readonly string[], options: RunOptions = {}) => {
    const { code, stdout, stderr } = await spawned(command, args, home, {
      ...options,
      env: { ...suite.env?.(client), ...options.env },
    });
    const expected = options.code === undefined ? 0 : options.code;
    const shown = `${command} ${args.join(' ')}\n${stdout.toString().slice(-4000)}\n${stderr.slice(-4000)}`;
    if (expected !== null) assert.equal(code, expected, shown);
    return { code, stdout, stderr };
  };
  const client: Client = {
    endpoint: store.endpoint,
    host: new URL(store.endpoint).host,
    region: store.region,
    ...store.credentials,
    home,
    bucketName: () => `client-bucket-${++buckets}`,
    run: async (command, args, options) => {
      const { stdout, ...rest } = await runBytes(command, args, options);
      return { ...rest, stdout: stdout.toString() };
    },
    runBytes: async (command, args, options) => (await runBytes(command, args, options)).stdout,
  };
  return client;
}

function spawned(command: string, args: readonly string[], home: string, options: RunOptions) {
  const env = { PATH: process.env.PATH ?? '', HOME: home, LC_ALL: 'C.UTF-8', NO_PROXY: '*', ...options.env };
  const child = spawn(command, args, { cwd: home, env, stdio: ['pipe', 'pipe', 'pipe'], timeout: RUN_MS });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  // A client may end before it has read everything; its exit code tells.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);
  return new Promise<{ code: number; stdout: Buffer; stderr: string }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({
        code: code ?? -1,
        stdout: Buffer.concat(stdout),
        stderr: signal === null ? stderr : `${stderr}\nended by ${signal}`,
      }),
    );
  });
}
