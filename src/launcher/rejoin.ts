/**
 * The old primary's data folder becomes its successor's standby:
 *
 *   as it is   it ended in order before its successor's timeline began: it lacks nothing, and has nothing of its own
 *   rewound    by pg_rewind, where the binary is, on a copy
 *   seeded     by a new base backup
 *
 * Invariant: what was there is in the folder or set aside (`….aside`) until `dropAside`, after its successor caught up.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { type BackupSource, connectForReplication } from './base-backup.ts';
import { readControlFile } from './control-file.ts';
import { isStandbyFolder, replaceByCopy, reseedStandby, turnIntoStandby } from './directory-folder.ts';
import { giveToServer, isInitialized } from './postgres.ts';
import { type PostgresBinaries, wrap } from './postgres-binaries.ts';
import { SUPERUSER } from './postgres-config.ts';
import { endLeftovers } from './postgres-processes.ts';

const run = promisify(execFile);
const REWIND_MS = 600_000;
const ANSWER_MS = 5_000;

export type Rejoined = 'as it is' | 'rewound' | 'seeded';

export interface RejoinOptions {
  readonly binaries: PostgresBinaries;
  readonly dataDir: string;
  /** The primary that runs. */
  readonly source: BackupSource;
  readonly superuserPassword: string;
  /** It could not follow as it was: take a new base backup. */
  readonly seed: boolean;
  readonly log: { warn(facts: object, message: string): void };
}

/** Resolves with a folder that can be started as a standby; null: it already was one. */
export async function rejoin(o: RejoinOptions): Promise<Rejoined | null> {
  const { dataDir, source, seed, log } = o;
  if (!seed && isStandbyFolder(dataDir)) return null;
  await endLeftovers(dataDir);
  if (!seed && isInitialized(dataDir)) {
    if (await hasNothingOfItsOwn(dataDir, source)) {
      turnIntoStandby(dataDir);
      return 'as it is';
    }
    if (o.binaries.rewind) {
      try {
        await replaceByCopy(dataDir, (copy) => rewind(o, copy));
        return 'rewound';
      } catch (error) {
        log.warn({ err: error }, 'pg_rewind failed: a new base backup is taken');
      }
    }
  }
  await reseedStandby(source, dataDir);
  return 'seeded';
}

/** Whether all that it wrote is part of what the primary that runs now builds upon. */
async function hasNothingOfItsOwn(dataDir: string, source: BackupSource): Promise<boolean> {
  const own = readControlFile(dataDir);
  if (!own || own.endedAt === null) return false;
  const { systemId, timeline, forks } = await historyOf(source);
  if (systemId !== own.systemId || timeline <= own.timeline) return false;
  const fork = forks.get(own.timeline);
  return fork !== undefined && own.endedAt < fork;
}

interface History {
  readonly systemId: string;
  readonly timeline: number;
  /** Where each earlier timeline was left. */
  readonly forks: ReadonlyMap<number, bigint>;
}

async function historyOf(source: BackupSource): Promise<History> {
  const client = await connectForReplication(source);
  try {
    const ask = async (text: string): Promise<Record<string, unknown>> => {
      const query = { text, query_timeout: ANSWER_MS };
      return (await client.query<Record<string, unknown>>(query)).rows[0]!;
    };
    const { systemid, timeline: now } = await ask('IDENTIFY_SYSTEM');
    const [systemId, timeline] = [String(systemid), Number(now)];
    if (timeline === 1) return { systemId, timeline, forks: new Map() };
    const { content } = await ask(`TIMELINE_HISTORY ${timeline}`);
    return { systemId, timeline, forks: parseHistory(String(content)) };
  } finally {
    client.end().catch(() => {});
  }
}

/** Lines of a history file: `1<tab>0/5000060<tab>reason`. */
export function parseHistory(text: string): ReadonlyMap<number, bigint> {
  const forks = new Map<number, bigint>();
  for (const line of text.split('\n')) {
    const [, timeline, high, low] = /^\s*(\d+)\s+([0-9A-F]+)\/([0-9A-F]+)/i.exec(line) ?? [];
    if (low === undefined) continue;
    forks.set(Number(timeline), (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`));
  }
  return forks;
}

async function rewind({ binaries, source, superuserPassword }: RejoinOptions, copy: string): Promise<void> {
  await checkpoint(source, superuserPassword);
  await giveToServer(binaries, copy);
  const server = `host=${source.host} port=${source.port} user=${SUPERUSER} dbname=postgres sslmode=disable`;
  const command = wrap(binaries, binaries.rewind!, [`--target-pgdata=${copy}`, `--source-server=${server}`]);
  const env = { ...command.options.env, PGPASSWORD: superuserPassword };
  await run(command.file, command.args, { ...command.options, env, timeout: REWIND_MS });
}

/** Until then a server that was just promoted says on its disk that it is of the old timeline. */
async function checkpoint({ host, port }: BackupSource, password: string): Promise<void> {
  const login = { host, port, user: SUPERUSER, password, database: 'postgres' };
  const client = new pg.Client({ ...login, connectionTimeoutMillis: ANSWER_MS, query_timeout: REWIND_MS });
  client.on('error', () => {}); // the query reports it
  await client.connect();
  try {
    await client.query('CHECKPOINT');
  } finally {
    client.end().catch(() => {});
  }
}
