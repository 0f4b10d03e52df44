/** What is made up, and by which rules: each campaign yields cases for target.ts, which judges the answers. */
import fc from 'fast-check';
import { OPERATIONS } from '../../src/s3api/table.ts';
import { chunked, forms } from './bodies.ts';
import { framing, pipelined, wild } from './framing.ts';
import {
  DOCUMENTS,
  type Header,
  md5Header,
  NASTY,
  oneRequest,
  pathOf,
  requestBytes,
  wire,
  XML_NASTY,
} from './requests.ts';
import type { FuzzCase } from './target.ts';

export interface Campaign {
  readonly name: string;
  readonly cases: fc.Arbitrary<FuzzCase>;
  /** Of the short run. */
  readonly runs: number;
}

const anyOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const words = (text: string): string[] => text.trim().split(/\s+/);
const nasty = anyOf(NASTY);
const anyText = fc.oneof(
  nasty,
  fc.string({ maxLength: 20 }).map(wire),
  fc.string({ unit: 'binary', maxLength: 8 }).map(wire),
);
const rows = OPERATIONS.filter((row) => row.method !== 'OPTIONS');

// ------------------------------------------------------------------------------------------- documents

interface Edit {
  readonly kind: 'drop' | 'double' | 'swap' | 'text' | 'insert' | 'cut';
  readonly at: number;
  readonly with: string;
}
const edit: fc.Arbitrary<Edit> = fc.record({
  kind: anyOf(['drop', 'double', 'swap', 'text', 'insert', 'cut'] as const),
  at: fc.nat(200),
  with: fc.oneof(anyOf(XML_NASTY), nasty, fc.string({ unit: 'binary', maxLength: 6 }).map(wire)),
});

/** On the document's tokens, so that most of what comes out is nearly right. */
function edited(document: string, edits: readonly Edit[]): string {
  const tokens = document.match(/<[^>]*>|[{}[\],:]|"[^"]*"|[^<{}[\],:"]+/g) ?? [];
  for (const { kind, at: n, with: text } of edits) {
    const at = tokens.length === 0 ? 0 : n % tokens.length;
    if (kind === 'drop') tokens.splice(at, 1);
    else if (kind === 'double') tokens.splice(at, 0, ...tokens.slice(at, at + 1 + (n % 7)));
    else if (kind === 'swap') tokens.splice(at, 2, ...tokens.slice(at, at + 2).reverse());
    else if (kind === 'text') {
      const leaf = tokens.findIndex((token, i) => i >= at && !token.startsWith('<'));
      if (leaf >= 0) tokens[leaf] = text;
    } else if (kind === 'insert') tokens.splice(at, 0, text);
    else tokens.length = at;
  }
  return tokens.join('');
}

const takesDocument = rows.filter((row) => row.body === 'xml' || row.name in DOCUMENTS);
const documents = fc
  .record({
    row: anyOf(takesDocument),
    edits: fc.array(edit, { maxLength: 4 }),
    md5: fc.boolean(),
    chunked: fc.boolean(),
  })
  .map(({ row, edits, md5, chunked }) => {
    const body = edited(DOCUMENTS[row.name] ?? `<${row.name}/>`, edits);
    const headers: Header[] = md5 || row.checksumRequired ? [md5Header(body)] : [];
    const path = row.target === 'bucket' && row.name !== 'CreateBucket' ? pathOf(row) : pathOf(row, 'k');
    if (!chunked || body === '') return oneRequest({ method: row.method, path, headers, body });
    const framed = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    return oneRequest({
      method: row.method,
      path,
      headers: [...headers, ['Transfer-Encoding', 'chunked']],
      body: framed,
    });
  });

// ------------------------------------------------------------------------------------------- headers and queries

const HEADER_NAMES = words(`
  Range If-Match If-None-Match If-Modified-Since If-Unmodified-Since Content-Type Content-MD5
  Content-Encoding Cache-Control Content-Disposition Content-Language Expires Expect Origin
  Access-Control-Request-Method Access-Control-Request-Headers Date X-Forwarded-For Forwarded Cookie
  x-amz-date x-amz-content-sha256 x-amz-decoded-content-length x-amz-trailer x-amz-sdk-checksum-algorithm
  x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1
  x-amz-checksum-sha256 x-amz-checksum-algorithm x-amz-checksum-type x-amz-checksum-mode x-amz-copy-source
  x-amz-copy-source-range x-amz-copy-source-if-match x-amz-metadata-directive
  x-amz-copy-source-if-modified-since x-amz-tagging-directive x-amz-tagging x-amz-storage-class x-amz-acl
  x-amz-grant-read x-amz-grant-full-control x-amz-object-ownership x-amz-mfa x-amz-server-side-encryption
  x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-context
  x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key
  x-amz-server-side-encryption-customer-key-md5 x-amz-server-side-encryption-bucket-key-enabled
  x-amz-copy-source-server-side-encryption-customer-key x-amz-website-redirect-location
  x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold
  x-amz-bypass-governance-retention x-amz-expected-bucket-owner x-amz-source-expected-bucket-owner
  x-amz-meta-a x-amz-meta-__proto__ x-amz-meta- x-amz-object-attributes x-amz-max-parts
  x-amz-part-number-marker x-amz-if-match-size x-amz-if-match-last-modified-time x-amz-request-payer
  x-amz-mp-object-size x-amz-optional-object-attributes x-amz-bucket-object-lock-enabled
  x-amz-security-token x-amz-write-offset-bytes x-amz-rename-source x-amz-skip-destination-validation
  x-amz-unknown
`);
/** A line feed in a value would be another header. */
const headerText = anyText.map((text) => text.replace(/[\0\r\n]/g, '').slice(0, 2_000));
const header: fc.Arbitrary<Header> = fc.tuple(anyOf(HEADER_NAMES), headerText);
const bodyFor = (row: (typeof rows)[number]): string =>
  row.name in DOCUMENTS ? DOCUMENTS[row.name]! : row.body === 'stream' ? 'hello' : '';

const headers = fc
  .record({ row: anyOf(rows), some: fc.array(header, { minLength: 1, maxLength: 6 }) })
  .map(({ row, some }) => {
    const body = bodyFor(row);
    const fixed: Header[] = (row.headers ?? [])
      .filter((name) => !some.some(([n]) => n === name))
      .map((name) => [name, 'fuzz/key']);
    return oneRequest({ method: row.method, path: pathOf(row), headers: [...some, ...fixed], body });
  });

const QUERY_NAMES = words(`
  max-keys marker prefix delimiter encoding-type continuation-token start-after fetch-owner key-marker
  version-id-marker upload-id-marker max-uploads max-parts part-number-marker versionId uploadId partNumber
  list-type response-content-type response-expires response-content-disposition X-Amz-Algorithm
  X-Amz-Signature AWSAccessKeyId Signature max-buckets id x-id acl policy uploads
`);
/** Raw bytes that a request line can hold, escaped or not. */
const raw = anyText.map((text) =>
  text.replace(/[\0-\x20#]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`),
);
const parameter = fc
  .tuple(fc.oneof(anyOf(QUERY_NAMES), raw), fc.oneof(raw, nasty.map(encodeURIComponent)))
  .map(([name, value]) => `${name}=${value}`);
const queries = fc
  .record({
    row: anyOf(rows),
    some: fc.array(parameter, { maxLength: 6 }),
    many: fc.oneof({ arbitrary: fc.constant(0), weight: 20 }, fc.constant(150)),
  })
  .map(({ row, some, many }) => {
    const path = pathOf(row);
    const more = [...some, ...Array.from({ length: many }, (_, i) => `a${i}`)].join('&');
    const headers: Header[] = (row.headers ?? []).map((name) => [name, 'fuzz/key']);
    return oneRequest({
      method: row.method,
      path: `${path}${path.includes('?') ? '&' : '?'}${more}`,
      headers,
      body: bodyFor(row),
    });
  });

// ------------------------------------------------------------------------------------------- keys

const segment = fc.oneof(
  raw,
  anyOf([
    '..',
    '.',
    '',
    '...',
    '%2e%2e',
    '%2F',
    '%252e',
    '%5c',
    '+',
    '%20',
    '~',
    '%e2%82%ac',
    '%',
    '%00',
    '%c0%ae',
    '%ED%A0%80',
    ';x',
    ':',
    '@',
  ]),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => encodeURI(text.toWellFormed())),
);
let bodies = 0;
/** What was put under a key is read under the same bytes, and is no other key. */
const keys = fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments): FuzzCase => {
  const path = `/kept/${segments.join('/').replace(/[?#]/g, '').slice(0, 3_000)}`;
  if (path === '/kept/') return oneRequest({ method: 'GET', path });
  const body = `body ${bodies++}`;
  const put = requestBytes({ method: 'PUT', path, body });
  return { bytes: put, methods: ['PUT'], ...(/[^\x21-\x7e]/.test(path) ? {} : { kept: { path, body } }) };
});
const targets = fc
  .record({
    method: anyOf([
      'GET',
      'PUT',
      'HEAD',
      'DELETE',
      'POST',
      'OPTIONS',
      'PATCH',
      'TRACE',
      'CONNECT',
      'get',
      'PROPFIND',
    ]),
    target: fc.oneof(
      raw,
      anyOf([
        '/',
        '//',
        '*',
        '/../',
        '/fuzz//',
        '//fuzz/key',
        '/fuzz/../others/alive',
        'http://localhost/fuzz',
        'http://elsewhere/fuzz',
        'http://',
        'ftp://localhost/',
        '/-/live/../fuzz',
        '/%66uzz/key',
        '/FUZZ/key',
        '/fuzz%2fkey',
        '/fuzz\\key',
        '/fuzz/key#x',
        '/.%00./',
        `/${'a/'.repeat(5_000)}`,
      ]),
    ),
  })
  .map(
    ({ method, target }): FuzzCase => ({ bytes: requestBytes({ method, path: target }), methods: [method] }),
  );

export const CAMPAIGNS: readonly Campaign[] = [
  { name: 'documents', cases: documents, runs: 120 },
  { name: 'headers', cases: headers, runs: 120 },
  { name: 'queries', cases: queries, runs: 80 },
  { name: 'keys', cases: keys, runs: 50 },
  { name: 'targets', cases: targets, runs: 40 },
  { name: 'aws-chunked bodies', cases: chunked, runs: 50 },
  { name: 'forms', cases: forms, runs: 50 },
  { name: 'framing', cases: framing, runs: 20 },
  { name: 'pipelined requests', cases: pipelined, runs: 10 },
  { name: 'wild bytes', cases: wild, runs: 12 },
];
