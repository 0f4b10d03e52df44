/**
 * One embedded Postgres: made (initdb), started, watched, stopped. Knows nothing of pairs; see pair.ts.
 * Invariants: a server that was started is reported as ended only after every process of its data folder is gone;
 * a start first ends what an earlier owner of the folder left behind; every wait has a deadline.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { syncTree, writeDurably } from './durable.ts';
import { fileOwner, type PostgresBinaries, wrap } from './postgres-binaries.ts';
import { type PostgresSettings, SUPERUSER, writePostgresConfig } from './postgres-config.ts';
import { endLeftovers, gone, killFolder } from './postgres-processes.ts';

const run = promisify(execFile);

const INITDB_MS = 60_000;
/** Crash recovery replays up to max_wal_size; on a slow disk that takes its time. */
const START_MS = 120_000;
const FAST_MS = 15_000;
const IMMEDIATE_MS = 5_000;
const POLL_MS = 10;
const LAST_WORDS_MS = 1_000;
const WORDS_BYTES_MAX = 8_192;

export class PostgresFailed extends Error {
  override readonly name = 'PostgresFailed';
}

export interface RunningPostgres {
  readonly pid: number;
  /** Resolves (never rejects) when the server and all its processes are gone; says how it ended. */
  readonly ended: Promise<string>;
  /** Makes the server read its configuration files again. */
  reload(): void;
  /** Fast shutdown, then immediate, then SIGKILL, each with its deadline. */
  stop(): Promise<void>;
  /** SIGKILL of every process of the data folder; resolves when none is left. */
  kill(): Promise<void>;
}

/** Whether `dataDir` holds a cluster that was made completely. */
export const isInitialized = (dataDir: string): boolean => existsSync(join(dataDir, 'PG_VERSION'));

/** Makes a new cluster. A folder left by an interrupted attempt must be gone. @throws {PostgresFailed} */
export async function initPostgres(
  binaries: PostgresBinaries,
  o: { dataDir: string; superuserPassword: string },
): Promise<void> {
  await ownedFolder(binaries, o.dataDir);
  const passwordFile = join(o.dataDir, '..', 'initdb.password');
  writeDurably(passwordFile, `${o.superuserPassword}\n`);
  await giveToServer(binaries, passwordFile);
  const command = wrap(binaries, binaries.initdb, [
    `--pgdata=${o.dataDir}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--data-checksums',
    '--no-instructions',
    '--no-sync', // one file after the other; many at once take a fraction of the time
  ]);
  try {
    await run(command.file, command.args, { ...command.options, timeout: INITDB_MS });
    await syncTree(o.dataDir);
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new PostgresFailed(`initdb failed: ${lastLine(stderr) || message}`, { cause: error });
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/**
 * Starts the server over `dataDir` and resolves when it accepts connections.
 * @throws {PostgresFailed} with the server's own last words when it ends first or misses the deadline
 */
export async function startPostgres(
  binaries: PostgresBinaries,
  o: PostgresSettings & { dataDir: string; startMs?: number },
): Promise<RunningPostgres> {
  await endLeftovers(o.dataDir);
  await ownedFolder(binaries, o.logDir);
  writePostgresConfig(o.dataDir, o);
  await giveToServer(binaries, o.dataDir);
  const logged = logSizes(o.logDir);
  const command = wrap(binaries, binaries.postgres, ['-D', o.dataDir]);
  // A group of its own: Ctrl-C on the terminal reaches the supervisor alone, which stops the members in order.
  const child = spawn(command.file, command.args, {
    ...command.options,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const words = lastWords(child);
  const ended = whenEnded(child, o.dataDir);
  const server = handle(child, o.dataDir, ended);
  const early = await Promise.race([ended, accepting(o.dataDir, child, ended, o.startMs ?? START_MS)]);
  if (early === 'accepting') return server;
  await server.kill();
  const log = words() || lastLogLine(o.logDir, logged);
  throw new PostgresFailed(`Postgres in ${o.dataDir} did not start (${early})${log && `: ${log}`}`);
}

function handle(child: ChildProcess, dataDir: string, ended: Promise<string>): RunningPostgres {
  const signal = (name: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(name);
  };
  const kill = async () => {
    await killFolder(dataDir);
    await ended;
  };
  return {
    pid: child.pid!,
    ended,
    reload: () => signal('SIGHUP'),
    kill,
    async stop() {
      for (const [name, ms] of [
        ['SIGINT', FAST_MS],
        ['SIGQUIT', IMMEDIATE_MS],
      ] as const) {
        signal(name);
        if (await within(ended, ms)) return;
      }
      await kill();
    },
  };
}

function whenEnded(child: ChildProcess, dataDir: string): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be run: ${error.message}`));
    child.once('exit', (code, signal) => {
      const how = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      // A postmaster that is killed leaves backends for a moment (or, stopped ones, for good): they end with it.
      // One that ends by itself has a log collector behind it that writes its last words.
      const quiet = signal === null ? gone(dataDir, LAST_WORDS_MS) : Promise.resolve(false);
      quiet
        .then(() => killFolder(dataDir))
        .then(
          () => resolve(how),
          (error: Error) => resolve(`${how}; ${error.message}`),
        );
    });
  });
}

/** postmaster.pid carries the server's state in its eighth line, as pg_ctl reads it: no connection, no password. */
async function accepting(
  dataDir: string,
  child: ChildProcess,
  ended: Promise<string>,
  deadlineMs: number,
): Promise<string> {
  const file = join(dataDir, 'postmaster.pid');
  const until = performance.now() + deadlineMs;
  while (performance.now() < until) {
    if (child.exitCode !== null || child.signalCode !== null) return ended;
    try {
      const lines = readFileSync(file, 'utf8').split('\n');
      if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return 'accepting';
    } catch {
      // Not written yet.
    }
    await sleep(POLL_MS);
  }
  return `not ready after ${deadlineMs} ms`;
}

/** Makes the folder (0700) where it is missing; Postgres refuses one that others can read. */
async function ownedFolder(binaries: PostgresBinaries, path: string): Promise<void> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  await giveToServer(binaries, path);
}

/** As root, files that we wrote, or that an earlier start left under another uid, are handed to the server's uid. */
export async function giveToServer(binaries: PostgresBinaries, path: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = fileOwner(binaries.runAs);
  if (binaries.runAs.kind === 'uid' || statSync(path).uid !== uid)
    await run('chown', ['-R', `${uid}:${gid}`, path]);
}

/** Keeps the end of what the server says before its log collector takes over. */
function lastWords(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-WORDS_BYTES_MAX);
  });
  return () => lastLine(text);
}

function logSizes(logDir: string): ReadonlyMap<string, number> {
  const names = readdirSync(logDir).filter((name) => name.startsWith('postgres-'));
  return new Map(names.map((name) => [name, statSync(join(logDir, name)).size]));
}

/** Of what was written since `before`. */
function lastLogLine(logDir: string, before: ReadonlyMap<string, number>): string {
  const grown = [...logSizes(logDir)].find(([name, size]) => size > (before.get(name) ?? 0));
  if (!grown) return '';
  const written = readFileSync(join(logDir, grown[0])).subarray(before.get(grown[0]) ?? 0);
  return lastLine(written.subarray(-WORDS_BYTES_MAX).toString());
}

/** The last line that says what went wrong, without its prefix; '' when there is none. */
function lastLine(text: string | undefined): string {
  const lines = (text ?? '').split('\n');
  const line = lines.findLast((l) => /\b(?:FATAL|PANIC|ERROR|error):/.test(l)) ?? '';
  return line.replace(/^.*?\b(?:FATAL|PANIC|ERROR|error):\s*/, '').trim();
}

export async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(ms, false, { signal: timer.signal }).catch(() => false);
  const done = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return done;
}
