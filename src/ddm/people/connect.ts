/**
 * Connections for people's SQL. A gateway logs in as roles of its own, members of antipode_reader and antipode_writer; it makes
 * them through the owner's login where they are not there yet (a directory that was added, another owner's password). Their
 * passwords follow from the owner's, so that every gateway knows them and nobody keeps them.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import pg from 'pg';
import type { Clock } from '../../base/clock.ts';
import { CatalogUnavailable } from '../catalog.ts';
import { withDeadline } from '../deadline.ts';
import { addressOf } from '../link.ts';
import type { PostgresConnection } from '../locator.ts';
import { tlsOptions } from '../tls-options.ts';
import { scramVerifier } from './scram.ts';

export const GROUP_OF = { reader: 'antipode_reader', writer: 'antipode_writer' } as const;
export type Group = keyof typeof GROUP_OF;

const CONNECT_MS = 3_000;
const CONNECTIONS: Record<Group, number> = { reader: 20, writer: 10 };
/** A server that sees its client gone ends the query. */
const WATCH = '-c client_connection_check_interval=2s';

/** @throws {CatalogUnavailable} when it cannot be reached, or is a standby; the server's own error when it refuses the login */
export async function connect(
  connection: PostgresConnection,
  clock: Clock,
  options: string = WATCH,
): Promise<pg.Client> {
  const { host, port, database, user, password } = connection;
  const socket = new Socket();
  const client = new pg.Client({
    ...{ host, port, database, user, password, options },
    ...tlsOptions(connection),
    stream: () => socket,
    application_name: 'antipode-sql',
  });
  client.on('error', () => {});
  const enter = async () => {
    await client.connect();
    return await client.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
  };
  try {
    const { rows } = await withDeadline(clock, CONNECT_MS, enter(), () => socket.destroy());
    if (rows[0]?.standby !== false) throw new Error('it is a standby');
    return client;
  } catch (error) {
    socket.destroy();
    if (isLoginRefused(error)) throw error;
    throw new CatalogUnavailable(`no connection to the directory at ${addressOf(connection)}`, {
      cause: error,
    });
  }
}

/** invalid_authorization_specification, invalid_password. */
export const isLoginRefused = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && (error.code === '28000' || error.code === '28P01');

/** A gateway's own login of the group. */
export async function connectAs(
  group: Group,
  owner: PostgresConnection,
  clock: Clock,
  o: { readonly timeoutMs: number },
): Promise<pg.Client> {
  const user = `antipode_console_${group}`;
  const password = createHmac('sha256', owner.password).update(user).digest('base64url');
  const readOnly = group === 'reader' ? 'on' : 'off';
  const options = `${WATCH} -c TimeZone=UTC -c DateStyle=ISO -c default_transaction_read_only=${readOnly}`;
  const enter = async () => {
    const client = await connect({ ...owner, user, password }, clock, options);
    await client.query(`SET statement_timeout = ${o.timeoutMs}`);
    return client;
  };
  try {
    return await enter();
  } catch (error) {
    if (!isLoginRefused(error)) throw error;
    // Another gateway may be making it at this moment: what counts is whether it lets us in then.
    const failed = await withOwner(owner, clock, async (client) => {
      await client.query('BEGIN');
      await makeLogin(client, user, group, password, CONNECTIONS[group]);
      await client.query('COMMIT');
    }).then(
      () => null,
      (cause: unknown) => cause,
    );
    try {
      return await enter();
    } catch (again) {
      throw failed ?? again;
    }
  }
}

export async function withOwner<T>(
  owner: PostgresConnection,
  clock: Clock,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connect(owner, clock);
  try {
    return await work(client);
  } finally {
    void client.end().catch(() => {});
  }
}

/** Makes the login, or gives the one that is there this password; within the caller's transaction. */
export async function makeLogin(
  client: pg.Client,
  name: string,
  group: Group,
  password: string,
  connections: number,
): Promise<void> {
  const role = client.escapeIdentifier(name);
  const secret = client.escapeLiteral(scramVerifier(password, randomBytes(16)));
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
  await client.query(`${rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${role} LOGIN PASSWORD ${secret}`);
  await client.query(`GRANT ${GROUP_OF[group]} TO ${role}`);
  await client.query('SELECT antipode.bound_login($1, $2, $3)', [name, connections, group === 'reader']);
}
