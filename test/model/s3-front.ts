/**
 * The S3 front over the model catalog and model DOSM, on a free port, without signatures: the account is named by the
 * header `x-test-account` (`root`, `alice`, `bob`; none is anonymous). For tests of what lies behind authentication.
 */
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import type { AccountId } from '../../src/base/ids.ts';
import type { Account } from '../../src/ddm/catalog.ts';
import type { Authenticated } from '../../src/identity/types.ts';
import { createRequestReaders } from '../../src/s3api/body/readers.ts';
import type { RequestReaders } from '../../src/s3api/run-request.ts';
import { createS3Server, type S3ServerOptions } from '../../src/s3api/server.ts';
import { ModelCatalog } from './model-catalog.ts';
import { ModelDosm } from './model-dosm.ts';

export const ACCOUNTS: readonly Account[] = [
  { id: 'root' as AccountId, displayName: 'Root', isRoot: true },
  { id: 'alice' as AccountId, displayName: 'Alice A', isRoot: false },
  { id: 'bob' as AccountId, displayName: 'Bob B', isRoot: false },
];

export interface S3Front {
  readonly url: string;
  readonly port: number;
  readonly catalog: ModelCatalog;
  readonly dosm: ModelDosm;
  /** Everything logged so far, as JSON lines. */
  readonly logged: () => string;
  /** As fetch, with the account's header; `account` is `alice` unless told. */
  request(method: string, path: string, init?: FrontRequest): Promise<FrontAnswer>;
  /** Requests at this moment. */
  underWay(): number;
  reloadTls(): void;
  close(): Promise<void>;
}
export interface FrontRequest {
  readonly account?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}
export interface FrontAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export async function startS3Front(options: Partial<S3ServerOptions> = {}): Promise<S3Front> {
  const catalog = new ModelCatalog();
  const dosm = new ModelDosm();
  for (const account of ACCOUNTS) await catalog.createAccount(account);
  let logged = '';
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      logged += chunk;
      done();
    },
  });
  const server = await createS3Server({
    services: { catalog, dosm, clock: systemClock, region: 'us-east-1' },
    readers: headerReaders(),
    listen: { host: '127.0.0.1', port: 0 },
    log: pino({ level: 'debug' }, sink),
    ...options,
  });
  const url = `${options.tls ? 'https' : 'http'}://127.0.0.1:${server.port}`;
  return {
    url,
    port: server.port,
    catalog,
    dosm,
    logged: () => logged,
    request: async (method, path, init = {}) => {
      const account = init.account === undefined ? 'alice' : init.account;
      const response = await fetch(url + path, {
        method,
        redirect: 'manual',
        headers: { ...(account !== null && { 'x-test-account': account }), ...init.headers },
        ...(init.body !== undefined && { body: new Uint8Array(Buffer.from(init.body)) }),
      });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    underWay: server.underWay,
    reloadTls: server.reloadTls,
    close: server.close,
  };
}

export function headerReaders(o: { readonly stallMs?: number } = {}): RequestReaders {
  const noKeys = async (): Promise<null> => null;
  const deps = { findAccessKey: noKeys, openSecret: () => '', clock: systemClock, region: 'us-east-1' };
  return {
    ...createRequestReaders({ ...deps, service: 's3' }, o),
    authenticate: async (request): Promise<Authenticated> => {
      const name = request.headers['x-test-account']?.[0];
      const account = ACCOUNTS.find(({ id }) => id === name);
      return {
        principal: account
          ? { kind: 'account', account, accessKeyId: `KEY${account.id}` }
          : { kind: 'anonymous' },
        payload: { kind: 'unsigned' },
        presigned: false,
      };
    },
  };
}
