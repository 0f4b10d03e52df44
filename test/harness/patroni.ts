/**
 * Postgres servers under Patroni, with one etcd, all from Debian's packages: processes of the test, on addresses that
 * the test gives, in a folder of the test's. What was started is gone after `stop()`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from './postgres.ts';
import { processesOf } from './store.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const PROGRAMS = ['/usr/bin/patroni', '/usr/bin/etcd', join(BIN, 'postgres')];
/** Why there is no Patroni here; null: there is one. */
export const patroniMissing = (): string | null => {
  const missing = PROGRAMS.filter((program) => !existsSync(program));
  return missing.length === 0
    ? null
    : `${missing.join(', ')} missing: apt-get install patroni etcd-server postgresql-15`;
};

export const REST_PORT = 8008;
export const SQL_PORT = 5432;
const PASSWORD = 'a-password-of-the-test';
export const APP_PASSWORD = 'the-app-password';
export const OWNER_PASSWORD = 'the-owner-password';
const START_MS = 120_000;

export interface PatroniOptions {
  readonly folder: string;
  /** Member ids and their addresses. */
  readonly members: Readonly<Record<string, string>>;
  readonly dcs: Readonly<Record<string, unknown>>;
}

/** Postgres refuses to run as root. */
const asNobody = (program: string, args: readonly string[]): [string, string[]] =>
  process.getuid?.() === 0
    ? ['unshare', ['-U', '--map-user=65534', '--map-group=65534', program, ...args]]
    : [program, [...args]];

export class PatroniCluster {
  readonly #o: PatroniOptions;
  readonly #children = new Map<string, ChildProcess>();
  #etcdPort = 0;

  constructor(o: PatroniOptions) {
    this.#o = o;
  }

  async start(): Promise<void> {
    this.#etcdPort = await freePort();
    const peerPort = await freePort();
    const url = (port: number) => `http://127.0.0.1:${port}`;
    const data = this.#folder('etcd');
    this.#spawn('etcd', '/usr/bin/etcd', [
      ...['--name', 'one', '--data-dir', join(data, 'data'), '--initial-cluster', `one=${url(peerPort)}`],
      ...['--listen-client-urls', url(this.#etcdPort), '--advertise-client-urls', url(this.#etcdPort)],
      ...['--listen-peer-urls', url(peerPort), '--initial-advertise-peer-urls', url(peerPort)],
    ]);
    for (const id of Object.keys(this.#o.members)) this.startMember(id);
    await this.until(
      'there is a leader and a synchronous standby',
      async () => (await this.standby()) !== null,
    );
    await this.#prepare();
  }

  startMember(id: string): void {
    const file = join(this.#folder(id), 'patroni.json');
    writeFileSync(file, JSON.stringify(this.#configuration(id)));
    this.#spawn(id, ...asNobody('/usr/bin/patroni', [file]));
  }

  /** Of Patroni and its Postgres, or of one of them. */
  signal(id: string, name: NodeJS.Signals, which: 'all' | 'patroni' | 'postgres' = 'all'): void {
    for (const pid of this.pids(id)) {
      const isPatroni = commandLine(pid).includes('/usr/bin/patroni');
      if (which !== 'all' && (which === 'patroni') !== isPatroni) continue;
      try {
        process.kill(pid, name);
      } catch {
        // Gone already.
      }
    }
  }

  pids(id: string): number[] {
    const started = this.#children.get(id)?.pid;
    return [...new Set([...processesOf(this.#folder(id)), ...(started === undefined ? [] : [started])])];
  }

  /** By its Patroni's own word, of those that answer. */
  leader = (): Promise<string | null> => this.#who('leader');
  standby = (): Promise<string | null> => this.#who('sync');

  /** Standbys that run and stream. */
  replicas = async (): Promise<number> => (await this.#all('replica')).length;

  #who = async (path: string): Promise<string | null> => (await this.#all(path))[0] ?? null;

  async #all(path: string): Promise<readonly string[]> {
    const asked = Object.entries(this.#o.members).map(async ([id, address]) => {
      const signal = AbortSignal.timeout(2_000);
      const answer = await fetch(`http://${address}:${REST_PORT}/${path}`, { method: 'HEAD', signal });
      return answer.ok ? id : null;
    });
    const answers = await Promise.allSettled(asked);
    return answers.flatMap((a) => (a.status === 'fulfilled' && a.value !== null ? [a.value] : []));
  }

  async configure(change: Readonly<Record<string, unknown>>): Promise<void> {
    const [address] = Object.values(this.#o.members);
    const answer = await fetch(`http://${address}:${REST_PORT}/config`, {
      method: 'PATCH',
      body: JSON.stringify(change),
    });
    if (!answer.ok) throw new Error(`PATCH /config: ${answer.status} ${await answer.text()}`);
  }

  async until(what: string, condition: () => Promise<boolean>, ms = START_MS): Promise<void> {
    const end = performance.now() + ms;
    while (!(await condition())) {
      if (performance.now() > end) {
        const logs = [...this.#children.keys()].map((id) => `── ${id}\n${this.#log(id).slice(-2_500)}`);
        throw new Error(`not within ${ms} ms: ${what}\n${logs.join('\n')}`);
      }
      await sleep(100);
    }
  }

  async stop(): Promise<void> {
    for (const id of [...this.#children.keys()]) {
      this.signal(id, 'SIGKILL');
      this.#children.get(id)!.kill('SIGKILL');
    }
    await this.until('all has ended', async () =>
      [...this.#children.keys()].every((id) => processesOf(this.#folder(id)).length === 0),
    );
  }

  /** As docs/operations.md says, by the same file. */
  async #prepare(): Promise<void> {
    const text = readFileSync(join(import.meta.dirname, '../../deploy/prepare-postgres.sql'), 'utf8');
    const client = new pg.Client({
      ...{ host: this.#o.members[(await this.leader())!]!, port: SQL_PORT },
      ...{ user: 'postgres', password: PASSWORD, database: 'postgres' },
    });
    await client.connect();
    const sql = text
      .replaceAll(/^--.*$/gm, '')
      .replace(":'owner_password'", `'${OWNER_PASSWORD}'`)
      .replace(":'app_password'", `'${APP_PASSWORD}'`);
    for (const statement of sql.split(';')) if (statement.trim() !== '') await client.query(statement);
    await client.end();
  }

  #configuration(id: string): object {
    const address = this.#o.members[id]!;
    const rest = `${address}:${REST_PORT}`;
    const sql = `${address}:${SQL_PORT}`;
    const folder = this.#folder(id);
    return {
      ...{ scope: 'antipode', name: id, restapi: { listen: rest, connect_address: rest } },
      etcd3: { host: `127.0.0.1:${this.#etcdPort}` },
      bootstrap: {
        dcs: this.#o.dcs,
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }],
      },
      postgresql: {
        ...{ listen: sql, connect_address: sql, data_dir: join(folder, 'data'), bin_dir: BIN },
        pgpass: join(folder, 'pgpass'),
        pg_hba: [
          'host replication replicator 127.0.0.0/8 scram-sha-256',
          'host all all 127.0.0.0/8 scram-sha-256',
        ],
        authentication: {
          superuser: { username: 'postgres', password: PASSWORD },
          replication: { username: 'replicator', password: PASSWORD },
          rewind: { username: 'rewinder', password: PASSWORD },
        },
        parameters: { unix_socket_directories: folder, shared_buffers: '32MB', max_connections: 100 },
      },
    };
  }

  #folder(id: string): string {
    const folder = join(this.#o.folder, `patroni-${id}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  readonly #logs = new Map<string, string>();
  #log = (id: string): string => this.#logs.get(id) ?? '';

  #spawn(id: string, program: string, args: readonly string[]): void {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.#folder(id) });
    const keep = (data: Buffer) => this.#logs.set(id, (this.#log(id) + data.toString()).slice(-20_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const tether = () => child.kill('SIGKILL');
    process.once('exit', tether);
    child.once('exit', () => process.off('exit', tether));
    this.#children.set(id, child);
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
