/**
 * Runs one Postgres in the role that it is told, watches it, and reports. It decides nothing: a server that ends stays
 * down until a role comes again. Told by the supervisor (members/directory.ts) or by its own keeper (agent-keeper.ts).
 */
import { connect, isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { MemberConfig } from '../config.ts';
import type { BackupSource } from './base-backup.ts';
import { isStandbyFolder } from './directory-folder.ts';
import { ensureSlot, REPLICATION_SQL } from './directory-roles.ts';
import type { DirectoryRole, FromMember, Replication } from './messages.ts';
import { type RunningPostgres, startPostgres } from './postgres.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { type PostgresSettings, SUPERUSER, writeSynchronousSet } from './postgres-config.ts';
import { becomePrimary, type PromotionStep } from './promotion.ts';
import { rejoin } from './rejoin.ts';
import { readPasswords } from './secrets.ts';

const REPORT_MS = 250;
/** A new connection, so that a stopped postmaster shows although its backends go on. */
const KNOCK_EVERY_MS = 1_000;
const ANSWER_MS = 1_000;
const RESEED_TRIES = 5;

/** Where it reports to. */
export interface AgentOutlet {
  readonly log: Logger;
  send(message: FromMember): void;
}

export class DirectoryAgent {
  readonly #config: MemberConfig;
  readonly #proc: AgentOutlet;
  readonly #binaries: PostgresBinaries;
  readonly #dataDir: string;
  readonly #after: ((step: PromotionStep) => Promise<void> | void) | undefined;
  #server: RunningPostgres | null = null;
  /** Of the role that the server was last told; its end is reported under it. */
  #toldTurn = 0;
  #role: DirectoryRole | null = null;
  #ending = false;
  /** Roles are taken one after the other. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    config: MemberConfig,
    proc: AgentOutlet,
    binaries: PostgresBinaries,
    after?: (step: PromotionStep) => Promise<void> | void,
  ) {
    this.#after = after;
    this.#config = config;
    this.#proc = proc;
    this.#binaries = binaries;
    this.#dataDir = join(config.dataDir, 'pg');
  }

  take(role: DirectoryRole, turn: number): void {
    this.#turn = this.#turn.then(async () => {
      if (this.#ending) return;
      try {
        await this.#become(role, turn);
      } catch (error) {
        this.#proc.log.error({ err: error, role: role.kind }, 'Postgres did not start');
        await this.#server?.kill();
        this.#server = null;
        this.#proc.send({ type: 'postgres', turn, pid: null, problem: (error as Error).message });
      }
    });
  }

  setSynchronous(on: boolean): void {
    if (this.#role?.kind !== 'primary') return;
    this.#role = { ...this.#role, synchronous: on };
    writeSynchronousSet(this.#dataDir, on ? this.#role.twin : null);
    this.#server?.reload();
  }

  async end(): Promise<void> {
    this.#ending = true;
    await this.#server?.stop();
    await this.#turn;
    await this.#server?.stop();
  }

  async #become(role: DirectoryRole, turn: number): Promise<void> {
    const before = this.#role;
    this.#role = role;
    const running = this.#server;
    const promotes = role.kind === 'primary' && before?.kind === 'standby' && running !== null;
    if (!promotes) await running?.stop();
    this.#toldTurn = turn;
    if (role.kind === 'off')
      return this.#proc.send({ type: 'postgres', turn, pid: null, problem: 'told to stop' });
    if (role.kind === 'standby') await this.#startStandby(role);
    else {
      writeSynchronousSet(this.#dataDir, role.synchronous ? role.twin : null);
      if (promotes) running.reload();
      else this.#watchEnd(await startPostgres(this.#binaries, this.#settings()));
      await this.#preparePrimary(role);
    }
    const server = this.#server;
    if (!server) throw new Error('Postgres has ended');
    this.#proc.log.info({ role: role.kind, pid: server.pid }, 'Postgres runs');
    this.#proc.send({ type: 'postgres', turn, pid: server.pid });
    void this.#report(server, role, turn);
  }

  /** A folder that is still a standby's, of a promotion that was broken off, is promoted here as well. */
  async #preparePrimary(role: DirectoryRole): Promise<void> {
    const startedAt = performance.now();
    const promotes = isStandbyFolder(this.#dataDir);
    const client = await this.#connect();
    try {
      await becomePrimary({
        client,
        passwords: readPasswords(this.#config.secretsDir),
        clock: systemClock,
        ...(this.#after ? { after: this.#after } : {}),
      });
    } finally {
      await client.end();
    }
    const ms = Math.round(performance.now() - startedAt);
    this.#proc.log.info({ role: role.kind, promotes, ms }, 'the primary is prepared');
    if (promotes) this.#proc.send({ type: 'progress', step: `promoted ${this.#config.member}`, ms });
  }

  async #startStandby(role: DirectoryRole & { kind: 'standby' }): Promise<void> {
    const primary = this.#member(role.primary);
    const { replication, superuser } = readPasswords(this.#config.secretsDir);
    const source = { host: primary.address, port: primary.port, password: replication };
    await this.#rejoin(source, superuser, role.reseed);
    const upstream = { ...source, name: this.#config.member };
    this.#watchEnd(await startPostgres(this.#binaries, { ...this.#settings(), upstream }));
  }

  #settings(): PostgresSettings & { dataDir: string } {
    const self = this.#member(this.#config.member);
    return {
      dataDir: this.#dataDir,
      host: self.address,
      port: self.port,
      clients: clientsOf(this.#config),
      logDir: join(this.#config.dataDir, 'log'),
    };
  }

  /** The primary may still be on its way up. */
  async #rejoin(source: BackupSource, superuserPassword: string, seed: boolean): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const startedAt = performance.now();
        const { log } = this.#proc;
        const how = await rejoin({
          ...{ binaries: this.#binaries, dataDir: this.#dataDir },
          ...{ source, superuserPassword, seed, log },
        });
        const ms = Math.round(performance.now() - startedAt);
        const step = how === 'seeded' ? 'seeded from its twin' : `follows its twin, ${how}`;
        if (how) this.#proc.send({ type: 'progress', step: `${this.#config.member} ${step}`, ms });
        return;
      } catch (error) {
        if (attempt === RESEED_TRIES || this.#ending) throw error;
        this.#proc.log.warn({ err: error, attempt }, 'seeding failed');
        await sleep(500 * attempt);
      }
    }
  }

  #watchEnd(server: RunningPostgres): void {
    this.#server = server;
    server.ended.then((how) => {
      if (this.#server !== server) return;
      this.#server = null;
      if (!this.#ending) this.#proc.log.error({ how }, 'Postgres ended');
      this.#proc.send({ type: 'postgres', turn: this.#toldTurn, pid: null, problem: how });
    });
  }

  /** Tells, as long as this server runs and answers, that it does. Silence says the rest. */
  async #report(server: RunningPostgres, role: DirectoryRole, turn: number): Promise<void> {
    let client: pg.Client | null = null;
    let knockedAt = 0;
    const self = this.#member(this.#config.member);
    while (this.#server === server && this.#toldTurn === turn && !this.#ending) {
      try {
        if (performance.now() - knockedAt >= KNOCK_EVERY_MS) {
          await knock(self.address, self.port);
          knockedAt = performance.now();
        }
        if (role.kind === 'primary') {
          client ??= await this.#connect();
          const seen = await replication(client, role.twin);
          this.#proc.send({ type: 'replication', replication: seen });
          // Whoever heard of it seeds the twin anew, which then needs a slot that keeps something.
          if (seen.slot === 'lost') await ensureSlot(client);
        } else this.#proc.send({ type: 'alive' });
      } catch (error) {
        this.#proc.log.warn({ err: error }, 'Postgres does not answer');
        void client?.end().catch(() => {});
        client = null;
        knockedAt = 0;
      }
      await sleep(REPORT_MS);
    }
    void client?.end().catch(() => {});
  }

  async #connect(): Promise<pg.Client> {
    const self = this.#member(this.#config.member);
    const client = new pg.Client({
      host: self.address,
      port: self.port,
      user: SUPERUSER,
      password: readPasswords(this.#config.secretsDir).superuser,
      database: 'postgres',
      application_name: `${this.#config.member}-agent`,
      connectionTimeoutMillis: ANSWER_MS * 5,
      query_timeout: ANSWER_MS * 10,
    });
    client.on('error', (error) => this.#proc.log.warn({ err: error }, 'connection to Postgres lost'));
    await client.connect();
    return client;
  }

  #member(id: string): { address: string; port: number } {
    const found = this.#config.cluster.members.find((m) => m.id === id);
    if (!found) throw new Error(`no member ${id} in ${dirname(this.#config.dataDir)}`);
    return found;
  }
}

/** The centers' subnets, and gateways outside of them. */
function clientsOf({ cluster }: MemberConfig): string[] {
  const gateways = cluster.members.filter((m) => m.kind === 'gateway' && isIP(m.address) !== 0);
  return [
    ...cluster.centers.flatMap((center) => center.subnets),
    ...gateways.map(({ address }) => `${address}/${isIP(address) === 6 ? 128 : 32}`),
  ];
}

async function replication(client: pg.Client, twin: string): Promise<Replication> {
  const query = { text: REPLICATION_SQL, values: [twin], query_timeout: ANSWER_MS };
  const { rows } = await client.query<{
    state: string | null;
    slot: string | null;
    flushed: string;
    replayed: string | null;
    synchronous: boolean;
  }>(query);
  const row = rows[0]!;
  return {
    ...row,
    flushed: Number(row.flushed),
    replayed: row.replayed === null ? null : Number(row.replayed),
  };
}

/** Asks the server whether it speaks TLS: it forks and answers one byte, without a login. */
function knock(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    socket.once('connect', () => socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])));
    socket.once('data', () => {
      socket.end();
      resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}
