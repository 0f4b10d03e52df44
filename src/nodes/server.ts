/**
 * A storage node: bare node:http over a blob store.
 *   data      PUT, GET /v1/blobs/ID; POST /v1/delete                        server/put-blob.ts, get-blob.ts, control.ts
 *             POST /v1/search                                               server/search.ts
 *   control   GET /v1/blobs/ID with purpose=replication; GET /v1/blobs/ID/record, /v1/pending, /v1/inventory, /v1/status;
 *             POST /v1/confirm                                              server/control.ts
 *             POST /v1/condition, /v1/catalog, /v1/pull, /v1/drop, /v1/check, /v1/damage/forget, /v1/scrub;
 *             GET /v1/digests, /v1/damage                                   server/replication.ts
 *   names     POST /v1/names (admitted like data); control: /v1/names/…, POST /v1/release   server/names.ts
 * Invariants: nothing is routed, read or answered before the request's MAC was verified (a stranger gets an empty 403
 * and a closed connection, whatever they ask for); a data request has no effect unless the node's condition admits it
 * (server/condition.ts); an answer of success is sent after the fsync.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { Epoch, MemberId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { StoreError } from './blob-store/blob-store.ts';
import { LocalStore } from './blob-store/local-store.ts';
import { Puller } from './puller.ts';
import {
  AUTH_HEADER,
  BODY_DIGEST_HEADER,
  clusterKey,
  EPOCH_HEADER,
  INTENT_HEADER,
  verifyRequest,
} from './request-auth.ts';
import { SCRUB_BYTES_PER_SECOND, SCRUB_ROUND_MS, Scrub } from './scrub.ts';
import { BodyEndedEarly } from './server/byte-taker.ts';
import { type Admission, NodeCondition } from './server/condition.ts';
import type { ControlContext } from './server/control.ts';
import { type Exchange, type Refusal, Refused, refuse } from './server/exchange.ts';
import { type Route, routeOf } from './server/routes.ts';
import { type NodeSearchOptions, openNodeSearch } from './server/search.ts';

export interface NodeOptions {
  readonly member: MemberId;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly dataDir: string;
  readonly secret: Buffer;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly clock: Clock;
  /** Kept free on the disk, for the index and for deletes. Default 64 MiB. */
  readonly reserveBytes?: number;
  /** Threads of libuv's pool in this process (UV_THREADPOOL_SIZE); half of them may flush at once. Default 4. */
  readonly diskThreads?: number;
  /** Serves from the start, without a setCondition: for stores in which nobody watches the nodes. Default false. */
  readonly admitAtStart?: boolean;
  /** Bytes a second that the scrub reads at most; 0: none. Default 8 MiB. */
  readonly scrubBytesPerSecondMax?: number;
  /** From the end of one round of the scrub to the next. Default 7 days. */
  readonly scrubRoundMs?: number;
  /** Absent: this node answers no searches. */
  readonly search?: NodeSearchOptions;
}

export interface RunningNode {
  readonly port: number;
  /** Stops listening, cuts what is under way (nothing of it was acknowledged) and closes the store. */
  close(): Promise<void>;
}

const RESERVE_BYTES = 64 * 1024 * 1024;
const CONNECTIONS_MAX = 4_096;
const HEADERS_MS = 10_000;
/** Longer than any client's: the client ends idle connections, so that no request meets a closing one. */
const KEEP_ALIVE_MS = 5 * 60_000;
/** Without a byte in either direction: slow S3 clients are the gateway's business and end sooner. */
const IDLE_MS = 15 * 60_000;
/** Until a connection has shown that it is a member's. */
const STRANGER_IDLE_MS = 60_000;
const CLOSE_MS = 5_000;

function refusalOf(error: unknown): { kind: Refusal; epoch?: Epoch | undefined } | null {
  if (error instanceof Refused) return error;
  if (error instanceof StoreError && error.kind !== 'closed') return { kind: error.kind };
  return null;
}

/** @throws {DataFolderError} when the folder is not this node's or in use; and whatever listen() throws */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { member, log, clock } = options;
  const store = await LocalStore.open({
    path: options.dataDir,
    member,
    clock,
    reserveBytes: options.reserveBytes ?? RESERVE_BYTES,
    syncsMax: Math.max(1, Math.floor((options.diskThreads ?? 4) / 2)),
  });
  const context = contextOf(options, store);
  const underWay = new Set<Promise<void>>();
  const server = createNodeServer(options, context, underWay);
  try {
    await listen(server, options);
  } catch (error) {
    await store.close();
    throw error;
  }
  const search = await openNodeSearch(options, context);
  context.scrub.start();
  const sweeping = store.sweep().then(
    (found) => {
      if (found.orphans > 0)
        log.info({ member, orphans: found.orphans }, 'removed files that no record names');
      if (found.missing > 0) log.error({ member, missing: found.missing }, 'blobs whose file is gone');
    },
    (error: unknown) => log.error({ member, err: error }, 'the comparison of files and index failed'),
  );
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    await search.close();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    store.stop();
    const quiet = Promise.all([closed, sweeping, context.scrub.close(), ...underWay]); // the index must not be closed under a request
    const patience = new AbortController();
    await Promise.race([quiet, clock.sleep(CLOSE_MS, patience.signal).catch(() => {})]);
    patience.abort();
    await store.close();
  };
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

interface Context extends ControlContext {
  /** Data requests that are being served. */
  readonly busy: { dataRequests: number };
}

function contextOf(options: NodeOptions, store: LocalStore): Context {
  const { member, secret, clock, log } = options;
  const busy = { dataRequests: 0 };
  const condition = new NodeCondition(store.notes, options.admitAtStart ?? false, (error) =>
    log.warn({ member, err: error }, 'the epoch could not be stored'),
  );
  const scrub = new Scrub({
    store,
    clock,
    log,
    bytesPerSecondMax: options.scrubBytesPerSecondMax ?? SCRUB_BYTES_PER_SECOND,
    roundMs: options.scrubRoundMs ?? SCRUB_ROUND_MS,
    underWay: () => busy.dataRequests,
  });
  const puller = new Puller({ store, secret, clock, log });
  const counters = { requests: 0, controlRequests: 0, refusedRequests: 0 };
  return { store, member, clock, counters, condition, puller, scrub, busy };
}

function createNodeServer(options: NodeOptions, context: Context, underWay: Set<Promise<void>>): Server {
  const server = createServer({
    maxHeaderSize: LIMITS.headerBytesMax,
    headersTimeout: HEADERS_MS,
    requestTimeout: 0, // a body may flow for hours; IDLE_MS bounds silence
    keepAliveTimeout: KEEP_ALIVE_MS,
    requireHostHeader: false, // or Node answers a stranger with a 400 of its own
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = STRANGER_IDLE_MS;
  const key = clusterKey(options.secret);
  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    const serving = serve(req, res, key, options, context).finally(() => underWay.delete(serving));
    underWay.add(serving);
  };
  // Node would answer an Expect header by itself, before anybody has looked at who asks.
  for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, onRequest);
  server.on('clientError', (_, socket) => socket.destroy());
  return server;
}

function listen(server: Server, { port, host }: NodeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, backlog: 1_024 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function serve(
  req: IncomingMessage,
  res: ServerResponse,
  key: ReturnType<typeof clusterKey>,
  options: NodeOptions,
  context: Context,
): Promise<void> {
  res.sendDate = false;
  res.on('error', () => {});
  const x = identify(req, res, key, options);
  if (!x) {
    res.writeHead(403, ['content-length', '0', 'connection', 'close']);
    res.end(() => req.socket.destroy());
    return;
  }
  req.socket.setTimeout(IDLE_MS);
  const { route, id } = routeOf(x);
  if (!route) return refuse(x, 'protocol');
  try {
    if (route.kind !== 'control') await serveData(x, route, id, context);
    else {
      context.counters.controlRequests += 1;
      await route.handle(x, id, context, () => {});
    }
  } catch (error) {
    fail(x, error, options);
  }
}

async function serveData(x: Exchange, route: Route, id: string, context: Context): Promise<void> {
  const { counters, condition, busy } = context;
  const lastResort = x.req.method === 'GET' && x.query.get('last-resort') === '1';
  let admission: Admission;
  try {
    admission =
      route.kind === 'search' ? condition.admitSearch() : condition.admit({ epoch: x.epoch, lastResort });
  } catch (error) {
    counters.refusedRequests += 1;
    throw error;
  }
  if (route.kind === 'names') {
    counters.controlRequests += 1;
    return await route.handle(x, id, context, admission);
  }
  counters.requests += 1;
  busy.dataRequests += 1;
  try {
    await route.handle(x, id, context, admission);
  } finally {
    busy.dataRequests -= 1;
  }
}

function fail(x: Exchange, error: unknown, { log, member }: NodeOptions): void {
  const refusal = refusalOf(error);
  if (refusal) {
    refuse(x, refusal.kind, refusal.epoch);
    return;
  }
  const peerLeft = error instanceof BodyEndedEarly || x.res.destroyed || x.req.destroyed;
  if (!peerLeft) log.error({ member, err: error, path: x.path }, 'request failed');
  x.req.socket.destroy();
}

/** null for a stranger. */
function identify(
  req: IncomingMessage,
  res: ServerResponse,
  key: ReturnType<typeof clusterKey>,
  { member, clock }: NodeOptions,
): Exchange | null {
  const text = (name: string): string => {
    const value = req.headers[name];
    return typeof value === 'string' ? value : '';
  };
  const target = req.url ?? '';
  const contentLength = Number(text('content-length') || '0');
  const intent = text(INTENT_HEADER);
  const bodyDigest = text(BODY_DIGEST_HEADER);
  const epochText = text(EPOCH_HEADER);
  const epoch = /^\d{1,15}$/.test(epochText) ? (Number(epochText) as Epoch) : null;
  const nonce = verifyRequest(key, clock.now(), text(AUTH_HEADER), {
    member,
    method: req.method ?? '',
    target,
    contentLength,
    epoch: epochText,
    intent,
    bodyDigest,
  });
  if (nonce === null) return null;
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  return { req, res, key, nonce, path, query, contentLength, intent, bodyDigest, epoch };
}
