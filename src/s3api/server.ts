/**
 * The S3 port: Express over node:http or node:https, with limits on headers, time, connections and concurrent requests.
 * Load beyond the bound is shed with 503 SlowDown before anything is parsed or signed. Health answers on `/-/live` and
 * `/-/ready` where the Host is not a bucket's. Certificate files are read again when they change.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import express from 'express';
import type { Logger } from 'pino';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { LIMITS } from '../base/limits.ts';
import { followTlsFiles, readTlsFiles, type TlsFiles } from '../base/tls-files.ts';
import { originOf } from './access/origin.ts';
import { type ProxyRules, type ProxySettings, proxyRules } from './access/proxies.ts';
import { S3Error } from './errors.ts';
import { createQueryFront, type IdentityApi, isQueryRequest } from './iam/query-front.ts';
import type { OperationRow, Services } from './operation.ts';
import { createPipeline, type FinishedRequest } from './pipeline.ts';
import { connectionErrorResponse } from './respond.ts';
import { createRouter } from './router.ts';
import type { RequestReaders } from './run-request.ts';
import { OPERATIONS } from './table.ts';
import { bucketOfHost } from './target.ts';

export interface ServerLimits {
  /** Requests under way at once; more are shed with SlowDown. */
  readonly requestsMax?: number;
  /** Open connections; more are closed at once. */
  readonly connectionsMax?: number;
  readonly requestsPerSocketMax?: number;
  /** From the connection to the end of the headers. */
  readonly headersMs?: number;
  /** A connection on which nothing moves, in the middle of a request. */
  readonly idleMs?: number;
  /** A connection between two requests. SDKs keep theirs for a minute or so. */
  readonly keepAliveMs?: number;
  /** Requests of one client address in a second; 0 (the default) for no limit. */
  readonly requestsPerSecondMax?: number;
  /** How long close() waits for requests under way. */
  readonly drainMs?: number;
}

export interface S3ServerOptions {
  readonly services: Services;
  readonly readers: RequestReaders;
  /** Absent: no IAM and no STS on this port. */
  readonly identityApi?: IdentityApi;
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: TlsFiles;
  /** Domains under which `bucket.domain` names a bucket; `localhost` is always one. */
  readonly domains?: readonly string[];
  /** Domains under which `bucket.domain` is the bucket's website. */
  readonly websiteDomains?: readonly string[];
  /** Names and proxies in front of this port. */
  readonly proxies?: ProxySettings;
  readonly limits?: ServerLimits;
  readonly log: Logger;
  /** Another table than the store's own, for tests. */
  readonly operations?: readonly OperationRow[];
  readonly slowBodyMs?: number;
  /** How much of a body that nobody reads is dropped, and for how long nothing may come, before the connection ends. */
  readonly drainBytesMax?: number;
  readonly drainIdleMs?: number;
  /** Whether this gateway can serve; asked by `/-/ready`. */
  readonly ready?: () => Promise<boolean>;
  readonly onFinished?: (finished: FinishedRequest) => void;
}

export interface S3Server {
  readonly port: number;
  /** Requests at this moment. */
  underWay(): number;
  /** Reads the certificate files again (also done when they change). A bad pair is logged and the old one kept. */
  reloadTls(): void;
  /** Requests under way may end within `drainMs`; new ones are refused. */
  close(): Promise<void>;
}

const DEFAULTS: Required<ServerLimits> = {
  requestsMax: 1_000,
  connectionsMax: 10_000,
  requestsPerSocketMax: 0,
  headersMs: 20_000,
  idleMs: 120_000,
  keepAliveMs: 65_000,
  requestsPerSecondMax: 0,
  drainMs: 10_000,
};

export async function createS3Server(o: S3ServerOptions): Promise<S3Server> {
  const limits = { ...DEFAULTS, ...o.limits };
  const proxies = proxyRules(o.proxies);
  const named = ['localhost', ...(o.domains ?? []), ...proxies.publicHosts.map((host) => host.name)];
  const domains = [...new Set(named.map((domain) => domain.toLowerCase()))];
  const state = { underWay: 0, closing: false };
  const websiteDomains = (o.websiteDomains ?? []).map((domain) => domain.toLowerCase());
  const app = createApp(o, limits, { domains, websiteDomains, proxies }, state);
  const server = openServer(o, limits);
  server.on('request', app);
  // Without these listeners node would answer `100 Continue` itself, before anybody is known to be allowed to write.
  server.on('checkContinue', app);
  server.on('checkExpectation', app);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else socket.end(connectionErrorResponse(error.code));
  });
  server.maxConnections = limits.connectionsMax;
  server.maxRequestsPerSocket = limits.requestsPerSocketMax;
  server.setTimeout(limits.idleMs);
  const { port, host } = o.listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const tls =
    o.tls && 'setSecureContext' in server ? followTlsFiles(server as TlsServer, o.tls, o.log) : null;
  return {
    port: (server.address() as AddressInfo).port,
    underWay: () => state.underWay,
    reloadTls: () => tls?.reload(),
    close: async () => {
      tls?.stop();
      state.closing = true;
      await closeServer(server, limits.drainMs);
    },
  };
}

interface Names {
  readonly domains: readonly string[];
  readonly websiteDomains: readonly string[];
  readonly proxies: ProxyRules;
}

function createApp(
  o: S3ServerOptions,
  limits: Required<ServerLimits>,
  names: Names,
  state: { underWay: number; closing: boolean },
): (req: express.Request, res: express.Response) => void {
  const pipeline = createPipeline({ ...o, router: createRouter(o.operations ?? OPERATIONS), ...names });
  const queries = o.identityApi && createQueryFront({ ...o, ...names, api: o.identityApi });
  const rate =
    limits.requestsPerSecondMax > 0
      ? new RateLimiterMemory({ points: limits.requestsPerSecondMax, duration: 1 })
      : null;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.use(healthOf(o, names, state));
  const serve = async (req: IncomingMessage, res: ServerResponse) => {
    if (state.closing) res.setHeader('connection', 'close');
    const refusal =
      state.underWay >= limits.requestsMax || !(await withinRate(rate, req, names.proxies))
        ? slowDown()
        : undefined;
    state.underWay++;
    try {
      const front = queries && isQueryRequest(req, names) ? queries : pipeline;
      await front(req, res, refusal);
    } finally {
      state.underWay--;
    }
  };
  app.use(serve);
  // Targets in which Express finds no path (`http://`) pass its handlers by, and would get a page of its own.
  return (req, res) => app(req, res, () => serve(req, res));
}

const slowDown = (): S3Error => new S3Error('SlowDown', { headers: { 'retry-after': '1' } });

async function withinRate(
  rate: RateLimiterMemory | null,
  req: IncomingMessage,
  proxies: ProxyRules,
): Promise<boolean> {
  if (!rate) return true;
  return rate.consume(originOf(req, proxies).ip).then(
    () => true,
    () => false,
  );
}

function healthOf(o: S3ServerOptions, names: Names, state: { closing: boolean }): express.RequestHandler {
  const named = [...names.domains, ...names.websiteDomains];
  return (req, res, next) => {
    const isHealth = (req.method === 'GET' || req.method === 'HEAD') && req.url.startsWith('/-/');
    if (!isHealth || bucketOfHost(originOf(req, names.proxies).host, named) !== null) return next();
    const path = req.url.split('?', 1)[0];
    if (path === '/-/live') return void res.status(200).type('text').send('live\n');
    if (path !== '/-/ready') return next();
    const asked = state.closing ? Promise.resolve(false) : (o.ready?.() ?? Promise.resolve(true));
    asked
      .catch(() => false)
      .then((ready) => {
        res
          .status(ready ? 200 : 503)
          .type('text')
          .send(ready ? 'ready\n' : 'not ready\n');
      });
  };
}

function openServer(o: S3ServerOptions, limits: Required<ServerLimits>): Server | TlsServer {
  const options = {
    maxHeaderSize: LIMITS.headerBytesMax,
    headersTimeout: limits.headersMs,
    requestTimeout: LIMITS.requestMsMax,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersMs),
    highWaterMark: LIMITS.chunkBytes,
    noDelay: true,
  };
  if (!o.tls) return createServer(options);
  return createTlsServer({ ...options, ...readTlsFiles(o.tls) });
}

async function closeServer(server: Server | TlsServer, drainMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const force = setTimeout(() => server.closeAllConnections(), drainMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(force);
}
