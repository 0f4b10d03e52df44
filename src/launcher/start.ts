/**
 * `antipode start`: one machine, every member a process of its own. Brings them up (in parallel what can be), prints
 * the credentials once and the ready line, and takes them down in order.
 * Invariant: when this process ends, by whatever way, its members end too.
 */
import { join } from 'node:path';
import { ConfigError, type StartConfig } from '../config.ts';
import { isStandbyFolder, makePairFolders } from './directory-folder.ts';
import { DATABASE, READER_ROLE } from './directory-roles.ts';
import { knownHosts, type Plan, planStore, writeMemberConfig } from './layout.ts';
import { clearLeftovers } from './leftovers.ts';
import { type FolderLock, lockFolder } from './lock.ts';
import { openLogFile } from './log-file.ts';
import { isInitialized } from './postgres.ts';
import { findPostgres } from './postgres-binaries.ts';
import { checkAddresses } from './preflight.ts';
import { openProgress, type Progress } from './progress.ts';
import { makeSecrets, readPasswords } from './secrets.ts';
import { Supervisor } from './supervisor.ts';

/** Ctrl-C on a terminal may arrive twice, from the terminal and from npm: one person's one wish. */
const SAME_WISH_MS = 1_000;
const READY_MS = 120_000;

/** Resolves with the exit code when the store has ended. @throws {ConfigError} */
export async function start(config: StartConfig): Promise<number> {
  const progress = openProgress();
  const plan = planStore(config, knownHosts(config.dataDir));
  const lock = await lockFolder(config.dataDir);
  try {
    return await run(config, plan, lock, progress);
  } finally {
    lock.release();
  }
}

async function run(config: StartConfig, plan: Plan, lock: FolderLock, progress: Progress): Promise<number> {
  const cleared = await clearLeftovers(plan);
  if (cleared) progress.step('cleared what an earlier run left');
  await checkAddresses(plan, config, cleared);
  const { credentials, generated } = makeSecrets(plan.secretsDir, config.credentials);
  for (const member of plan.members) writeMemberConfig(plan, member, config);
  const { log, flush } = openLogFile({
    folder: join(config.dataDir, 'log'),
    name: 'supervisor',
    level: config.settings.logLevel,
  });
  process.on('exit', flush);
  const supervisor = new Supervisor({ config, plan, log, progress });
  const wishes = listenToSignals();
  // Members load while the catalog is made: both take a core's time.
  supervisor.startMembers();
  try {
    const up = (async () => {
      await makeFolders(config, plan, progress);
      return supervisor.bringUp(READY_MS);
    })();
    const ports = await Promise.race([up, wishes.first.then(() => null)]);
    if (ports !== null) {
      const ready = readyLine(config, plan, ports);
      lock.describe(ready.addresses);
      if (generated) {
        progress.print(`access key ${credentials.accessKeyId}`);
        progress.print(`secret key ${credentials.secretKey}`);
      }
      progress.print(ready.line);
      await Promise.race([wishes.first, supervisor.failed]);
    }
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  progress.step('stopping');
  const forced = await Promise.race([supervisor.stop().then(() => false), wishes.second.then(() => true)]);
  if (forced) {
    await supervisor.killAll();
    return 1;
  }
  progress.step('stopped');
  return 0;
}

/** The first start makes both folders; a lost twin is seeded by its agent; a lost primary needs a promotion. */
async function makeFolders(config: StartConfig, plan: Plan, progress: Progress): Promise<void> {
  const primary = join(plan.directoryPair.primary.dataDir, 'pg');
  const standby = join(plan.directoryPair.twin.dataDir, 'pg');
  if (isInitialized(primary)) return;
  if (isStandbyFolder(standby))
    throw new ConfigError(
      `${primary}: is missing and its twin ${standby} holds the catalog; put the folder back (taking over is not supported yet)`,
    );
  const binaries = await findPostgres(join(config.dataDir, 'lib'));
  const { superuser } = readPasswords(plan.secretsDir);
  await makePairFolders(binaries, {
    primary,
    standby,
    superuserPassword: superuser,
    progress: (step) => progress.step(step),
  });
}

interface Wishes {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
}

/** The wish to stop, and the wish to stop now. */
function listenToSignals(): Wishes {
  let wish: (() => void)[] = [];
  let wishedAt = 0;
  const promise = () => new Promise<void>((resolve) => wish.push(resolve));
  const wishes = { first: promise(), second: promise() };
  const onWish = () => {
    const now = performance.now();
    if (wishedAt > 0 && now - wishedAt < SAME_WISH_MS) return;
    wishedAt = now;
    wish[0]?.();
    wish = wish.slice(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, onWish);
  // The shim that started us, where there is one, was killed.
  if (process.channel) process.once('disconnect', onWish);
  return wishes;
}

function readyLine(config: StartConfig, plan: Plan, ports: { s3: number; admin: number }) {
  const { address, port } = plan.directoryPair.primary;
  const scheme = config.tls ? 'https' : 'http';
  const s3 = `${scheme}://${hostPort(config.listen.host, ports.s3)}`;
  const admin = `${scheme}://${hostPort(config.admin.host, ports.admin)}`;
  const catalog = `postgres://${READER_ROLE}@${hostPort(address, port)}/${DATABASE}`;
  return { line: `ready s3=${s3} admin=${admin} catalog=${catalog}`, addresses: { s3, admin, catalog } };
}

const hostPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
