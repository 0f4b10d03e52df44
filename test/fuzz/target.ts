/**
 * The S3 port under fuzz: in process, over the models, told who asks by a header. `exchange` sends bytes as they are and
 * reads whole answers; `judge` says what is wrong with one, whatever was asked; `rest` says what is left when all is over.
 */
import { createSecretKey } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePayloadHash } from '../../src/identity/sigv4/payload.ts';
import type { ServerLimits } from '../../src/s3api/server.ts';
import { parseXml } from '../../src/s3api/xml-reader.ts';
import { headerReaders, type S3Front, startS3Front } from '../model/s3-front.ts';
import { oneRequest } from './requests.ts';

/** Texts are latin1: one character is one byte of the wire. Plain data, so that a case can be kept in a file. */
export interface FuzzCase {
  readonly bytes: string;
  /** Methods of the requests in it, in order, as far as they are known. */
  readonly methods: readonly string[];
  /** Where the first request's answer is 200, this is read there afterwards. */
  readonly kept?: { readonly path: string; readonly body: string };
  /** A key that nobody may have asked for. */
  readonly never?: string;
}

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}
export interface Exchange {
  readonly answers: readonly Answer[];
  /** What came and is no whole answer. */
  readonly rest: string;
}

/** What signs chunks of aws-chunked bodies here. */
export const CHUNK_SEED = {
  signingKey: createSecretKey(Buffer.from('fuzz')),
  seedSignature: '0'.repeat(64),
  scope: '20260101/us-east-1/s3/aws4_request',
  timestamp: '20260101T000000Z',
};

const ANSWER_MS = 10_000;
/** No server says anything by itself: who is silent for so long waits for more. */
const QUIET_MS = 60;

export interface FuzzTarget {
  readonly front: S3Front;
  exchange(c: FuzzCase, splits?: readonly number[]): Promise<Exchange>;
  /** Sends it, and throws with what is wrong. */
  run(c: FuzzCase): Promise<void>;
  /** Throws where anything is left: sockets, requests, errors of ours in the log. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

export async function startTarget(limits: ServerLimits = {}, stallMs = 5_000): Promise<FuzzTarget> {
  const plain = headerReaders();
  const front = await startS3Front({
    limits,
    drainIdleMs: 50,
    readers: {
      ...headerReaders({ stallMs }),
      authenticate: async (request) => {
        const hash = request.headers['x-amz-content-sha256']?.join(',').trim();
        const known = await plain.authenticate(request);
        return { ...known, payload: hash ? parsePayloadHash(hash, CHUNK_SEED) : known.payload };
      },
    },
  });
  for (const path of ['/fuzz', '/versioned', '/kept', '/others']) await front.request('PUT', path);
  await front.request('PUT', '/versioned?versioning', {
    body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
  });
  await front.request('PUT', '/fuzz/key', { body: 'hello' });
  const exchange = (c: FuzzCase, splits: readonly number[] = []) => send(front.port, c, splits);
  const base = socketsOpen();
  let cases = 0;
  return {
    front,
    exchange,
    run: async (c) => {
      const before = front.logged().length;
      const { answers, rest } = await exchange(c);
      if (rest !== '') throw new Error(`no whole answer: ${JSON.stringify(rest.slice(0, 400))}`);
      for (const answer of answers) judge(answer);
      const said = front.logged().slice(before);
      if (said.includes('"level":50')) throw new Error(`an error was logged: ${said.slice(0, 2_000)}`);
      if (c.never !== undefined && said.includes(`"key":"${c.never}`))
        throw new Error(`${c.never} was asked for`);
      if (c.kept && answers[0]?.status === 200) await verifyKept(exchange, c.kept);
      if (++cases % 50 === 0) await works(front);
    },
    rest: async () => {
      await works(front);
      const until = performance.now() + ANSWER_MS;
      while ((socketsOpen() > base || front.underWay() > 0) && performance.now() < until) await sleep(20);
      if (front.underWay() > 0) throw new Error(`${front.underWay()} requests have not ended`);
      // undici keeps one for the requests of `works`.
      if (socketsOpen() > base + 2) throw new Error(`${socketsOpen() - base} sockets are left`);
      const pending = [...front.dosm.blobs.values()].filter((blob) => blob.state === 'pending');
      if (pending.length > 0)
        throw new Error(`${pending.length} blobs were written, and neither confirmed nor discarded`);
      if (front.logged().includes('"level":50')) throw new Error('errors were logged');
    },
    close: () => front.close(),
  };
}

const socketsOpen = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

/** Somebody else is served as if nothing had been. */
async function works(front: S3Front): Promise<void> {
  const put = await front.request('PUT', '/others/alive', { body: 'alive' });
  const got = await front.request('GET', '/others/alive');
  if (put.status !== 200 || got.text !== 'alive')
    throw new Error(`others get ${put.status}, ${got.status}: ${put.text}`);
}

async function verifyKept(
  exchange: (c: FuzzCase) => Promise<Exchange>,
  { path, body }: { path: string; body: string },
): Promise<void> {
  const { answers } = await exchange(oneRequest({ method: 'GET', path }));
  const [got] = answers;
  if (got?.status !== 200 || got.body !== body)
    throw new Error(
      `kept ${got?.status} ${JSON.stringify(got?.body.slice(0, 200))}, not ${JSON.stringify(body.slice(0, 200))}`,
    );
}

/** What no answer may be, to whatever request. */
export function judge({ status, head, body }: Answer): void {
  const said = `${head}\n${body}`.slice(0, 1_000);
  if ((status >= 500 && status !== 501) || status < 100) throw new Error(`answered ${said}`);
  for (const line of head.split('\r\n').slice(1))
    if (!/^[\w-]+: ?[^\0\r\n]*$/.test(line))
      throw new Error(`a header is ${JSON.stringify(line)} in ${said}`);
  if (status < 400 || body === '') return;
  if (!/<Code>\w+<\/Code><Message>[^<]/.test(body)) throw new Error(`an error without code: ${said}`);
  parseXml(Buffer.from(body, 'latin1').toString('utf8'));
}

function send(port: number, c: FuzzCase, splits: readonly number[]): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let received = '';
    let quiet: NodeJS.Timeout | undefined;
    let isDone = false;
    const deadline = setTimeout(() => finish(new Error('no answer in time')), ANSWER_MS);
    const finish = (error?: Error): void => {
      if (isDone) return;
      isDone = true;
      clearTimeout(deadline);
      clearTimeout(quiet);
      socket.destroy();
      if (error) reject(error);
      else resolve(readAnswers(received, c.methods));
    };
    const wait = (): void => {
      clearTimeout(quiet);
      const { answers, rest } = readAnswers(received, c.methods);
      if (rest === '' && answers.length >= c.methods.length && c.methods.length > 0) {
        finish();
        return;
      }
      // Silent, and not all answered: it waits for more of a request, and is told that there is none.
      quiet = setTimeout(() => socket.end(), QUIET_MS);
    };
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      wait();
    });
    socket.on('error', () => finish());
    socket.on('close', () => finish());
    socket.on('connect', async () => {
      const bytes = Buffer.from(c.bytes, 'latin1');
      let at = 0;
      for (const to of [
        ...splits.map((n) => n % (bytes.length + 1)).toSorted((a, b) => a - b),
        bytes.length,
      ]) {
        if (socket.destroyed) return;
        if (to > at) socket.write(bytes.subarray(at, to));
        at = Math.max(at, to);
        if (splits.length > 0) await sleep(0);
      }
      wait();
    });
  });
}

function readAnswers(received: string, methods: readonly string[]): Exchange {
  const answers: Answer[] = [];
  let at = 0;
  while (at < received.length) {
    const end = received.indexOf('\r\n\r\n', at);
    if (end < 0) break;
    const head = received.slice(at, end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? Number.NaN);
    if (status === 100) {
      at = end + 4;
      continue;
    }
    const length = bodyLength(received.slice(end + 4), head, status, methods[answers.length] ?? 'GET');
    if (length === null || end + 4 + length > received.length) break;
    const raw = received.slice(end + 4, end + 4 + length);
    answers.push({ status, head, body: /^transfer-encoding: chunked/im.test(head) ? unchunked(raw) : raw });
    at = end + 4 + length;
  }
  return { answers, rest: received.slice(at) };
}

/** null: not all of it is there. */
function bodyLength(rest: string, head: string, status: number, method: string): number | null {
  // Node answers what it cannot parse with a body, whatever the method.
  const isBare = !/^x-amz-request-id:/im.test(head);
  if ((method === 'HEAD' && !isBare) || status === 204 || status === 304) return 0;
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length !== undefined) return Number(length);
  if (!/^transfer-encoding: chunked/im.test(head)) return 0;
  const end = rest.indexOf('0\r\n\r\n');
  return end < 0 ? null : end + 5;
}

const unchunked = (raw: string): string => raw.replace(/(?:^|\r\n)[0-9a-f]+\r\n/gi, '').replace(/\r\n$/, '');
