/** A database as an older release left it: the first `count` migrations alone, so that a test can put rows there first. */
import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import type { PostgresConnection } from '../../src/ddm/locator.ts';

/** Recorded as src/ddm/migrate.ts records them, so that `migrate` goes on from there. */
export async function migrateTo(connection: PostgresConnection, count: number): Promise<void> {
  const client = new pg.Client({ ...connection });
  await client.connect();
  try {
    await client.query('SET client_min_messages = warning');
    await runner({
      dbClient: client,
      dir: join(import.meta.dirname, '../../migrations'),
      ignorePattern: '(?!\\d{4}_.*\\.sql$).*',
      direction: 'up',
      count,
      migrationsSchema: 'antipode_migrations',
      createMigrationsSchema: true,
      migrationsTable: 'applied',
      singleTransaction: true,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
      verbose: false,
    });
  } finally {
    await client.end();
  }
}
