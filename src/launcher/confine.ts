/**
 * What Postgres lets everybody do, taken back in our database: large objects (they would fill the disk), advisory locks (commits
 * use them), taking a transaction id (one that stays open holds up the change feed) and writing into the WAL. The gateways and
 * the owner keep all of it. Needs the superuser;
 * confine-postgres.sql is the same for servers that others run.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';

const SQL = readFileSync(join(import.meta.dirname, 'confine-postgres.sql'), 'utf8');
/** The database's comment when it has been done; a later edition does it again. */
const DONE = 'antipode: confined, edition 2';

/** @param client as superuser, to any database of the server */
export async function confineDatabase(client: pg.Client, database: string): Promise<void> {
  const { rows } = await client.query<{ said: string | null }>(
    "SELECT shobj_description(oid, 'pg_database') AS said FROM pg_database WHERE datname = $1",
    [database],
  );
  if (rows[0]?.said === DONE) return;
  const { host, port, user, password } = client;
  const inside = new pg.Client({ host, port, user, password: password ?? '', database });
  await inside.connect();
  try {
    await inside.query('SET synchronous_commit = local');
    await inside.query(SQL);
  } finally {
    await inside.end();
  }
  await client.query(
    `COMMENT ON DATABASE ${client.escapeIdentifier(database)} IS ${client.escapeLiteral(DONE)}`,
  );
}
