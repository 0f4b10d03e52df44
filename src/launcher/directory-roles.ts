/**
 * What a primary must have before anybody uses it: roles, the database, the slot that keeps what the twin still needs.
 * Idempotent; run as superuser at each start. Commits here wait for this disk alone, so that a twin that is away cannot
 * hold up the start; all of it reaches the twin by the same stream.
 */
import type pg from 'pg';
import { confineDatabase } from './confine.ts';
import { REPLICATION_ROLE, SLOT } from './postgres-config.ts';
import type { PostgresPasswords } from './secrets.ts';

export const DATABASE = 'antipode';
/** Owns the schema; migrations run as it. */
export const OWNER_ROLE = 'antipode_owner';
/** The gateways': what the migrations grant it. */
export const APP_ROLE = 'antipode_app';
/** For administrators' own SQL: logs in, and reads what the migrations grant it. */
export const READER_ROLE = 'antipode_reader';
/** As the reader, and changes what the migrations let it change. */
export const WRITER_ROLE = 'antipode_writer';

export async function preparePrimary(client: pg.Client, passwords: PostgresPasswords): Promise<void> {
  await client.query('SET synchronous_commit = local');
  const { rows } = await client.query<{ name: string; secret: boolean }>(
    'SELECT rolname AS name, rolpassword IS NOT NULL AS secret FROM pg_authid',
  );
  const known = new Map(rows.map((row) => [row.name, row.secret]));
  const roles: [string, string, string | null][] = [
    [REPLICATION_ROLE, 'LOGIN REPLICATION', passwords.replication],
    [OWNER_ROLE, 'LOGIN CREATEROLE', passwords.owner],
    [APP_ROLE, 'LOGIN', passwords.app],
    [READER_ROLE, 'LOGIN', passwords.reader],
    [WRITER_ROLE, 'LOGIN', passwords.writer],
  ];
  for (const [name, attributes, password] of roles) {
    if (known.get(name) || (known.has(name) && password === null)) continue;
    const secret = password === null ? 'NULL' : client.escapeLiteral(password);
    const verb = known.has(name) ? 'ALTER' : 'CREATE';
    await client.query(`${verb} ROLE ${name} ${attributes} PASSWORD ${secret}`);
  }
  // The owner gives both their limits, and makes people's logins members of one of them.
  await client.query(`GRANT ${READER_ROLE}, ${WRITER_ROLE} TO ${OWNER_ROLE} WITH ADMIN OPTION`);
  const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (found.rowCount === 0) {
    await client.query(`CREATE DATABASE ${DATABASE} OWNER ${OWNER_ROLE}`);
    await client.query(`REVOKE ALL ON DATABASE ${DATABASE} FROM PUBLIC`);
    await client.query(`GRANT CONNECT ON DATABASE ${DATABASE} TO ${APP_ROLE}, ${READER_ROLE}`);
  }
  await confineDatabase(client, DATABASE);
  await ensureSlot(client);
}

/** A slot that has lost WAL is of no use to anybody; the twin is then seeded anew, from a new slot. */
export async function ensureSlot(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ lost: boolean }>(
    "SELECT coalesce(wal_status = 'lost', false) AS lost FROM pg_replication_slots WHERE slot_name = $1",
    [SLOT],
  );
  if (rows[0]?.lost) await client.query('SELECT pg_drop_replication_slot($1)', [SLOT]);
  if (!rows[0] || rows[0].lost)
    await client.query('SELECT pg_create_physical_replication_slot($1, true)', [SLOT]);
}

/** How far the twin is. One row always; LSNs as bytes, so that they fit a bigint and compare. */
export const REPLICATION_SQL = `
  SELECT r.state, s.wal_status AS slot,
         (pg_current_wal_flush_lsn() - '0/0')::text AS flushed,
         (r.replay_lsn - '0/0')::text AS replayed,
         current_setting('synchronous_standby_names') <> '' AS synchronous
    FROM (VALUES (1)) AS one
    LEFT JOIN pg_stat_replication r ON r.application_name = $1
    LEFT JOIN pg_replication_slots s ON s.slot_name = '${SLOT}'
   ORDER BY r.replay_lsn DESC NULLS LAST
   LIMIT 1`;
