/**
 * One attempt at a webhook: a POST that is signed as Standard Webhooks says (webhook-id, webhook-timestamp,
 * webhook-signature), with a deadline over all of it. Addresses are judged after their names have been resolved, at every
 * connection; redirects are not followed; of an answer no more is read than is needed to know that it is whole.
 */
import { createHmac } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import type { Clock } from '../../base/clock.ts';
import { type OutgoingRules, problemOfAddress } from './outgoing-addresses.ts';

export interface WebhookTarget {
  readonly name: string;
  readonly url: string;
  readonly timeoutMs: number;
  /** Requests at once. */
  readonly concurrency: number;
  /** After which an event that is not taken is given up. */
  readonly retryForMs: number;
  readonly secret?: Buffer;
  readonly bearer?: string;
}
export interface Message {
  readonly event: string;
  readonly body: string;
}
export type Attempt =
  | { readonly outcome: 'delivered' }
  /** `refused`: this one will not be taken however often it is sent; else it is the target that cannot now. */
  | {
      readonly outcome: 'failed';
      readonly error: string;
      readonly refused: boolean;
      readonly retryAfterMs?: number;
    };
export interface WebhookClient {
  send(message: Message, signal: AbortSignal): Promise<Attempt>;
  close(): Promise<void>;
}

const ANSWER_BYTES_MAX = 64 * 1024;
const RETRY_AFTER_MS_MAX = 300_000;
/** Of refusals that may end when somebody mends the receiver or its rights. */
const PASSING: ReadonlySet<number> = new Set([401, 403, 404, 407, 408, 409, 421, 423, 425, 429]);

export const webhookSignature = (secret: Buffer, id: string, timestamp: string, body: string): string =>
  `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`;

export interface WebhookClientOptions {
  readonly target: WebhookTarget;
  readonly rules: OutgoingRules;
  readonly clock: Clock;
  /** As dns.lookup. */
  readonly lookup?: LookupFunction;
}

export function createWebhookClient({
  target,
  rules,
  clock,
  lookup = systemLookup as LookupFunction,
}: WebhookClientOptions): WebhookClient {
  const url = new URL(target.url);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const literalProblem = isIP(host) === 0 ? null : problemOfAddress(host, rules);
  const agent = new Agent({
    connections: target.concurrency,
    pipelining: 1,
    keepAliveTimeout: 4_000,
    connect: { lookup: checkedLookup(lookup, rules), timeout: target.timeoutMs },
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 16 * 1024,
  });

  const headersOf = ({ event, body }: Message): Record<string, string> => {
    const timestamp = String(Math.floor(clock.now() / 1000));
    return {
      'content-type': 'application/json',
      'user-agent': 'Antipode',
      'webhook-id': event,
      'webhook-timestamp': timestamp,
      ...(target.secret && { 'webhook-signature': webhookSignature(target.secret, event, timestamp, body) }),
      ...(target.bearer !== undefined && { authorization: `Bearer ${target.bearer}` }),
    };
  };

  async function post(message: Message, signal: AbortSignal): Promise<Attempt> {
    const { statusCode, headers, body } = await request(url, {
      ...{ method: 'POST', dispatcher: agent, signal, headers: headersOf(message), body: message.body },
    });
    // An answer that is cut may be of a receiver that has done nothing yet.
    let bytes = 0;
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes > ANSWER_BYTES_MAX) {
        body.destroy();
        break;
      }
    }
    if (statusCode >= 200 && statusCode < 300) return { outcome: 'delivered' };
    const refused = statusCode >= 400 && statusCode < 500 && !PASSING.has(statusCode);
    const after = Number(headers['retry-after']);
    return {
      ...{ outcome: 'failed', error: `the receiver answered ${statusCode}`, refused },
      ...(after > 0 && { retryAfterMs: Math.min(after * 1000, RETRY_AFTER_MS_MAX) }),
    };
  }

  return {
    async send(message, signal) {
      if (literalProblem !== null) return failed(literalProblem);
      const done = new AbortController();
      const over = new AbortController();
      const stop = () => over.abort(new Error('stopped'));
      signal.addEventListener('abort', stop, { once: true });
      const deadline = clock.sleep(target.timeoutMs, done.signal).then(
        () => over.abort(new Error(`no whole answer within ${target.timeoutMs} ms`)),
        () => {},
      );
      try {
        signal.throwIfAborted();
        return await post(message, over.signal);
      } catch (error) {
        return failed(over.signal.aborted ? (over.signal.reason as Error).message : errorText(error));
      } finally {
        done.abort();
        signal.removeEventListener('abort', stop);
        await deadline;
      }
    },
    close: () => agent.destroy(),
  };
}

const failed = (error: string): Attempt => ({ outcome: 'failed', error, refused: false });

function errorText(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === undefined ? String(message) : `${code}: ${message}`;
}

/** Hands on only the addresses that may be connected to. */
export function checkedLookup(lookup: LookupFunction, rules: OutgoingRules): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const addresses = Array.isArray(found) ? found : [];
      if (error) return callback(error, '');
      const allowed = addresses.filter(({ address }) => problemOfAddress(address, rules) === null);
      const [first] = allowed;
      if (!first) {
        const [refused] = addresses;
        const why = refused ? problemOfAddress(refused.address, rules) : `${hostname} has no address`;
        return callback(Object.assign(new Error(why ?? ''), { code: 'ENOTALLOWED' }), '');
      }
      if (options.all) return callback(null, allowed);
      return callback(null, first.address, first.family);
    });
  };
}
