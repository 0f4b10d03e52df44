/**
 * Runs one Postgres in the role that it is told, watches it, and reports. It decides nothing: a server that ends stays
 * down until a role comes again. Told by the supervisor (members/directory.ts) or by its own keeper (agent-keeper.ts).
 */
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { MemberConfig } from '../config.ts';
import type { BackupSource } from './base-backup.ts';
import { isStandbyFolder } from './directory-folder.ts';
import type { DirectoryEvent } from './directory-history.ts';
import type { DirectoryRole, FromMember } from './messages.ts';
import { type RunningPostgres, startPostgres } from './postgres.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { type PostgresSettings, SUPERUSER, writeSynchronousSet } from './postgres-config.ts';
import { becomePrimary, type PromotionStep } from './promotion.ts';
import { rejoin } from './rejoin.ts';
import { readPasswords } from './secrets.ts';
import { report } from './server-report.ts';

const ANSWER_MS = 1_000;
const RESEED_TRIES = 5;
const CHECKPOINT_MS = 60_000;

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
  /** Whether commits wait for the twin, whatever the settings say. */
  #confirmed: boolean | 'asking' = false;
  /** What is to be copied into the catalog. */
  #events: readonly DirectoryEvent[] | null = null;
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
    if (!on) this.#confirmed = false;
    else void this.#confirmSynchronous();
  }

  /** For the copy in the catalog. */
  remember(events: readonly DirectoryEvent[]): void {
    this.#events = events.length === 0 ? null : events;
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
    if (role.kind === 'off') {
      this.#proc.send({ type: 'postgres', turn, pid: null, problem: 'told to stop' });
      return;
    }
    if (role.kind === 'standby') await this.#startStandby(role);
    else {
      writeSynchronousSet(this.#dataDir, role.synchronous ? role.twin : null);
      // A server that starts goes by the file from its first commit.
      this.#confirmed = role.synchronous && !promotes;
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
    const client = await this.#connect('postgres');
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
    // Whoever waited for the end of the seeding may be gone by the time that a server is up.
    if (this.#ending) throw new Error('its agent is ending');
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
      sqlClients: this.#config.settings.sqlClients,
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

  #report(server: RunningPostgres, role: DirectoryRole, turn: number): Promise<void> {
    const { address: host, port } = this.#member(this.#config.member);
    return report({
      ...{ role, host, port, dataDir: this.#dataDir, log: this.#proc.log },
      isOver: () => this.#server !== server || this.#toldTurn !== turn || this.#ending,
      connect: (database) => this.#connect(database),
      send: (message) => this.#proc.send(message),
      isConfirmed: () => this.#confirmed === true,
      events: () => this.#events,
      recorded: (events) => {
        if (this.#events === events) this.#events = null;
      },
    });
  }

  /**
   * A backend's settings are not yet what commits go by: that is the checkpointer's word, who reads the file again
   * before it makes a checkpoint that was asked for.
   */
  async #confirmSynchronous(): Promise<void> {
    if (this.#confirmed !== false) return;
    this.#confirmed = 'asking';
    let done = false;
    try {
      const client = await this.#connect('postgres');
      try {
        const { rows } = await client.query<{ on: boolean }>(
          "SELECT current_setting('synchronous_standby_names') <> '' AS on",
        );
        if (rows[0]!.on) {
          const checkpoint = { text: 'CHECKPOINT', query_timeout: CHECKPOINT_MS };
          await client.query(checkpoint);
          done = true;
        }
      } finally {
        await client.end();
      }
    } catch (error) {
      this.#proc.log.warn({ err: error }, 'not known yet whether commits wait');
    }
    if (this.#confirmed === 'asking') this.#confirmed = done;
  }

  async #connect(database: string): Promise<pg.Client> {
    const self = this.#member(this.#config.member);
    const client = new pg.Client({
      host: self.address,
      port: self.port,
      user: SUPERUSER,
      password: readPasswords(this.#config.secretsDir).superuser,
      database,
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
