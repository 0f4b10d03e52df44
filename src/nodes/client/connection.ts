/**
 * The pools of connections to one node, and single requests over them. Two pools: exchanges that end by themselves
 * (control, blobs of one chunk) share few connections; streams, which live as long as a slow S3 client, have their own
 * so that they never stand in the way. Deadlines are the caller's: undici's own are off.
 */
import type { KeyObject } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { type Dispatcher, Pool } from 'undici';
import type { Clock } from '../../base/clock.ts';
import type { Epoch, MemberId } from '../../base/ids.ts';
import { digest } from '../digest-tree.ts';
import { NodeError } from '../protocol.ts';
import {
  AUTH_HEADER,
  BODY_DIGEST_HEADER,
  clusterKey,
  EPOCH_HEADER,
  INTENT_HEADER,
  newNonce,
  signRequest,
} from '../request-auth.ts';
import { Life } from './deadline.ts';

const EXCHANGE_CONNECTIONS_MAX = 64;
const STREAM_CONNECTIONS_MAX = 1_024;
/** Under way or waiting for a connection; more is a node that does not keep up. */
const CALLS_MAX = 8_192;
const IDLE_MS = 60_000;

export interface ConnectionOptions {
  readonly member: MemberId;
  readonly address: string;
  readonly port: number;
  readonly secret: Buffer;
  readonly connectMs: number;
  readonly clock: Clock;
}

export interface RequestParts {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly target: string;
  readonly contentLength?: number;
  readonly intent?: string;
  readonly epoch?: Epoch;
  /** A control request's body, which is signed. */
  readonly signedBody?: Buffer;
}

export interface SignedRequest {
  readonly nonce: string;
  readonly options: Dispatcher.DispatchOptions;
}

type Body = Buffer | Buffer[] | AsyncIterable<Buffer>;
/** undici takes iterables, its types for dispatch() do not say so. */
type UndiciBody = Dispatcher.DispatchOptions['body'];

export class Connection {
  readonly member: MemberId;
  readonly key: KeyObject;
  readonly #exchanges: Pool;
  readonly #streams: Pool;
  /** Of the node, on any of its connections. */
  readonly life: Life;
  readonly #clock: Clock;
  readonly #origin: string;
  readonly #calls = new Set<Dispatcher.DispatchHandler>();
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.member = options.member;
    this.key = clusterKey(options.secret);
    this.#clock = options.clock;
    this.life = new Life(options.clock);
    const host = options.address.includes(':') ? `[${options.address}]` : options.address;
    this.#origin = `http://${host}:${options.port}`;
    const pool = (connections: number): Pool =>
      new Pool(this.#origin, {
        connections,
        pipelining: 1,
        headersTimeout: 0,
        bodyTimeout: 0,
        keepAliveTimeout: IDLE_MS,
        keepAliveMaxTimeout: IDLE_MS,
        connect: (_, done) => openSocket(options, done),
      });
    this.#exchanges = pool(EXCHANGE_CONNECTIONS_MAX);
    this.#streams = pool(STREAM_CONNECTIONS_MAX);
  }

  sign(parts: RequestParts, bodyOf?: (nonce: string) => Body): SignedRequest {
    const nonce = newNonce();
    const { method, target, signedBody } = parts;
    const contentLength = parts.contentLength ?? signedBody?.length ?? 0;
    const epoch = parts.epoch === undefined ? '' : String(parts.epoch);
    const intent = parts.intent ?? '';
    const bodyDigest = signedBody ? digest(signedBody).toString('hex') : '';
    const facts = { member: this.member, method, target, contentLength, epoch, intent, bodyDigest };
    const headers = [AUTH_HEADER, signRequest(this.key, this.#clock.now(), nonce, facts)];
    if (epoch) headers.push(EPOCH_HEADER, epoch);
    if (intent) headers.push(INTENT_HEADER, intent);
    if (bodyDigest) headers.push(BODY_DIGEST_HEADER, bodyDigest);
    if (contentLength > 0) headers.push('content-length', String(contentLength));
    const body = (bodyOf?.(nonce) ?? signedBody ?? null) as unknown as UndiciBody;
    return { nonce, options: { origin: this.#origin, path: target, method, headers, body: body ?? null } };
  }

  /** The handler says left() when it is done. @throws {NodeError} */
  dispatch(kind: 'exchange' | 'stream', request: SignedRequest, handler: Dispatcher.DispatchHandler): void {
    if (this.#closed) throw new NodeError('aborted', this.member, 'the client is closed');
    if (this.#calls.size >= CALLS_MAX) throw new NodeError('timeout', this.member, 'too many calls wait');
    this.#calls.add(handler);
    (kind === 'exchange' ? this.#exchanges : this.#streams).dispatch(request.options, handler);
  }

  left(handler: Dispatcher.DispatchHandler): void {
    this.#calls.delete(handler);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const reason = new NodeError('aborted', this.member, 'the client was closed');
    await Promise.all([this.#exchanges.destroy(reason), this.#streams.destroy(reason)]);
  }
}

/** A connector of our own because undici's connect timeout ticks in steps of 500 ms. */
function openSocket(
  { member, address, port, connectMs }: ConnectionOptions,
  done: (
    ...args: [error: Error, socket: null] | [error: null, socket: ReturnType<typeof connectSocket>]
  ) => void,
): void {
  const socket = connectSocket({
    host: address,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  });
  let settled = false;
  const settle = (error: Error | null): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    socket.off('connect', onConnect).off('error', settle);
    if (!error) {
      done(null, socket);
      return;
    }
    socket.on('error', () => {});
    socket.destroy();
    done(error, null);
  };
  const onConnect = (): void => settle(null);
  const late = (): void =>
    settle(new NodeError('unreachable', member, `no connection within ${connectMs} ms`));
  // Timers run before sockets are looked at: the connection may be there already.
  const timer = setTimeout(() => setImmediate(late), connectMs);
  socket.once('connect', onConnect).once('error', settle);
}
