/**
 * Brings a directory's schema up to date: migrations/*.sql, in order, forward only. Safe to call again and from
 * several processes at once (an advisory lock; the others wait for it and then find nothing to do).
 * Each migration and its record commit together.
 */
import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import type { PostgresConnection } from './locator.ts';
import { tlsOptions } from './tls-options.ts';

const MIGRATIONS = join(import.meta.dirname, '../../migrations');

export interface MigrationLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
const silent: MigrationLog = { info() {}, warn() {}, error() {} };

/** `connection` names the owner of the schema (who may create the role antipode_app, unless it is there). */
export async function migrate(connection: PostgresConnection, log: MigrationLog = silent): Promise<void> {
  const { host, port, database, user, password } = connection;
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    password,
    ...tlsOptions(connection),
    connectionTimeoutMillis: 5000,
    application_name: 'antipode-migrate',
  });
  client.on('error', (error) => log.error(`migration: ${error.message}`));
  await client.connect();
  try {
    // Bounds the wait for another process's migration.
    await client.query("SET lock_timeout = '60s'; SET client_min_messages = warning");
    await runner({
      dbClient: client,
      dir: MIGRATIONS,
      ignorePattern: '(?!\\d{4}_.*\\.sql$).*',
      direction: 'up',
      migrationsSchema: 'antipode_migrations',
      createMigrationsSchema: true,
      migrationsTable: 'applied',
      singleTransaction: true,
      advisoryLockMode: 'wait',
      logger: { info: () => {}, warn: (m) => log.warn(String(m)), error: (m) => log.error(String(m)) },
      verbose: false,
    });
  } finally {
    await client.end();
  }
}
