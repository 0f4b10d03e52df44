/**
 * The S3 front over the model catalog with real signatures, keys and sessions: for tests of who may do what. Accounts `root`,
 * `alice` and `bob` have one key each.
 */
import { createSecretKey, randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import type { AccountId } from '../../src/base/ids.ts';
import type { AccessKey } from '../../src/ddm/catalog.ts';
import { openSecret, sealSecret } from '../../src/identity/secret-box.ts';
import { openSessions, type Sessions } from '../../src/identity/sessions.ts';
import { type Credentials, encodeQuery, signRequest } from '../../src/identity/sign.ts';
import { createRequestReaders } from '../../src/s3api/body/readers.ts';
import { createS3Server } from '../../src/s3api/server.ts';
import { ModelCatalog } from './model-catalog.ts';
import { ModelDosm } from './model-dosm.ts';
import { ACCOUNTS } from './s3-front.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text of the first element of this name, unescaped; undefined: there is none. */
  one(element: string): string | undefined;
  /** Of all elements of this name. */
  all(element: string): string[];
}

export interface SignedFront {
  readonly url: string;
  readonly catalog: ModelCatalog;
  readonly sessions: Sessions;
  readonly logged: () => string;
  /** Keys of the accounts, by name. */
  readonly keys: Readonly<Record<'root' | 'alice' | 'bob', Credentials>>;
  /** One action of IAM or STS. */
  query(who: Credentials | null, action: string, parameters?: Record<string, string>): Promise<Answer>;
  s3(who: Credentials, method: string, path: string, body?: string): Promise<Answer>;
  close(): Promise<void>;
}

const STS: ReadonlySet<string> = new Set(['AssumeRole', 'GetCallerIdentity', 'GetSessionToken']);

export async function startSignedFront(clock: Clock = systemClock): Promise<SignedFront> {
  const catalog = new ModelCatalog();
  const master = { id: 0, key: createSecretKey(randomBytes(32)) };
  const seal = (secret: string, accessKeyId: string) => sealSecret(master, secret, accessKeyId);
  const keys = {} as Record<'root' | 'alice' | 'bob', Credentials>;
  for (const account of ACCOUNTS) {
    await catalog.createAccount(account);
    const made = {
      accessKeyId: `AKIA${account.id.toUpperCase()}`,
      secretAccessKey: `secret of ${account.id}`,
    };
    keys[account.id as 'root'] = made;
    await catalog.createAccessKey({
      ...{ accessKeyId: made.accessKeyId, account: account.id as AccountId },
      sealedSecret: seal(made.secretAccessKey, made.accessKeyId),
    });
  }
  const sessions = openSessions({ catalog, master, clock });
  const signing = {
    findAccessKey: catalog.findAccessKey,
    openSecret: (key: AccessKey) => openSecret(master, key.sealedSecret, key.accessKeyId),
    clock,
  };
  let logged = '';
  const sink = {
    write: (line: string) => {
      logged += line;
    },
  };
  const log = pino({ level: 'debug' }, sink);
  const server = await createS3Server({
    services: { catalog, dosm: new ModelDosm(), clock, region: 'us-east-1' },
    readers: createRequestReaders({ ...signing, sessions, region: 'us-east-1', service: 's3' }),
    identityApi: { signing, sessions, sealSecret: seal },
    listen: { host: '127.0.0.1', port: 0 },
    log,
  });
  const host = `127.0.0.1:${server.port}`;
  const url = `http://${host}`;
  return {
    ...{ url, catalog, sessions, keys, logged: () => logged, close: server.close },
    query: async (who, action, parameters = {}) => {
      const service = STS.has(action) ? 'sts' : 'iam';
      const Version = service === 'sts' ? '2011-06-15' : '2010-05-08';
      const body = Buffer.from(encodeQuery({ Action: action, Version, ...parameters }));
      const headers = { host, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
      const request = {
        method: 'POST',
        path: '/',
        headers,
        payload: body,
        region: 'us-east-1',
        service,
      } as const;
      const signed = who
        ? signRequest({ ...request, credentials: who, nowMs: clock.now() }).headers
        : headers;
      return answerOf(
        await fetch(url, { method: 'POST', headers: withoutHost(signed), body: new Uint8Array(body) }),
      );
    },
    s3: async (who, method, target, text) => {
      const [path = '/', query = ''] = target.split('?', 2);
      const payload = Buffer.from(text ?? '');
      const signing = {
        method,
        path,
        query,
        headers: { host },
        payload,
        region: 'us-east-1',
        service: 's3',
      } as const;
      const { headers } = signRequest({ ...signing, credentials: who, nowMs: clock.now() });
      const body = text === undefined ? {} : { body: new Uint8Array(payload) };
      return answerOf(await fetch(url + target, { method, headers: withoutHost(headers), ...body }));
    },
  };
}

const withoutHost = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'host'));

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const all = (element: string): string[] =>
    [...text.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map(([, inner]) =>
      unescaped(inner!),
    );
  return { status: response.status, headers: response.headers, text, all, one: (element) => all(element)[0] };
}

const unescaped = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
