/**
 * One connection to a primary. A statement that misses its deadline has its socket destroyed and the backend left
 * alone: cancelling one that waits for its standby would turn the wait into a success that is not replicated.
 * A Link is used by one caller at a time and is thrown away after the first error that is not the statement's own.
 */
import { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../base/clock.ts';
import { CatalogUnavailable } from './catalog.ts';
import { withDeadline } from './deadline.ts';
import type { PostgresConnection } from './locator.ts';
import { isUnreplicated } from './sqlstate.ts';
import { type Statement, statement } from './statements.ts';
import { tlsOptions } from './tls-options.ts';

export type Row = Readonly<Record<string, unknown>>;
export interface Answer {
  readonly rows: readonly Row[];
  readonly rowCount: number;
  /** A commit that this answers may not be on the twin. */
  readonly unreplicated: boolean;
}

export interface LinkTimeouts {
  /** TCP, TLS, authentication and the first question together. */
  readonly connectMs: number;
  /** A commit that has waited for its twin for longer has been given up by whoever asked for it. */
  readonly commitMs: number;
  /** The server gives up waiting for a lock, and on the statement; both before a commit begins to wait for its twin. */
  readonly lockMs: number;
  readonly statementMs: number;
}

/** bigint columns are ids, sizes and offsets, all below 2^53. */
const INT8_OID = 20;
type Parse = (text: string) => unknown;
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary'): Parse =>
    oid === INT8_OID ? Number : (pg.types.getTypeParser(oid, format ?? 'text') as Parse),
};

/**
 * Every statement here means to go by an index. Plans are made once, perhaps when the tables were empty: these keep
 * them good whatever the statistics said then. (A bitmap has no order: on an empty table the planner takes any index and
 * sorts, and a page or a queue's first entries then cost all that there are.)
 */
const PLANS =
  '-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan';

const REPLICATED = statement('replicated');
const ENTER = statement('enter');

/**
 * A commit whose deadline has passed goes on waiting for the twin in its backend, as nobody may cancel it. While so many do,
 * no connection more is made: else the server's connections would be used up when the twin stays away, and the one
 * that decides about it could not enter. Together with what is in use, well below `max_connections` (100 where the server is ours).
 */
export const ABANDONED_MAX = 32;

/** Which server it is, and in which reign: two connections are to the same one when these are equal. */
export const addressOf = (c: PostgresConnection): string =>
  `${c.host}:${c.port}/${c.database}${c.term === undefined ? '' : ` (term ${c.term})`}`;

export class Link {
  readonly address: string;
  readonly #client: pg.Client;
  readonly #clock: Clock;
  readonly #destroy: () => void;
  #usable = true;
  #unreplicated = false;

  private constructor(address: string, client: pg.Client, destroy: () => void, clock: Clock) {
    this.address = address;
    this.#client = client;
    this.#destroy = destroy;
    this.#clock = clock;
    const broken = () => {
      this.#usable = false;
    };
    client.on('error', broken);
    client.on('end', broken);
    client.on('notice', (notice) => {
      if (isUnreplicated(notice)) this.#unreplicated = true;
    });
  }

  /**
   * A server that has been started again shows what it had committed and its twin may lack. Where the twin may take over,
   * nothing is read before a commit made behind all that has reached it.
   * @throws {CatalogUnavailable} when the server cannot be reached in time, is a standby, or has enough to wait for (ABANDONED_MAX)
   */
  static async open(connection: PostgresConnection, clock: Clock, timeouts: LinkTimeouts): Promise<Link> {
    const socket = new Socket();
    const { host, port, database, user, password } = connection;
    const client = new pg.Client({
      ...{ host, port, database, user, password },
      ...tlsOptions(connection),
      stream: () => socket,
      keepAlive: true,
      application_name: 'antipode',
      options: `${PLANS} -c lock_timeout=${timeouts.lockMs} -c statement_timeout=${timeouts.statementMs}`,
      types,
    });
    const destroy = () => {
      socket.destroy();
    };
    const link = new Link(addressOf(connection), client, destroy, clock);
    const enter = async () => {
      await client.connect();
      const { rows } = await client.query<Row>({ text: ENTER.text, values: [timeouts.commitMs] });
      if (rows[0]?.standby !== false) throw new Error('it is a standby');
      const abandoned = Number(rows[0].abandoned);
      if (abandoned >= ABANDONED_MAX)
        throw new Error(`${abandoned} commits wait there for the twin and nobody for them`);
      if (connection.term === undefined) return;
      await client.query(REPLICATED.text);
      if (link.#unreplicated) throw new Error('its twin has not confirmed what it shows');
    };
    try {
      await withDeadline(clock, timeouts.connectMs, enter(), destroy);
      return link;
    } catch (error) {
      destroy();
      throw new CatalogUnavailable(`no connection to the directory at ${link.address}`, { cause: error });
    }
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Rejects with the database's error, or with the connection's when it ended (at the deadline, too). */
  async query(statement: Statement, values: readonly unknown[], deadlineMs: number): Promise<Answer> {
    this.#unreplicated = false;
    const expire = () => {
      this.#usable = false;
      this.#destroy();
    };
    const work = this.#client.query<Row>({ name: statement.name, text: statement.text, values: [...values] });
    const { rows, rowCount } = await withDeadline(this.#clock, deadlineMs, work, expire);
    return { rows, rowCount: rowCount ?? 0, unreplicated: this.#unreplicated };
  }

  /** Says goodbye without waiting for an answer. */
  close(): void {
    if (this.#usable) this.#client.end().catch(() => {});
    else this.#destroy();
    this.#usable = false;
  }
}
