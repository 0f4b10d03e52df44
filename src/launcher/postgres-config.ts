/**
 * The configuration files of a directory's Postgres, written whole before every start: what stands here is what runs.
 * The one thing that changes while it runs, the synchronous set, lives in a file of its own (SYNCHRONOUS_CONF), so that
 * the decider changes it by writing the file and sending SIGHUP, with no connection that could be missing.
 */
import { join } from 'node:path';
import { writeDurably } from './durable.ts';

export const SYNCHRONOUS_CONF = 'synchronous.conf';
export const SUPERUSER = 'postgres';
export const REPLICATION_ROLE = 'antipode_replication';
export const SLOT = 'antipode_twin';

export interface Upstream {
  readonly host: string;
  readonly port: number;
  readonly password: string;
  /** What this standby calls itself; the name in the primary's synchronous set. */
  readonly name: string;
}

export interface PostgresSettings {
  readonly host: string;
  readonly port: number;
  /** CIDR texts from which clients may come, beside the machine's own loopback addresses. */
  readonly clients: readonly string[];
  /** From where people's logins may come besides (members of antipode_reader and antipode_writer, and nobody else). */
  readonly sqlClients?: readonly string[];
  /** Absolute folder for the log files. */
  readonly logDir: string;
  /** For a standby. */
  readonly upstream?: Upstream;
}

/** Writes postgresql.conf and pg_hba.conf. SYNCHRONOUS_CONF is left as it is. */
export function writePostgresConfig(dataDir: string, settings: PostgresSettings): void {
  writeDurably(join(dataDir, 'postgresql.conf'), postgresqlConf(settings));
  writeDurably(join(dataDir, 'pg_hba.conf'), hbaConf(settings));
}

/** @param standby the twin that commits wait for, or null: commits wait for nobody */
export function writeSynchronousSet(dataDir: string, standby: string | null): void {
  const value = standby === null ? '' : `FIRST 1 ("${standby}")`;
  writeDurably(join(dataDir, SYNCHRONOUS_CONF), `synchronous_standby_names = ${quote(value)}\n`);
}

function postgresqlConf(settings: PostgresSettings): string {
  const lines: Record<string, string | number> = {
    listen_addresses: settings.host,
    port: settings.port,
    // TCP with passwords alone: a socket's path is limited to 107 bytes, which a deep data folder passes.
    unix_socket_directories: '',
    max_connections: 100,
    superuser_reserved_connections: 5,
    shared_buffers: '128MB',
    // A standby that lies in the same machine gains nothing from I/O workers; each would be one process more.
    io_method: 'sync',
    jit: 'off',
    // The commit function locks each key of a batch by an advisory lock.
    max_locks_per_transaction: 512,
    fsync: 'on',
    full_page_writes: 'on',
    wal_level: 'replica',
    synchronous_commit: 'remote_apply',
    max_wal_senders: 10,
    max_replication_slots: 10,
    max_wal_size: '1GB',
    max_logical_replication_workers: 0,
    wal_keep_size: '128MB',
    // A twin that is away for longer is seeded anew rather than filling the primary's disk.
    max_slot_wal_keep_size: '4GB',
    wal_sender_timeout: '10s',
    wal_receiver_timeout: '10s',
    wal_receiver_status_interval: '1s',
    wal_retrieve_retry_interval: '200ms',
    hot_standby: 'on',
    // Commits wait for replay: a forgotten query on the standby must not hold it up.
    max_standby_streaming_delay: '0',
    max_standby_archive_delay: '0',
    password_encryption: 'scram-sha-256',
    logging_collector: 'on',
    log_directory: settings.logDir,
    log_filename: 'postgres-%a.log',
    log_truncate_on_rotation: 'on',
    log_rotation_age: '1d',
    log_rotation_size: '0',
    log_line_prefix: '%m [%p] %q%u@%d ',
    log_statement: 'none',
    // Statements carry names and sealed secrets: the message and its code are enough.
    log_min_error_statement: 'panic',
    log_parameter_max_length: '0',
    log_checkpoints: 'off',
    log_timezone: 'UTC',
    timezone: 'UTC',
    lc_messages: 'C',
    restart_after_crash: 'on',
  };
  const { upstream } = settings;
  if (upstream) {
    lines.primary_conninfo = conninfo(upstream);
    lines.primary_slot_name = SLOT;
    lines.recovery_target_timeline = 'latest';
  }
  const text = Object.entries(lines).map(([name, value]) => `${name} = ${quote(String(value))}`);
  const head = '# Written by antipode at every start: changes made here are lost.';
  return `${head}\n${text.join('\n')}\ninclude_if_exists '${SYNCHRONOUS_CONF}'\n`;
}

function hbaConf({ clients, sqlClients = [] }: PostgresSettings): string {
  const from = [...new Set(['127.0.0.0/8', '::1/128', ...clients])];
  const rows = from.flatMap((cidr) => [
    `host replication ${REPLICATION_ROLE},${SUPERUSER} ${cidr} scram-sha-256`,
    `host all all ${cidr} scram-sha-256`,
  ]);
  // The owner is a member, too: it makes others so. The first row that fits decides.
  const people = sqlClients.flatMap((cidr) => [
    `host all antipode_owner,antipode_app,${SUPERUSER} ${cidr} reject`,
    `host antipode +antipode_reader,+antipode_writer ${cidr} scram-sha-256`,
  ]);
  return `# Written by antipode at every start.\n${[...rows, ...people].join('\n')}\n`;
}

function conninfo(upstream: Upstream): string {
  const pairs: Record<string, string | number> = {
    host: upstream.host,
    port: upstream.port,
    user: REPLICATION_ROLE,
    password: upstream.password,
    application_name: upstream.name,
    sslmode: 'disable',
    connect_timeout: 2,
    keepalives_idle: 5,
    keepalives_interval: 2,
    keepalives_count: 3,
  };
  return Object.entries(pairs)
    .map(([name, value]) => `${name}='${String(value).replace(/[\\']/g, '\\$&')}'`)
    .join(' ');
}

const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`;
