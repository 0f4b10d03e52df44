/**
 * What a Postgres server that others run must be before anybody's names are kept on it: pure, one clear line for each thing
 * that is wrong. The statement reads settings that every login may read.
 */

export const SERVER_STATE_SQL = `
  SELECT current_setting('server_version_num')::int AS "versionNumber",
         current_setting('server_version') AS version,
         pg_encoding_to_char(d.encoding) AS encoding,
         pg_is_in_recovery() AS standby,
         current_setting('default_transaction_read_only') = 'on' AS "readOnly",
         current_setting('fsync') = 'on' AS fsync,
         current_setting('full_page_writes') = 'on' AS "fullPageWrites",
         current_setting('synchronous_commit') AS "synchronousCommit",
         current_setting('synchronous_standby_names') AS "synchronousStandbys",
         CASE WHEN pg_is_in_recovery() THEN NULL
              ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint::int END AS timeline
    FROM pg_database d WHERE d.datname = current_database()`;

export interface ServerState {
  readonly versionNumber: number;
  readonly version: string;
  readonly encoding: string;
  readonly standby: boolean;
  readonly readOnly: boolean;
  readonly fsync: boolean;
  readonly fullPageWrites: boolean;
  readonly synchronousCommit: string;
  /** '' when commits wait for nobody. */
  readonly synchronousStandbys: string;
  /** Of a primary. */
  readonly timeline: number | null;
}

const VERSION_MIN = 150_000;

/** @param single there is no standby by the operator's own word */
export function serverProblem(s: ServerState, { single }: { readonly single: boolean }): string | null {
  if (s.versionNumber < VERSION_MIN) return `it runs PostgreSQL ${s.version}; 15 or newer is needed`;
  if (s.encoding !== 'UTF8')
    return `its database is ${s.encoding}; make it anew with ENCODING 'UTF8' TEMPLATE template0`;
  if (!s.fsync || !s.fullPageWrites)
    return `${s.fsync ? 'full_page_writes' : 'fsync'} is off: what it acknowledges is not durable; set it on`;
  if (s.standby) return null;
  if (s.readOnly) return 'it takes no writes (default_transaction_read_only is on)';
  if (single) return null;
  if (s.synchronousStandbys.trim() === '')
    return 'its commits wait for no standby (synchronous_standby_names is empty); one server alone is decider: single';
  if (s.synchronousCommit !== 'remote_apply')
    return `synchronous_commit is ${s.synchronousCommit} for this login; set it to remote_apply on the server`;
  return null;
}
