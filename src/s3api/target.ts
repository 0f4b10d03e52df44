/**
 * The request target, read once: which bucket and key a request names, and its query.
 * Invariant: a key is what the client sent, percent-decoded once as bytes that must be UTF-8; `//`, `.`, `..`, `+`
 * and empty segments are ordinary characters of a key and are never normalised.
 * Sources: RFC 9112 section 3.2 (request target), "Virtual hosting of buckets" and "Creating object key names", S3 User Guide.
 */
import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../base/limits.ts';
import { S3Error } from './errors.ts';
import type { Target } from './operation.ts';

export interface RequestTarget {
  readonly kind: Target;
  /** '' for the service. Not checked against the naming rules. */
  readonly bucket: string;
  /** '' unless `kind` is `object`. */
  readonly key: string;
  readonly style: 'path' | 'virtual';
  /** Path and query exactly as on the request line (without scheme and authority): what a signature covers. */
  readonly rawPath: string;
  readonly rawQuery: string;
  /** Decoded once; the first of repeated keys wins; a key without value has ''. */
  readonly query: ReadonlyMap<string, string>;
}

const QUERY_KEYS_MAX = 100;
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/is;

/**
 * @param url the request target as it came (`/b/k?x`, `http://host/b/k`, `*`)
 * @param host the Host header, '' when there was none
 * @param domains lower case, e.g. `['localhost', 's3.example.org']`: `bucket.domain` names a bucket
 * @throws {S3Error} InvalidURI, KeyTooLongError
 */
export function parseTarget(url: string, host: string, domains: readonly string[]): RequestTarget {
  const { path: whole, authority } = originForm(url, host);
  const mark = whole.indexOf('?');
  const rawPath = mark < 0 ? whole : whole.slice(0, mark);
  const rawQuery = mark < 0 ? '' : whole.slice(mark + 1);
  if (rawQuery.length > LIMITS.uriBytesMax) throw invalidUri(url);
  const query = parseQuery(rawQuery);
  const base = { rawPath, rawQuery, query };

  const virtualBucket = bucketOfHost(authority, domains);
  if (rawPath === '*') return { ...base, kind: 'service', bucket: '', key: '', style: 'path' };
  if (!rawPath.startsWith('/')) throw invalidUri(url);
  if (virtualBucket !== null) {
    const key = decodeKey(rawPath.slice(1), rawPath);
    return { ...base, kind: key === '' ? 'bucket' : 'object', bucket: virtualBucket, key, style: 'virtual' };
  }
  if (rawPath === '/') return { ...base, kind: 'service', bucket: '', key: '', style: 'path' };
  const slash = rawPath.indexOf('/', 1);
  const rawBucket = slash < 0 ? rawPath.slice(1) : rawPath.slice(1, slash);
  if (rawBucket === '') throw invalidUri(rawPath);
  const bucket = percentDecode(rawBucket);
  if (bucket === null) throw invalidUri(rawPath);
  const key = slash < 0 ? '' : decodeKey(rawPath.slice(slash + 1), rawPath);
  return { ...base, kind: key === '' ? 'bucket' : 'object', bucket, key, style: 'path' };
}

/** An absolute-form target must name the same authority as the Host header, which is what the signature covers. */
function originForm(url: string, host: string): { path: string; authority: string } {
  const absolute = ABSOLUTE_FORM.exec(url);
  if (!absolute) return { path: url, authority: host };
  const [, authority = '', rest = ''] = absolute;
  if (host !== '' && authority.toLowerCase() !== host.toLowerCase()) throw invalidUri(url);
  return { path: rest.startsWith('/') ? rest : `/${rest}`, authority };
}

/** The bucket that a Host names, or null for path style. The longest matching domain decides. */
export function bucketOfHost(host: string, domains: readonly string[]): string | null {
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  let found: string | null = null;
  let longest = 0;
  for (const domain of domains) {
    if (name === domain) return null;
    if (domain.length > longest && name.endsWith(`.${domain}`) && name.length > domain.length + 1) {
      longest = domain.length;
      found = name.slice(0, -domain.length - 1);
    }
  }
  return found;
}

function decodeKey(raw: string, path: string): string {
  if (raw.length > LIMITS.keyBytesMax * 3) throw keyTooLong(raw.length);
  const key = percentDecode(raw);
  if (key === null || key.includes('\0')) throw invalidUri(path);
  const bytes = Buffer.byteLength(key);
  if (bytes > LIMITS.keyBytesMax) throw keyTooLong(bytes);
  return key;
}

const PLAIN = /^[\x21-\x24\x26-\x7e]*$/;

/**
 * Percent-decodes the raw (latin1) text of a request line as bytes. null when an escape is broken or the bytes are no UTF-8.
 */
export function percentDecode(raw: string): string | null {
  if (PLAIN.test(raw)) return raw;
  const bytes = Buffer.allocUnsafe(raw.length);
  let length = 0;
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code > 0xff) return null;
    if (code !== 0x25) {
      bytes[length++] = code;
      continue;
    }
    const value = hexDigit(raw.charCodeAt(i + 1)) * 16 + hexDigit(raw.charCodeAt(i + 2));
    if (!(value >= 0)) return null;
    bytes[length++] = value;
    i += 2;
  }
  const decoded = bytes.subarray(0, length);
  return isUtf8(decoded) ? decoded.toString('utf8') : null;
}

/** NaN (also for the end of the text) when it is not a hexadecimal digit. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN;
}

/** In a query, and only there, `+` is a space. */
export function parseQuery(rawQuery: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  if (rawQuery === '') return query;
  const pairs = rawQuery.split('&', QUERY_KEYS_MAX + 1);
  if (pairs.length > QUERY_KEYS_MAX) throw invalidUri(`?${rawQuery}`);
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = percentDecode((equals < 0 ? pair : pair.slice(0, equals)).replaceAll('+', ' '));
    const value = equals < 0 ? '' : percentDecode(pair.slice(equals + 1).replaceAll('+', ' '));
    if (name === null || value === null) throw invalidUri(`?${rawQuery}`);
    if (!query.has(name)) query.set(name, value);
  }
  return query;
}

const invalidUri = (uri: string): S3Error =>
  new S3Error('InvalidURI', { fields: { URI: uri.split('?', 1)[0]!.slice(0, 256) } });
const keyTooLong = (bytes: number): S3Error =>
  new S3Error('KeyTooLongError', {
    fields: { Size: String(bytes), MaxSizeAllowed: String(LIMITS.keyBytesMax) },
  });
