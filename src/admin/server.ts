/**
 * The admin address: metrics and health for anybody, the admin API for the root account. JSON in and out; an error is
 * `{code, message}` with a status that says whose fault it was, and never a stack or a secret.
 */
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { followTlsFiles, readTlsFiles, type TlsFiles } from '../base/tls-files.ts';
import { within } from '../base/within.ts';
import type { BucketMoves } from '../ddm/bucket-moves.ts';
import { type AccessKey, type Catalog, CatalogUnavailable } from '../ddm/catalog.ts';
import type { ChangeFeed } from '../ddm/change-feed.ts';
import type { PeopleSql } from '../ddm/people/people.ts';
import type { NodeFinder } from '../dosm/find.ts';
import type { Keyring } from '../identity/envelope.ts';
import { createAccounts } from './accounts.ts';
import { requireRoot } from './admin-auth.ts';
import { AdminError } from './admin-error.ts';
import { ADMIN_PREFIX } from './api.ts';
import { createChanges } from './changes.ts';
import type { Failover } from './failover.ts';
import type { LifecycleFigures } from './lifecycle-metrics.ts';
import { type LocateQuery, locateObject } from './locate.ts';
import type { Metrics } from './metrics.ts';
import { type NotificationsAdmin, notificationsReport } from './notifications.ts';
import type { PairsService } from './pairs.ts';
import { createPolicies } from './policies.ts';
import type { RebuildService } from './rebuild/service.ts';
import type { ReplicationService } from './replication.ts';
import { createReseal } from './reseal.ts';
import { adminRoutes } from './routes.ts';
import { createSqlService } from './sql.ts';
import { collectStatus, type MemberState, type StatusSources } from './status.ts';
import { createUsageService } from './usage.ts';
import { createVerify } from './verify.ts';

export interface AdminOptions extends Omit<StatusSources, 'catalog'> {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Both with the master key, see identity/secret-box.ts. */
  readonly openSecret: (key: AccessKey) => string | Buffer;
  readonly sealSecret: (secret: string, accessKeyId: string) => Buffer;
  /** Where the keys of its callers are found, if not in the catalog alone. */
  readonly findAccessKey?: (accessKeyId: string) => Promise<AccessKey | null>;
  readonly metrics: Metrics;
  /** The gateway that this is part of: its requests are those that `metrics` has counted. */
  readonly self?: MemberId;
  /** What operators may do to conditions. */
  readonly failover: Failover;
  /** What `locate` searches with. */
  readonly finder?: NodeFinder;
  /** Resync, scrub and repairs, as operators see them. */
  /** What the lifecycle job has done. */
  readonly lifecycle?: () => LifecycleFigures | null;
  readonly replication?: ReplicationService;
  /** Growing and shrinking. */
  readonly pairs?: PairsService;
  /** Of buckets between directories. */
  readonly moves?: BucketMoves;
  /** SQL of people, and their logins. */
  readonly sql?: PeopleSql;
  /** Making the catalog anew from the nodes' records. */
  readonly rebuild?: RebuildService;
  /** What seals, and what has sealed. */
  readonly keyring?: Keyring;
  /** The change feed. */
  readonly feed?: ChangeFeed;
  /** Queues of webhooks, and dead letters. */
  readonly notifications?: NotificationsAdmin;
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: TlsFiles;
  readonly log: Logger;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

const READY_MS = 1_000;
const CONNECTIONS_MAX = 128;
const HTTP_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 16_384,
};

/** @throws when the port cannot be opened or the TLS files do not load */
export async function createAdminServer(options: AdminOptions): Promise<AdminServer> {
  const { tls, listen, log } = options;
  const app = adminApp(options);
  const { server, unfollow } = tls ? tlsServer(app, tls, log) : plainServer(app);
  server.maxConnections = CONNECTIONS_MAX;
  await opened(server, listen);
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      unfollow();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Opened {
  readonly server: Server;
  readonly unfollow: () => void;
}

const plainServer = (app: Express): Opened => ({
  server: createHttpServer(HTTP_LIMITS, app),
  unfollow: () => {},
});

function tlsServer(app: Express, files: TlsFiles, log: Logger): Opened {
  const server = createHttpsServer({ ...HTTP_LIMITS, ...readTlsFiles(files) }, app);
  return { server, unfollow: followTlsFiles(server, files, log).stop };
}

function opened(server: Server, listen: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen.port, listen.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function adminApp(options: AdminOptions): Express {
  const { catalog, clock, metrics, openSecret, log, notifications } = options;
  const findAccessKey = options.findAccessKey ?? ((id) => catalog.findAccessKey(id));
  const status = () => collectStatus({ ...options, members: () => withSelf(options) });
  const changes = options.feed ? createChanges({ feed: options.feed, clock }) : null;
  metrics.follow(status, clock, {
    replication: () => options.replication?.figures() ?? null,
    lifecycle: () => options.lifecycle?.() ?? null,
    consumers: async () => (await changes?.consumers()) ?? [],
    ...(notifications && {
      notifications: async () => ({
        report: await notificationsReport(notifications, clock),
        sent: notifications.figures(),
      }),
    }),
  });
  const accounts = createAccounts({ catalog, sealSecret: options.sealSecret });
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple');

  app.get('/-/live', (_req, res) => {
    res.type('text').send('live\n');
  });
  app.get('/-/ready', async (_req, res) => {
    const ready = await within(clock, READY_MS, catalog.status()).then(
      (pairs) => pairs.every((pair) => pair.writable),
      () => false,
    );
    res
      .status(ready ? 200 : 503)
      .type('text')
      .send(ready ? 'ready\n' : 'a directory takes no writes\n');
  });
  app.get('/metrics', async (_req, res) => {
    const { type, text } = await metrics.page();
    res.type(type).send(text);
  });
  const usage = createUsageService(catalog);
  const locate = (query: LocateQuery) => locateObject(options, query);
  const routes = adminRoutes({
    accounts,
    policies: createPolicies(catalog),
    usage,
    catalog,
    status,
    locate,
    failover: options.failover,
    ...(options.conditions ? { verify: createVerify({ ...options, conditions: options.conditions }) } : {}),
    ...(options.keyring ? { reseal: createReseal({ catalog, keyring: options.keyring }) } : {}),
    ...(options.replication ? { replication: options.replication } : {}),
    ...(options.pairs ? { pairs: options.pairs } : {}),
    ...(options.moves ? { moves: options.moves } : {}),
    ...(options.sql ? { sql: createSqlService(options.sql, log) } : {}),
    ...(options.rebuild ? { rebuild: options.rebuild } : {}),
    ...(changes ? { changes } : {}),
    ...(notifications ? { notifications: { ...notifications, clock } } : {}),
  });
  app.use(ADMIN_PREFIX, requireRoot({ findAccessKey, openSecret, clock }), routes);
  app.use((req) => {
    throw new AdminError('NotFound', `there is nothing at ${req.path}`);
  });

  const onError: ErrorRequestHandler = (error, req, res, _next) => {
    const answer = asAdminError(error);
    if (answer.status >= 500)
      log.warn({ err: error, method: req.method, path: req.path }, 'admin request failed');
    if (res.headersSent) {
      res.destroy();
      return;
    }
    // A body that was not read to its end must not be taken for the next request.
    if (!req.complete) res.set('Connection', 'close');
    res.status(answer.status).json({ code: answer.code, message: answer.message });
  };
  app.use(onError);
  return app;
}

/** What the supervisor knows of the members, and what this gateway knows of itself. */
function withSelf({ members, self, metrics }: AdminOptions): readonly MemberState[] {
  if (self === undefined) return members();
  const known = members();
  const own = {
    ...known.find((m) => m.id === self),
    id: self,
    pid: process.pid,
    requests: metrics.requests(),
  };
  return [...known.filter((m) => m.id !== self), own];
}

function asAdminError(error: unknown): AdminError {
  if (error instanceof AdminError) return error;
  if (error instanceof CatalogUnavailable) {
    return new AdminError('CatalogUnavailable', 'the directory does not answer; try again', { cause: error });
  }
  // Express refuses paths that do not decode.
  if (error instanceof URIError) return new AdminError('InvalidRequest', 'the path is not valid UTF-8');
  return new AdminError('Internal', 'something went wrong here; the log says what', { cause: error });
}
