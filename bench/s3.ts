/** The five requests that are measured, over a pool of kept connections. An answer that is not expected is an error. */
import { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { signRequest } from '../src/identity/sign.ts';
import type { Content } from './content.ts';
import type { BenchOptions } from './options.ts';

export interface S3 {
  createBucket(): Promise<void>;
  deleteBucket(): Promise<void>;
  put(key: string, content: Content, index: number): Promise<void>;
  /** Resolves with the number of bytes received. */
  get(key: string, content: Content, index: number, o: { absentIsFine: boolean }): Promise<number>;
  head(key: string, o: { absentIsFine: boolean }): Promise<void>;
  /** Resolves with the number of bytes of the answer. */
  list(prefix: string, max: number): Promise<number>;
  delete(key: string): Promise<void>;
  close(): Promise<void>;
}

export class S3Failure extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const REQUEST_MS = 120_000;
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

type Answer = Dispatcher.ResponseData;
type Method = 'GET' | 'PUT' | 'HEAD' | 'DELETE';
interface Sent {
  readonly query?: string;
  readonly sha256?: string;
  readonly length?: number;
  readonly body?: readonly Buffer[];
}

export function createS3(options: BenchOptions, connections: number): S3 {
  const { endpoint, bucket, region, verify, signPayload } = options;
  const credentials = { accessKeyId: options.accessKeyId, secretAccessKey: options.secretKey };
  const limits = { headersTimeout: REQUEST_MS, bodyTimeout: REQUEST_MS, connect: { timeout: 5_000 } };
  const pool = new Pool(endpoint.origin, { connections, pipelining: 1, ...limits });

  const send = async (method: Method, suffix: string, sent: Sent = {}): Promise<Answer> => {
    const path = `/${bucket}${suffix}`;
    const target = sent.query === undefined ? path : `${path}?${sent.query}`;
    const { headers } = signRequest({
      method,
      path,
      ...(sent.query === undefined ? {} : { query: sent.query }),
      headers: {
        host: endpoint.host,
        ...(sent.length === undefined ? {} : { 'content-length': String(sent.length) }),
      },
      payload: { hash: sent.sha256 ?? EMPTY_SHA256 },
      credentials,
      region,
      service: 's3',
      nowMs: Date.now(),
    });
    return await pool.request({ method, path: target, headers, body: bodyOf(sent.body) });
  };
  const expect = async (answer: Answer, ...statuses: number[]) => {
    if (statuses.includes(answer.statusCode)) return;
    const text = await answer.body.text();
    const code = /<Code>([^<]+)<\/Code>/.exec(text)?.[1] ?? '';
    throw new S3Failure(`${answer.statusCode} ${code}`.trim());
  };
  const drained = async (answer: Answer) => {
    let bytes = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) bytes += chunk.length;
    return bytes;
  };

  return {
    async createBucket() {
      const answer = await send('PUT', '');
      await expect(answer, 200, 409);
      await drained(answer);
    },
    async deleteBucket() {
      const answer = await send('DELETE', '');
      await expect(answer, 204, 404, 409);
      await drained(answer);
    },
    async put(key, content, index) {
      const sha256 = signPayload ? content.sha256(index) : 'UNSIGNED-PAYLOAD';
      const answer = await send('PUT', `/${key}`, {
        sha256,
        length: content.size,
        body: content.body(index),
      });
      await expect(answer, 200);
      await drained(answer);
    },
    async get(key, content, index, { absentIsFine }) {
      const answer = await send('GET', `/${key}`);
      await expect(answer, 200, ...(absentIsFine ? [404] : []));
      if (answer.statusCode === 404 || !verify) return await drained(answer);
      const checker = content.checker(index);
      for await (const chunk of answer.body as AsyncIterable<Buffer>) checker.add(chunk);
      if (!checker.end()) throw new S3Failure('wrong content');
      return content.size;
    },
    async head(key, { absentIsFine }) {
      const answer = await send('HEAD', `/${key}`);
      await expect(answer, 200, ...(absentIsFine ? [404] : []));
      await drained(answer);
    },
    async list(prefix, max) {
      const query = `list-type=2&max-keys=${max}&prefix=${encodeURIComponent(prefix)}`;
      const answer = await send('GET', '', { query });
      await expect(answer, 200);
      return await drained(answer);
    },
    async delete(key) {
      const answer = await send('DELETE', `/${key}`);
      await expect(answer, 204, 200);
      await drained(answer);
    },
    close: () => pool.close(),
  };
}

/** Small bodies go out in one piece; large ones share their memory. */
function bodyOf(parts: readonly Buffer[] | undefined): Buffer | Readable | null {
  if (!parts) return null;
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  if (size <= 64 * 1024) return Buffer.concat(parts);
  return Readable.from(parts, { objectMode: false });
}
