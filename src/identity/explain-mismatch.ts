/**
 * Why a signature does not match, for the server's log. What the client signed is not known, so the changes that proxies and
 * clients are known to make are tried, one at a time and together with another Host: the one that gives the client's
 * signature names the line at fault. Where none does, the lines are named and the request's digest is given, to be compared
 * with the client's own. Values are shown of the host, the path, and of headers that hold no secret.
 */
import { type KeyObject, timingSafeEqual } from 'node:crypto';
import {
  canonicalPath,
  canonicalQuery,
  canonicalRequest,
  hmacHex,
  sha256Hex,
  stringToSign,
} from './sigv4/canonical.ts';
import type { SignedRequest } from './types.ts';

export interface Mismatch {
  /** The first line of the canonical request that differs; absent where no change that was tried explains it. */
  readonly line?: string;
  readonly received?: string;
  readonly signed?: string;
  readonly why: string;
  /** Of the canonical request as it was received, without values. */
  readonly lines: readonly string[];
  /** SHA-256 of the canonical request: the last line of the string to sign. */
  readonly canonicalSha256: string;
  readonly tried: number;
}

export interface MismatchInput {
  readonly req: SignedRequest;
  readonly signedHeaders: readonly string[];
  readonly payloadHash: string;
  readonly timestamp: string;
  readonly scope: string;
  readonly signingKey: KeyObject;
  /** The client's. */
  readonly signature: string;
}

/** The parts of a canonical request, each as it stands there. */
interface Parts {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly signedHeaders: readonly string[];
  readonly payloadHash: string;
}

interface Change {
  readonly line: string;
  readonly why: string;
  readonly parts: Partial<Parts>;
  /** As it is shown; '' and what is secret are not. */
  readonly received?: string;
  readonly signed?: string;
}

/** Bounds the work that one wrong signature causes. */
const TRIED_MAX = 400;
const HOSTS_MAX = 12;
const PAYLOAD_HEADER = 'x-amz-content-sha256';
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export function explainMismatch(input: MismatchInput): Mismatch {
  const parts = partsOf(input);
  const canonical = canonicalRequest({ ...input.req, ...input });
  const known = {
    lines: ['method', 'path', 'query', ...input.signedHeaders, 'signed headers', 'payload'],
    canonicalSha256: sha256Hex(canonical),
  };
  const others = otherChanges(input, parts);
  const hosts = hostChanges(input, parts);
  let tried = 0;
  const matches = (changed: Parts): boolean => {
    tried++;
    const mac = hmacHex(input.signingKey, stringToSign(input.timestamp, input.scope, textOf(changed)));
    return (
      mac.length === input.signature.length && timingSafeEqual(Buffer.from(mac), bytesOf(input.signature))
    );
  };
  const told = ({ line, why, received, signed }: Change, more = ''): Mismatch => ({
    line,
    ...(received !== undefined && { received }),
    ...(signed !== undefined && { signed }),
    why: why + more,
    ...known,
    tried,
  });
  for (const change of [...hosts, ...others]) if (matches({ ...parts, ...change.parts })) return told(change);
  for (const host of hosts)
    for (const other of others) {
      if (tried >= TRIED_MAX) break;
      if (matches({ ...parts, ...other.parts, headers: both(other, host) }))
        return told(other, `; and host: the client signed ${host.signed}, ${host.received} came`);
    }
  return { why: UNEXPLAINED, ...known, tried };

  function both(other: Change, host: Change): ReadonlyMap<string, string> {
    return new Map(other.parts.headers ?? parts.headers).set('host', host.parts.headers!.get('host')!);
  }
}

const UNEXPLAINED =
  'no known change explains it: the secret key is another one, or the client called this store by a name that is not known here';

/** timingSafeEqual wants equal lengths in bytes; a signature is hex, or it matches nothing. */
const bytesOf = (signature: string): Buffer => Buffer.from(signature, 'latin1');

const fold = (value: string): string => value.replace(/[ \t]+/g, ' ').trim();

function partsOf({ req, signedHeaders, payloadHash }: MismatchInput): Parts {
  const value = (name: string) =>
    (Object.hasOwn(req.headers, name) ? req.headers[name]! : []).map(fold).join(',');
  return {
    method: req.method,
    path: canonicalPath(req.rawPath),
    query: canonicalQuery(req.rawQuery, 'X-Amz-Signature'),
    headers: new Map(signedHeaders.map((name) => [name, value(name)])),
    signedHeaders,
    payloadHash,
  };
}

function textOf({ method, path, query, headers, signedHeaders, payloadHash }: Parts): string {
  const lines = signedHeaders.map((name) => `${name}:${headers.get(name) ?? ''}\n`).join('');
  return `${method}\n${path}\n${query}\n${lines}\n${signedHeaders.join(';')}\n${payloadHash}`;
}

// ------------------------------------------------------------------------------------------------- the Host

/** Names by which proxies tell what they were called; for a guess they need not be trusted. */
const HOST_HEADERS = ['x-forwarded-host', 'x-original-host', 'x-forwarded-server', ':authority'];
const PORT_OF_SCHEME: Readonly<Record<string, string>> = { http: '80', https: '443' };

function hostChanges({ req }: MismatchInput, parts: Parts): Change[] {
  const received = parts.headers.get('host');
  if (received === undefined) return [];
  const header = (name: string) => (Object.hasOwn(req.headers, name) ? req.headers[name]! : []);
  const names = [
    received,
    ...(req.hosts ?? []),
    ...HOST_HEADERS.flatMap(header).flatMap((v) => v.split(',')),
  ];
  const forwarded = /(?:^|[;,\s])host="?([^";,\s]+)/i.exec(header('forwarded').join(','))?.[1];
  if (forwarded !== undefined) names.push(forwarded);
  const ports = [
    ...header('x-forwarded-port'),
    ...header('x-forwarded-proto').flatMap((proto) => PORT_OF_SCHEME[proto] ?? []),
    ...['80', '443', '9000', '8080', '8443'],
  ];
  const candidates = new Set<string>();
  for (const name of names.map((text) => text.trim()).filter((text) => /^[\w.:[\]-]{1,255}$/.test(text))) {
    const bare = name.replace(/:\d+$/, '');
    for (const host of [name, bare, ...ports.map((port) => `${bare}:${port}`)]) candidates.add(host);
    candidates.add(name.toLowerCase());
  }
  candidates.delete(received);
  const why = 'the Host that came is not the one that the client called (a proxy changes it, or its port)';
  return [...candidates].slice(0, HOSTS_MAX * 3).map((host) => ({
    ...{ line: 'host', why, received, signed: host },
    parts: { headers: new Map(parts.headers).set('host', host) },
  }));
}

// ------------------------------------------------------------------------------------------- everything else

function otherChanges(input: MismatchInput, parts: Parts): Change[] {
  return [
    ...methodChanges(parts),
    ...pathChanges(input, parts),
    ...queryChanges(input, parts),
    ...headerChanges(input, parts),
    ...listChanges(parts),
    ...payloadChanges(input, parts),
  ];
}

function methodChanges(parts: Parts): Change[] {
  return ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']
    .filter((method) => method !== parts.method)
    .map((method) => ({
      ...{ line: 'method', received: parts.method, signed: method },
      why: 'signed for another method (presigned URLs hold for one)',
      parts: { method },
    }));
}

function pathChanges({ req }: MismatchInput, parts: Parts): Change[] {
  const { rawPath } = req;
  const decoded = decodeOnce(rawPath);
  const variants: [path: string, why: string][] = [
    [
      canonicalPath(parts.path.replaceAll('%', '%25')),
      'the client encoded the path twice (S3 wants it once)',
    ],
    [rawPath, 'the client signed the path as it sent it, not encoded anew'],
    [canonicalPath(decoded.replaceAll('%', '%25')), 'something on the way encoded the path once more'],
    [canonicalPath(decoded), 'something on the way decoded the path once'],
    [decoded, 'the client signed the path without encoding it'],
    [parts.path.replaceAll('%2B', '%20'), 'a "+" in the path was signed as a space'],
    [parts.path.replaceAll('%20', '%2B'), 'a space in the path was signed as "+"'],
    [parts.path.replaceAll('%20', '+'), 'the client wrote a space of the path as "+"'],
    [normalised(parts.path), 'the client removed "//", "." or ".." from the path before it signed'],
    [parts.path.replace(/\/+$/, '') || '/', 'the path was signed without its "/" at the end'],
    [`${parts.path}/`, 'the path was signed with a "/" at its end'],
    [parts.path.replace(/%[0-9A-F]{2}/g, (e) => e.toLowerCase()), 'the client encoded with small letters'],
    [parts.path.replaceAll('%7E', '~').replaceAll('~', '%7E'), 'the client encoded "~"'],
  ];
  const host = parts.headers.get('host') ?? '';
  const bucket = /^([a-z0-9][a-z0-9-]{1,61}[a-z0-9])\./.exec(host)?.[1];
  if (bucket !== undefined)
    variants.push([`/${bucket}${parts.path}`, 'the bucket of the Host was signed in the path too']);
  const inner = /^\/[^/]+(\/.*)?$/.exec(parts.path);
  if (inner)
    variants.push([inner[1] ?? '/', 'the path has a first segment that was not signed (a proxy adds one)']);
  return variants
    .filter(([path]) => path !== parts.path)
    .map(([path, why]) => ({ line: 'path', why, received: parts.path, signed: path, parts: { path } }));
}

/** As bytes in latin1; what is no escape stays. */
const decodeOnce = (text: string): string =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

function normalised(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/').filter((s) => s !== '' && s !== '.')) {
    if (segment === '..') kept.pop();
    else kept.push(segment);
  }
  return `/${kept.join('/')}${path.endsWith('/') && kept.length > 0 ? '/' : ''}`;
}

/** Values of parameters are not shown: a session's token is one. */
function queryChanges({ req }: MismatchInput, parts: Parts): Change[] {
  const { rawQuery } = req;
  const without = rawQuery
    .split('&')
    .filter((part) => part !== '' && !part.startsWith('X-Amz-Signature='))
    .join('&');
  const variants: [query: string, why: string][] = [
    [
      canonicalQuery(without.replaceAll('+', '%2B')),
      'a "+" in the query was signed as itself, not as a space',
    ],
    [parts.query.replaceAll('%20', '+'), 'a space in the query was signed as "+", not as %20'],
    [without, 'the client signed the query as it sent it: not sorted, or not encoded'],
    [without.split('&').toSorted().join('&'), 'the client did not encode the query anew before it signed'],
    [parts.query.replaceAll('%2F', '/'), 'the client left "/" in the query as it is'],
    [parts.query.replaceAll('%', '%25'), 'the client encoded the query twice'],
    [
      canonicalQuery(decodeOnce(without).replaceAll('+', '%2B')),
      'something on the way encoded the query once more',
    ],
    [parts.query.replace(/=(?=&|$)/g, ''), 'parameters without a value were signed without "="'],
    ['', 'the query was not signed'],
  ];
  const names = (query: string) => query.split('&').map((part) => part.split('=', 1)[0]!);
  for (const name of new Set(names(parts.query)))
    variants.push([
      parts.query
        .split('&')
        .filter((part) => part.split('=', 1)[0] !== name)
        .join('&'),
      `the parameter ${name} was added after the request was signed`,
    ]);
  return variants
    .filter(([query]) => query !== parts.query)
    .slice(0, 40)
    .map(([query, why]) => ({ line: 'query', why, parts: { query } }));
}

/** What proxies and HTTP libraries put in the place of a header that was signed. */
const LIKELY: Readonly<Record<string, readonly string[]>> = {
  'content-type': [
    '',
    'application/octet-stream',
    'binary/octet-stream',
    'application/xml',
    'text/plain',
    'text/plain; charset=utf-8',
    'text/plain;charset=UTF-8',
    'application/json',
    'application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded; charset=utf-8',
  ],
  'accept-encoding': ['', 'identity', 'gzip', 'gzip, deflate', 'gzip, deflate, br', 'gzip,deflate', '*'],
  accept: ['', '*/*', 'application/xml', 'application/json'],
  'content-length': ['', '0'],
  connection: ['', 'close', 'keep-alive', 'Keep-Alive'],
  expect: ['', '100-continue'],
  te: ['', 'trailers'],
  'cache-control': ['', 'no-cache', 'max-age=0'],
  'transfer-encoding': ['', 'chunked'],
  'content-encoding': ['', 'aws-chunked', 'gzip', 'aws-chunked,gzip', 'gzip,aws-chunked'],
};

function headerChanges({ req }: MismatchInput, parts: Parts): Change[] {
  return [...parts.headers].flatMap(([name, received]) => {
    if (name === 'host') return [];
    const came = Object.hasOwn(req.headers, name);
    const values = new Set([...(LIKELY[name] ?? []), ...variantsOf(name, received)]);
    const raw = (req.headers[name] ?? []).join(',');
    if (raw !== received) values.add(raw);
    values.delete(received);
    const why = came
      ? 'the header came with another value than was signed'
      : 'the header was signed and did not come (a proxy removes it)';
    const shown = name in LIKELY;
    return [...values].map((value) => ({
      ...{ line: name, why, parts: { headers: new Map(parts.headers).set(name, value) } },
      ...(shown && { received, signed: value }),
    }));
  });
}

function variantsOf(name: string, received: string): string[] {
  if (name === 'content-type') {
    const bare = received.split(';', 1)[0]!.trim();
    return [bare, `${bare}; charset=utf-8`, `${bare};charset=utf-8`, `${bare}; charset=UTF-8`];
  }
  // Texts beyond ASCII: one side took the bytes of UTF-8 for latin1.
  const twice = Buffer.from(received, 'utf8').toString('latin1');
  const once = Buffer.from(received, 'latin1').toString('utf8');
  return [twice, once].filter((text) => text !== received && !text.includes('\ufffd'));
}

function listChanges(parts: Parts): Change[] {
  const sorted = parts.signedHeaders.toSorted();
  if (sorted.join() === parts.signedHeaders.join()) return [];
  const why = 'SignedHeaders came in another order than was signed';
  return [{ line: 'signed headers', why, parts: { signedHeaders: sorted } }];
}

function payloadChanges({ req }: MismatchInput, parts: Parts): Change[] {
  const header = req.headers[PAYLOAD_HEADER]?.[0]?.trim();
  const likely = [
    'UNSIGNED-PAYLOAD',
    EMPTY_SHA256,
    'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    ...(header ? [header, header.toLowerCase(), header.toUpperCase()] : []),
  ];
  const isSigned = parts.headers.has(PAYLOAD_HEADER);
  return [...new Set(likely)]
    .filter((payloadHash) => payloadHash !== parts.payloadHash)
    .map((payloadHash) => ({
      ...{ line: isSigned ? PAYLOAD_HEADER : 'payload', received: parts.payloadHash, signed: payloadHash },
      why: 'x-amz-content-sha256 is not what was signed as the hash of the payload',
      parts: {
        payloadHash,
        ...(isSigned && { headers: new Map(parts.headers).set(PAYLOAD_HEADER, payloadHash) }),
      },
    }));
}
