/**
 * The canonical request and the string to sign of Signature Version 4 with S3's rules: the path is decoded and encoded
 * once, never normalised; query parameters are sorted by encoded name, then value; header values are trimmed and runs
 * of blanks folded; repeated headers are joined with ','. All texts are latin1: one character is one byte of the wire.
 * Source: "Create a signed AWS API request", IAM User Guide, and "Authenticating Requests (SigV4)", S3 API Reference.
 */
import { createHmac, hash, type KeyObject } from 'node:crypto';

export const ALGORITHM = 'AWS4-HMAC-SHA256';

/** `%XX` for every byte but A–Z a–z 0–9 - . _ ~ */
const ENCODED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[A-Za-z0-9\-._~]/.test(character)
    ? character
    : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Decodes `%XX` and encodes every byte anew. A '%' that starts no valid escape stands for itself. */
function recode(raw: string, o: { keepSlash: boolean; plusIsSpace: boolean }): string {
  let out = '';
  for (let i = 0; i < raw.length; i++) {
    let byte = raw.charCodeAt(i);
    if (byte === 37 && i + 2 < raw.length) {
      const high = hexDigit(raw.charCodeAt(i + 1));
      const low = hexDigit(raw.charCodeAt(i + 2));
      if (high >= 0 && low >= 0) {
        byte = high * 16 + low;
        i += 2;
      }
    } else if (byte === 43 && o.plusIsSpace) byte = 32;
    out += byte === 47 && o.keepSlash ? '/' : ENCODED[byte & 255];
  }
  return out;
}

const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/;

export function canonicalPath(rawPath: string): string {
  if (rawPath === '') return '/';
  return PLAIN_PATH.test(rawPath) ? rawPath : recode(rawPath, { keepSlash: true, plusIsSpace: false });
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** @param without a parameter to leave out (X-Amz-Signature of presigned URLs) */
export function canonicalQuery(rawQuery: string, without?: string): string {
  if (rawQuery === '') return '';
  const pairs: [string, string][] = [];
  for (const part of rawQuery.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const options = { keepSlash: false, plusIsSpace: true };
    const name = recode(equals < 0 ? part : part.slice(0, equals), options);
    if (name !== without) pairs.push([name, equals < 0 ? '' : recode(part.slice(equals + 1), options)]);
  }
  pairs.sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

const fold = (value: string): string => value.replace(/[ \t]+/g, ' ').trim();

export interface CanonicalInput {
  readonly method: string;
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** Lower case, in the order of the client's SignedHeaders. */
  readonly signedHeaders: readonly string[];
  /** The last line: a hash in hex or one of S3's words for what is not hashed. */
  readonly payloadHash: string;
}

export function canonicalRequest(o: CanonicalInput): string {
  let headers = '';
  for (const name of o.signedHeaders) {
    const values = Object.hasOwn(o.headers, name) ? o.headers[name]! : [];
    headers += `${name}:${values.map(fold).join(',')}\n`;
  }
  const query = canonicalQuery(o.rawQuery, 'X-Amz-Signature');
  return `${o.method}\n${canonicalPath(o.rawPath)}\n${query}\n${headers}\n${o.signedHeaders.join(';')}\n${o.payloadHash}`;
}

/** Hex SHA-256 of latin1 text, that is, of the bytes of the wire. */
export const sha256Hex = (latin1: string): string => hash('sha256', Buffer.from(latin1, 'latin1'), 'hex');

export const stringToSign = (timestamp: string, scope: string, canonical: string): string =>
  `${ALGORITHM}\n${timestamp}\n${scope}\n${sha256Hex(canonical)}`;

export const hmacHex = (key: KeyObject, text: string): string =>
  createHmac('sha256', key).update(text, 'latin1').digest('hex');
