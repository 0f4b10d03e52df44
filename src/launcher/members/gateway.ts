/**
 * The gateway's process: waits for the catalog, brings its schema up to date, and opens the S3 and the admin port over
 * catalog, DOSM and node clients. Where the directories are it learns from the supervisor (or, without one, from its file).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AdminError } from '../../admin/admin-error.ts';
import { createMetrics } from '../../admin/metrics.ts';
import { createPairsService } from '../../admin/pairs.ts';
import { createRebuildService } from '../../admin/rebuild/service.ts';
import { createAdminServer } from '../../admin/server.ts';
import { systemClock } from '../../base/clock.ts';
import type { MemberId, PairId } from '../../base/ids.ts';
import { within } from '../../base/within.ts';
import { ConfigError, type MemberConfig } from '../../config.ts';
import type { AccessKey } from '../../ddm/catalog.ts';
import { migrate } from '../../ddm/migrate.ts';
import { openPeopleSql } from '../../ddm/people/people.ts';
import { openCatalog } from '../../ddm/postgres-catalog.ts';
import { createDosm } from '../../dosm/create.ts';
import { Findings } from '../../dosm/findings.ts';
import { paceOf } from '../../dosm/resync/pull.ts';
import { openSecret, sealSecret } from '../../identity/secret-box.ts';
import { openSessions } from '../../identity/sessions.ts';
import { startMoveBuckets } from '../../jobs/move-buckets.ts';
import { NAMES_READER } from '../../jobs/name-records.ts';
import { startJobs } from '../../jobs/start.ts';
import { createNodeClient } from '../../nodes/client.ts';
import { createRequestReaders } from '../../s3api/body/readers.ts';
import { createS3Server } from '../../s3api/server.ts';
import { buildTopology } from '../../twin/load.ts';
import type { Topology } from '../../twin/topology.ts';
import { adminKeys } from '../admin-keys.ts';
import { type CatalogGuard, openGuard } from '../catalog-guard.ts';
import { gatewayCenter, placeGateways } from '../gateway-center.ts';
import { openConditions } from '../gateway-conditions.ts';
import { Directories } from '../gateway-directories.ts';
import { openNotifications } from '../gateway-notifications.ts';
import { openPairs } from '../gateway-pairs.ts';
import { openReplication } from '../gateway-replication.ts';
import { encryptionService, openKeyring } from '../keyring.ts';
import { type MemberProcess, memberProcess } from '../member.ts';
import type { NewNode } from '../messages.ts';
import { openNameSearch } from '../name-search.ts';
import { ensureRoot } from '../root-account.ts';
import { openFinder, type SearchingClient } from '../search.ts';
import { readKey, readRootCredentials } from '../secrets.ts';

const RETRY_MS = 250;
/** How long a start waits for directories beside the root. */
const OTHERS_MS = 30_000;
const FINDINGS_CLOSE_MS = 1_000;
const START_NODES_MS = 30_000;
/** A new catalog is made first. */
const START_DIRECTORIES_MS = 120_000;

export async function runGateway(config: MemberConfig): Promise<void> {
  const proc = memberProcess({
    id: config.member,
    dataDir: config.dataDir,
    logLevel: config.settings.logLevel,
  });
  const { log } = proc;
  const gateway = config.gateway!;
  const { settings } = config;
  const clock = systemClock;
  const topology = buildTopology(config.cluster);
  const center = gatewayCenter(config, topology);
  const directories = new Directories(config, topology, proc);
  const secret = readKey(config.secretsDir, 'cluster');
  const keyring = await usable(proc, () => openKeyring(config.secretsDir, settings.encryption));
  let guard: CatalogGuard | null = null;
  const connect: Connect = (member, address, port) =>
    createNodeClient({
      ...{ member, address, port, secret, deadlines: settings.nodeDeadlines, clock },
      catalogId: () => guard?.catalogId ?? null,
    });
  const clients = connectNodes(topology, connect);
  proc.onEnd(async () => {
    await Promise.all([...clients.values()].map((client) => client.close()));
  });

  await migrateAll(proc, directories);
  const metrics = createMetrics();
  const names = openNameSearch({
    ...{ config, secret, topology, clock, log },
    members: () => directories.members(),
    onSearched: (outcome) => metrics.searched('bucket', outcome),
  });
  proc.onEnd(() => names.searcher.close());
  const catalog = await openCatalog({
    root: directories.root,
    locator: directories,
    log,
    clock,
    commitDeadlineMs: settings.commitDeadlineMs,
    feedWaitMs: settings.feedWaitMs,
    intentMs: settings.intentMs,
    // Directories that others run have no agents to ask.
    ...(config.external ? {} : { names }),
  });
  proc.onEnd(() => catalog.close());
  const self = config.member as MemberId;
  const known = await openGuard(proc, catalog, topology, clock);
  guard = known;
  const nodes = { clients, topology, clock, random: Math.random, log };
  const conditions = await openConditions({
    ...{ ...nodes, catalog, guard: known, self, settings: settings.monitor },
    directories: directories.failover(),
  });
  proc.onEnd(() => conditions.close());
  const pairs = await openPairs({
    ...nodes,
    ...{
      cluster: config.cluster,
      connect,
      catalog,
      monitor: conditions.monitor,
      startMembers: memberStarter(proc),
      migrate: (pair) => migratePair(proc, directories, pair),
    },
    reloadConditions: () => conditions.view.reload(),
  });
  proc.onEnd(() => pairs.close());
  const finder = openFinder({
    ...nodes,
    config,
    secret,
    conditions: conditions.view,
    onSearched: (outcome) => metrics.searched('blob', outcome),
  });
  proc.onEnd(() => finder.close());
  const findings = new Findings({ catalog, clock });
  proc.onEnd(() => findings.close(FINDINGS_CLOSE_MS));
  const dosm = createDosm({
    ...nodes,
    center,
    conditions: conditions.view,
    suspicion: conditions.suspicion,
    finder,
    onDamage: findings.onDamage,
    onFoundOffMap: findings.onFoundOffMap,
  });
  proc.onEnd(() => dosm.close());
  const { master, masters } = keyring;
  await ensureRoot(catalog, readRootCredentials(config.secretsDir), keyring, sleep);
  const identity = {
    findAccessKey: (accessKeyId: string) => catalog.findAccessKey(accessKeyId),
    openSecret: (key: AccessKey) => openSecret(masters, key.sealedSecret, key.accessKeyId),
    clock,
  };

  let underWay = () => 0;
  const jobs = startJobs({
    ...nodes,
    catalog,
    view: conditions.view,
    intervals: {
      reapMs: settings.reapIntervalMs,
      reclaimMs: settings.reclaimIntervalMs,
      intentMs: settings.intentMs,
      pendingGraceMs: settings.pendingGraceMs,
      blobGraceMs: Math.max(settings.blobGraceMs, settings.keepDeletedMs),
      namesMs: settings.nameRecordsMs,
    },
    names: {
      ...{ source: catalog, catalog, clients, topology, view: conditions.view, owner: self },
      isOurs: () => known.isUsable,
      leaseMs: settings.nameLeaseMs,
      tombstoneMs: settings.tombstoneMs,
    },
    lifecycle: {
      ...{ source: catalog, catalog, owner: self, isOurs: () => known.isUsable },
      terms: {
        classes: settings.storageClasses,
        transitionMinimumBytes: settings.transitionMinimumBytes,
        dayMs: settings.lifecycleDayMs ?? null,
      },
      settings: { actionsPerSecond: settings.lifecycleActionsPerSecond },
    },
    replication: {
      ...{ catalog, clients, topology, view: conditions.view, owner: self, settings: settings.replication },
      isBusy: () => underWay() > 0,
      suspects: () => conditions.suspicion.suspects(),
      find: async (blob, signal) => {
        const found = await finder.find(blob, signal);
        return found.outcome === 'unknown' ? null : found.members;
      },
    },
  });
  proc.onEnd(() => jobs.close());
  const moves = startMoveBuckets({ catalog, self, clock, random: Math.random, log });
  proc.onEnd(() => moves.close());

  const notifications = await openNotifications(proc, config, catalog);
  const { repairBytesPerSecond: bytesPerSecondMax, busyShare } = settings.replication;
  const movePace = paceOf({ bytesPerSecondMax, busyShare, isBusy: () => underWay() > 0 });
  const missing = await conditions.monitor.settled(settings.monitor.admitMs);
  if (missing.length > 0) log.warn({ missing }, 'nodes that serve by the record are not admitted');
  const signing = {
    ...identity,
    findAccessKey: async (accessKeyId: string) => {
      known.assertUsable();
      return await identity.findAccessKey(accessKeyId);
    },
  };
  const seal = (secret: string, accessKeyId: string) => sealSecret(master, secret, accessKeyId);
  const sessions = openSessions({ catalog, master, masters, clock });
  const s3 = await opened(
    proc,
    gateway,
    '--listen',
    createS3Server({
      services: {
        ...{
          catalog,
          dosm,
          clock,
          region: gateway.region,
          anyRegion: settings.anyRegion,
          storageClasses: settings.storageClasses,
        },
        ...{ encryption: encryptionService(keyring, settings.encryption), webhooks: notifications.webhooks },
        objectOwnership: settings.defaultObjectOwnership,
      },
      readers: createRequestReaders({
        ...{ ...signing, sessions, region: settings.anyRegion ? null : gateway.region, service: 's3' },
        formSignatureV2: settings.formSignatureV2,
      }),
      identityApi: { signing, sessions, sealSecret: seal },
      listen: gateway.listen,
      domains: gateway.domains,
      proxies: settings,
      websiteDomains: settings.websiteDomains,
      ...(gateway.tls ? { tls: gateway.tls } : {}),
      limits: { drainMs: settings.drainMs },
      log,
      ready: async () => !known.isLost && (await catalog.status()).every((pair) => pair.writable),
      onFinished: ({ operation, status, ms, bytesIn, bytesOut }) =>
        metrics.observe({ operation, status, durationMs: ms, bytesIn, bytesOut }),
    }),
  );
  proc.onEnd(() => s3.close());
  underWay = () => s3.underWay();
  placeGateways(topology, self, { center, address: gateway.listen.host, port: s3.port });
  const admin = await opened(
    proc,
    gateway,
    '--admin',
    createAdminServer({
      catalog,
      feed: catalog,
      notifications: notifications.admin,
      moves: catalog,
      topology,
      clients,
      members: () => directories.members(),
      self,
      conditions: conditions.view,
      notAdmitted: (member) => conditions.monitor.notAdmitted(member),
      failover: conditions.failover,
      lifecycle: jobs.lifecycle,
      replication: openReplication({ catalog, clients, conditions: conditions.view, clock, jobs }),
      pairs: createPairsService({
        ...{ catalog, topology, clients, clock, add: pairs.add, refresh: pairs.refresh },
        addDirectories: pairs.addDirectories,
        move: { catalog, topology, clients, clock, view: conditions.view, pace: movePace },
        dropAfterMs: settings.replication.moveGraceMs,
      }),
      sql: openPeopleSql({
        pairs: () => directories.pairs(),
        owner: (pair) => directories.owner(pair),
        clock,
      }),
      rebuild: createRebuildService({
        ...{ catalog, clients, topology, reader: NAMES_READER, root: directories.root },
        directories: () => directories.pairs(),
        catalogId: known.catalogId,
        onRebuilt: (replaced) => known.rebuilt(replaced),
      }),
      keyring,
      openSecret: identity.openSecret,
      findAccessKey: adminKeys({
        ...{ catalog, master, credentials: readRootCredentials(config.secretsDir) },
        isAway: () => directories.primary(directories.root) === null,
      }),
      sealSecret: seal,
      metrics,
      finder,
      listen: gateway.admin,
      ...(gateway.tls ? { tls: gateway.tls } : {}),
      clock,
      log,
    }),
  );
  proc.onEnd(() => admin.close());
  proc.send({ type: 'ready', ports: { s3: s3.port, admin: admin.port } });
}

type Connect = (member: MemberId, address: string, port: number) => SearchingClient;

function connectNodes(topology: Topology, connect: Connect): Map<MemberId, SearchingClient> {
  const nodes = [...topology.members.values()].filter((member) => member.kind === 'node');
  return new Map(nodes.map(({ id, address, port }) => [id, connect(id, address, port)]));
}

/** Asks the supervisor for the members of one pair more. One question at a time. */
function memberStarter(
  proc: MemberProcess,
): ((kind: 'node' | 'directory') => Promise<readonly NewNode[]>) | null {
  if (!proc.supervised) return null;
  let waiting: ((answer: { nodes: readonly NewNode[]; problem?: string }) => void) | null = null;
  proc.onMessage((message) => {
    if (message.type === 'nodes-added') waiting?.(message);
  });
  return async (kind) => {
    if (waiting) throw new AdminError('NotAllowed', 'another pair is being added');
    try {
      const answered = new Promise<{ nodes: readonly NewNode[]; problem?: string }>((resolve) => {
        waiting = resolve;
      });
      proc.send({ type: 'add-nodes', kind });
      const { nodes, problem } = await within(
        systemClock,
        kind === 'node' ? START_NODES_MS : START_DIRECTORIES_MS,
        answered,
      );
      if (problem !== undefined) throw new AdminError('Internal', `the new pair did not start: ${problem}`);
      return nodes;
    } finally {
      waiting = null;
    }
  };
}

/** The root is waited for; another pair that is away for longer is brought up to date when it answers. */
async function migrateAll(proc: MemberProcess, directories: Directories): Promise<void> {
  const startedAt = performance.now();
  await untilMigrated(proc, directories, directories.root);
  const others = directories.pairs().filter((pair) => pair !== directories.root);
  const all = Promise.all(others.map((pair) => untilMigrated(proc, directories, pair)));
  await Promise.race([all, sleep(OTHERS_MS, undefined, { ref: false })]);
  const ms = Math.round(performance.now() - startedAt);
  proc.send({ type: 'progress', step: 'brought the schema up to date', ms });
}

/** The primary may go away in between; what stays wrong is said in the log, and the supervisor's deadline ends it. */
async function untilMigrated(proc: MemberProcess, directories: Directories, pair: PairId): Promise<void> {
  for (;;) {
    const owner = directories.owner(pair);
    try {
      if (owner) return await migrate(owner, proc.log);
    } catch (error) {
      proc.log.warn({ err: error, pair }, 'migration failed; trying again');
    }
    await sleep(RETRY_MS);
  }
}

/** Of a pair that has just been started. @throws when it does not come up in time */
const migratePair = (proc: MemberProcess, directories: Directories, pair: PairId): Promise<void> =>
  within(systemClock, START_DIRECTORIES_MS, untilMigrated(proc, directories, pair));

/** What is wrong with the configuration is said in one line. */
async function usable<T>(proc: MemberProcess, read: () => T): Promise<T> {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigError) return proc.refuse(error.message);
    throw error;
  }
}

/** A port or a certificate that cannot be used is said in one line; everything else is a fault of ours. */
async function opened<T>(
  proc: MemberProcess,
  gateway: NonNullable<MemberConfig['gateway']>,
  flag: '--listen' | '--admin',
  server: Promise<T>,
): Promise<T> {
  try {
    return await server;
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    const { host, port } = flag === '--listen' ? gateway.listen : gateway.admin;
    if (syscall === 'listen')
      return proc.refuse(`${flag}: ${host}:${port} cannot be used (${code}); choose another`);
    const tls = gateway.tls;
    if (!tls) throw error;
    return proc.refuse(`--tls-cert ${tls.certFile}, --tls-key ${tls.keyFile}: cannot be used (${message})`);
  }
}
