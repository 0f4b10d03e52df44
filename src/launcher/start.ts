/**
 * `antipode start`: one machine, every member a process of its own. Brings them up (in parallel what can be), prints
 * the credentials once and the ready line, and takes them down in order.
 * Invariant: when this process ends, by whatever way, its members end too.
 */
import { join } from 'node:path';
import type { StartConfig } from '../config.ts';
import { openDecisions } from './decisions.ts';
import { DATABASE, READER_ROLE } from './directory-roles.ts';
import { openKeyring } from './keyring.ts';
import { knownHosts, type Plan, type PlannedMember, planStore, writeMemberConfig } from './layout.ts';
import { clearLeftovers } from './leftovers.ts';
import { type FolderLock, lockFolder } from './lock.ts';
import { openLogFile } from './log-file.ts';
import { findPostgres } from './postgres-binaries.ts';
import { checkAddresses } from './preflight.ts';
import { openProgress, type Progress } from './progress.ts';
import { makeSecrets, readPasswords } from './secrets.ts';
import { checkFolders, readyFolders } from './start-folders.ts';
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
  const decisions = openDecisions(join(config.dataDir, 'decisions.jsonl'));
  checkFolders({ plan, decisions });
  const { credentials, generated } = makeSecrets(plan.secretsDir, config.credentials);
  openKeyring(plan.secretsDir, config.settings.encryption); // what is wrong with its keys is said at once
  for (const member of plan.members) writeMemberConfig(plan, member, config);
  const { log, flush } = openLogFile({
    folder: join(config.dataDir, 'log'),
    name: 'supervisor',
    level: config.settings.logLevel,
  });
  process.on('exit', flush);
  const supervisor = new Supervisor({ config, plan, decisions, log, progress });
  const wishes = listenToSignals();
  // Members load while the catalog is made: both take a core's time.
  supervisor.startMembers();
  try {
    const up = (async () => {
      await readyFolders({
        ...{ plan, decisions, now: Date.now },
        binaries: await findPostgres(join(config.dataDir, 'lib')),
        superuserPassword: readPasswords(plan.secretsDir).superuser,
        progress: (step) => progress.step(step),
      });
      return supervisor.bringUp(READY_MS);
    })();
    const ports = await Promise.race([up, wishes.first.then(() => null)]);
    if (ports !== null) {
      const ready = readyLine(config, supervisor.rootPrimary, ports);
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

/** @param directory the primary of the root pair */
function readyLine(
  config: StartConfig,
  { address, port }: PlannedMember,
  ports: { s3: number; admin: number },
) {
  const scheme = config.tls ? 'https' : 'http';
  const s3 = `${scheme}://${hostPort(config.listen.host, ports.s3)}`;
  const admin = `${scheme}://${hostPort(config.admin.host, ports.admin)}`;
  const catalog = `postgres://${READER_ROLE}@${hostPort(address, port)}/${DATABASE}`;
  return { line: `ready s3=${s3} admin=${admin} catalog=${catalog}`, addresses: { s3, admin, catalog } };
}

const hostPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
