/** Requests that SDKs cannot send: every byte of the request line and the headers is the test's. */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { type Credentials, signRequest } from '../../src/identity/sign.ts';

export interface RawRequest {
  readonly method: string;
  /** As on the request line, already encoded. */
  readonly path: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** What x-amz-content-sha256 says; the body's hash by default. */
  readonly payloadHash?: string;
  /** null: not signed. */
  readonly credentials?: Credentials | null;
  readonly nowMs?: number;
  /** Changes the headers after they were signed; undefined removes one. */
  readonly tamper?: Readonly<Record<string, string | undefined>>;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** Of the XML error; '' when there is none. */
  readonly code: string;
}

const ANSWER_MS = 20_000;

export function createRawS3(endpoint: string, credentials: Credentials, region: string) {
  const { hostname, port, host } = new URL(endpoint);
  const agent = new Agent({ keepAlive: false });

  function headersFor(r: RawRequest): Record<string, string> {
    const body = Buffer.from(r.body ?? '');
    const plain = {
      host,
      ...(body.length > 0 ? { 'content-length': String(body.length) } : {}),
      ...r.headers,
    };
    const signer = r.credentials === undefined ? credentials : r.credentials;
    const signed =
      signer === null
        ? plain
        : signRequest({
            method: r.method,
            path: r.path,
            query: r.query ?? '',
            headers: plain,
            payload: r.payloadHash === undefined ? body : { hash: r.payloadHash },
            credentials: signer,
            region,
            service: 's3',
            nowMs: r.nowMs ?? Date.now(),
          }).headers;
    const changed: Record<string, string | undefined> = { ...signed, ...r.tamper };
    return Object.fromEntries(
      Object.entries(changed).filter((e): e is [string, string] => e[1] !== undefined),
    );
  }

  /** Sends the request and reads the whole answer. */
  function send(r: RawRequest): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const path = r.query === undefined ? r.path : `${r.path}?${r.query}`;
      const options = {
        hostname,
        port,
        path,
        method: r.method,
        headers: headersFor(r),
        agent,
        timeout: ANSWER_MS,
      };
      const req = httpRequest(options, (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('error', reject);
        res.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const text = bytes.toString();
          const code = /<Code>([^<]+)<\/Code>/.exec(text)?.[1] ?? '';
          resolve({ status: res.statusCode!, headers: res.headers, body: bytes, text, code });
        });
      });
      req.on('timeout', () => req.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
      req.on('error', reject);
      req.end(r.body);
    });
  }

  /** Writes `text` to a socket, half-closes where told, and resolves with all that came back. */
  function sendBytes(text: string | Buffer, o: { end?: boolean } = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port) });
      let answer = '';
      socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1');
      });
      socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
      socket.on('close', () => resolve(answer));
      socket.write(text);
      if (o.end) socket.end();
    });
  }

  /** The head of a signed request as text, to be sent with {@link sendBytes}. */
  function headOf(r: RawRequest): string {
    const path = r.query === undefined ? r.path : `${r.path}?${r.query}`;
    const lines = Object.entries(headersFor(r)).map(([name, value]) => `${name}: ${value}`);
    return `${r.method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\nconnection: close\r\n\r\n`;
  }

  return { send, sendBytes, headOf };
}
export type RawS3 = ReturnType<typeof createRawS3>;
