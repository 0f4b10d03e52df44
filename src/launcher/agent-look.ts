/**
 * What a directory's agent knows of buckets: its own server is asked, as a role that sees names alone, in a session that
 * cannot write. A standby answers too, as what an agent says is a hint. Bounded: one connection, so many questions at once,
 * one deadline for all of them; whatever does not answer in time is silence, never a "has not".
 */
import pg from 'pg';
import type { Logger } from 'pino';
import { type Clock, OVER } from '../base/clock.ts';
import { within } from '../base/within.ts';
import type { Look } from '../twin/search-answerer.ts';
import { DATABASE } from './directory-roles.ts';

/** Migration 0027. */
const ROLE = 'antipode_finder';
const LOOK_MS = 500;
const LOOKS_AT_ONCE_MAX = 64;
const STATEMENT = { name: 'has-bucket', text: 'SELECT id FROM antipode.bucket WHERE name = $1' };

export interface AgentLookOptions {
  readonly host: string;
  readonly port: number;
  /** Whoever may take the role on. */
  readonly user: string;
  readonly password: string;
  readonly database?: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug'>;
}
export interface AgentLook {
  readonly look: Look;
  close(): void;
}

/** Connects when the first question comes. */
export function openAgentLook(o: AgentLookOptions): AgentLook {
  let opening: Promise<pg.Client> | null = null;
  let looks = 0;
  const closed = new AbortController();

  const drop = (client: Promise<pg.Client>): void => {
    if (opening === client) opening = null;
    client.then(
      (it) => void it.end().catch(() => {}),
      () => {},
    );
  };
  const connect = (): Promise<pg.Client> => {
    if (opening) return opening;
    const client = new pg.Client({
      ...{ host: o.host, port: o.port, user: o.user, password: o.password, database: o.database ?? DATABASE },
      application_name: 'antipode-name-search',
      connectionTimeoutMillis: LOOK_MS,
      options: `-c role=${ROLE} -c default_transaction_read_only=on -c statement_timeout=${LOOK_MS}`,
    });
    const connected = client.connect().then(() => client);
    client.on('error', () => drop(connected));
    client.on('end', () => {
      if (opening === connected) opening = null;
    });
    opening = connected;
    return connected;
  };

  const look: Look = async (kind, subject) => {
    if (kind !== 'bucket') return null;
    if (looks >= LOOKS_AT_ONCE_MAX || closed.signal.aborted) return 'silent';
    looks += 1;
    const connection = connect();
    try {
      const asked = connection.then((client) => client.query(STATEMENT, [subject]));
      asked.catch(() => {});
      const { rowCount } = await within(o.clock, LOOK_MS, asked);
      return { has: rowCount === 1 };
    } catch (error) {
      o.log.debug({ err: error }, 'cannot tell whether a bucket is here');
      drop(connection);
      return 'silent';
    } finally {
      looks -= 1;
    }
  };
  return {
    look,
    close: () => {
      closed.abort(OVER);
      if (opening) drop(opening);
    },
  };
}
