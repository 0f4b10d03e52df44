/**
 * Looks at one Postgres server that others run: its state, and whether a commit made now reaches its standby. Connections
 * are kept; a question has a deadline. A commit that waits is left alone on its connection, and none is begun beside it:
 * a backend that waits for its standby does not notice that its client has gone.
 */
import { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../base/clock.ts';
import { within } from '../base/within.ts';
import type { PostgresConnection } from '../ddm/locator.ts';
import { isUnreplicated } from '../ddm/sqlstate.ts';
import { tlsOptions } from '../ddm/tls-options.ts';
import { SERVER_STATE_SQL, type ServerState } from './server-state.ts';

const QUESTION_MS = 2_000;
const COMMIT_SQL = "SELECT pg_logical_emit_message(true, 'antipode', 'replicated')";

interface Connected {
  readonly client: pg.Client;
  readonly destroy: () => void;
}

export class ServerEye {
  readonly #connection: PostgresConnection;
  readonly #clock: Clock;
  #forState: Connected | null = null;
  #commit: Promise<void> | null = null;
  #forCommits: Connected | null = null;
  #closed = false;

  constructor(connection: PostgresConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /** @throws {Error} that says in one line why there is no answer */
  async state(): Promise<ServerState> {
    try {
      this.#forState ??= await this.#open();
      const { rows } = await within(
        this.#clock,
        QUESTION_MS,
        this.#forState.client.query<ServerState>(SERVER_STATE_SQL),
      );
      if (!rows[0]) throw new Error('it does not know its own database');
      return rows[0];
    } catch (error) {
      this.#forState?.destroy();
      this.#forState = null;
      throw new Error(plain(error), { cause: error });
    }
  }

  /** Whether a commit begun now was confirmed by the standby within `ms`. */
  async confirmed(ms: number): Promise<boolean> {
    if (this.#commit) return false;
    let isConfirmed = false;
    this.#commit = this.#commitOnce()
      .then((ok) => {
        isConfirmed = ok;
      })
      .finally(() => {
        this.#commit = null;
      });
    await within(this.#clock, ms, this.#commit).catch(() => {});
    return isConfirmed;
  }

  async #commitOnce(): Promise<boolean> {
    try {
      this.#forCommits ??= await this.#open();
      let isCutShort = false;
      const { client } = this.#forCommits;
      const hear = (notice: Parameters<typeof isUnreplicated>[0]) => {
        if (isUnreplicated(notice)) isCutShort = true;
      };
      client.on('notice', hear);
      await client.query(COMMIT_SQL).finally(() => client.off('notice', hear));
      return !isCutShort;
    } catch {
      this.#forCommits?.destroy();
      this.#forCommits = null;
      return false;
    }
  }

  async #open(): Promise<Connected> {
    if (this.#closed) throw new Error('closed');
    const socket = new Socket();
    const { host, port, database, user, password } = this.#connection;
    const client = new pg.Client({
      ...{ host, port, database, user, password, ...tlsOptions(this.#connection) },
      stream: () => socket,
      keepAlive: true,
      application_name: 'antipode-watch',
    });
    client.on('error', () => socket.destroy());
    const destroy = () => {
      socket.destroy();
    };
    try {
      await within(this.#clock, QUESTION_MS, client.connect());
      return { client, destroy };
    } catch (error) {
      destroy();
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#forState?.destroy();
    this.#forCommits?.destroy();
  }
}

/** Of an AggregateError (a name with several addresses) the first says what is the matter. */
function plain(error: unknown): string {
  const one = error instanceof AggregateError ? error.errors[0] : error;
  return one instanceof Error ? one.message || one.name : String(one);
}
