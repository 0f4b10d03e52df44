/**
 * What the headers of a request declare about its body: length, digests, checksums, trailers. Everything that is wrong
 * in a declaration is refused here, before a byte is read, with AWS's codes and words.
 * Source: "Checking object integrity", S3 User Guide; "PutObject" and "Common request headers", S3 API Reference.
 */
import { parseDigest } from '../../base/checksums/hasher.ts';
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from '../../ddm/catalog.ts';
import type { PayloadMode } from '../../identity/types.ts';
import { S3Error } from '../errors.ts';

export type Headers = Readonly<Record<string, string | undefined>>;

export interface Declared {
  /** Decoded bytes; null when unknown (only where `lengthRequired` is false). */
  readonly length: number | null;
  /** Of Content-MD5, base64. */
  readonly md5: string | null;
  readonly checksum: DeclaredChecksum | null;
}

export interface DeclaredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64, from a header; null when the value follows in a trailer. */
  readonly value: string | null;
}

const invalidRequest = (message: string) => new S3Error('InvalidRequest', { message });

const MULTIPLE = 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.';
const PREFIX = 'x-amz-checksum-';
/** Headers with the same prefix that are no checksum values. */
const NOT_VALUES = new Set(['algorithm', 'type', 'mode']);
/** Algorithms of S3 that this store does not compute. */
const UNSUPPORTED = new Set(['sha512', 'md5', 'xxhash64', 'xxhash3', 'xxhash128']);

function algorithmOf(suffix: string): ChecksumAlgorithm | null {
  const name = suffix.toUpperCase();
  return CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === name) ?? null;
}

function unsupportedAlgorithm(suffix: string): S3Error | null {
  return UNSUPPORTED.has(suffix)
    ? new S3Error('NotImplemented', { message: `The checksum algorithm ${suffix} is not implemented.` })
    : null;
}

export const isChunked = (payload: PayloadMode): boolean =>
  payload.kind === 'chunked-signed' || payload.kind === 'chunked-unsigned';

const hasTrailer = (payload: PayloadMode): boolean =>
  payload.kind === 'chunked-unsigned' || (payload.kind === 'chunked-signed' && payload.trailer);

/** @throws {S3Error} MissingContentLength, EntityTooLarge, InvalidDigest, InvalidRequest, NotImplemented */
export function readDeclared(
  headers: Headers,
  payload: PayloadMode,
  o: { readonly bytesMax: number; readonly lengthRequired: boolean },
): Declared {
  const length = declaredLength(headers, payload);
  if (length === null && o.lengthRequired) throw withoutLength(headers);
  if (length !== null && length > o.bytesMax)
    throw new S3Error('EntityTooLarge', {
      fields: { ProposedSize: String(length), MaxSizeAllowed: String(o.bytesMax) },
    });
  return { length, md5: declaredMd5(headers), checksum: declaredChecksum(headers, payload) };
}

/** A body in chunks of HTTP's own is told that it is those which are not taken. */
const withoutLength = (headers: Headers): S3Error =>
  headers['transfer-encoding'] === undefined
    ? new S3Error('MissingContentLength')
    : new S3Error('NotImplemented', {
        message: 'A header you provided implies functionality that is not implemented',
        fields: { Header: 'Transfer-Encoding' },
      });

function declaredLength(headers: Headers, payload: PayloadMode): number | null {
  const decoded = parseLength(headers['x-amz-decoded-content-length']);
  if (isChunked(payload)) {
    if (decoded === null) throw new S3Error('MissingContentLength');
    return decoded;
  }
  return parseLength(headers['content-length']) ?? decoded;
}

function parseLength(text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  if (!/^\d{1,15}$/.test(text)) throw new S3Error('MissingContentLength');
  return Number(text);
}

function declaredMd5(headers: Headers): string | null {
  const md5 = headers['content-md5'];
  if (md5 === undefined) return null;
  const bytes = parseDigest('MD5', md5.trim());
  if (!bytes) throw new S3Error('InvalidDigest', { fields: { 'Content-MD5': md5.slice(0, 128) } });
  return bytes.toString('base64');
}

function declaredChecksum(headers: Headers, payload: PayloadMode): DeclaredChecksum | null {
  const sdk = sdkAlgorithm(headers['x-amz-sdk-checksum-algorithm']);
  const inHeader = headerChecksum(headers);
  const trailing = trailerAlgorithm(headers['x-amz-trailer'], payload);
  if (inHeader && trailing) throw invalidRequest(MULTIPLE);
  const declared = inHeader ?? (trailing ? { algorithm: trailing, value: null } : null);
  if (sdk && !declared)
    throw invalidRequest(
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  if (sdk && declared && sdk !== declared.algorithm)
    throw invalidRequest('Value for x-amz-sdk-checksum-algorithm header is invalid.');
  return declared;
}

function sdkAlgorithm(text: string | undefined): ChecksumAlgorithm | null {
  if (text === undefined || text === '') return null;
  const refused = unsupportedAlgorithm(text.toLowerCase());
  if (refused) throw refused;
  const algorithm = algorithmOf(text);
  if (!algorithm)
    throw invalidRequest(
      'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
    );
  return algorithm;
}

function headerChecksum(headers: Headers): { algorithm: ChecksumAlgorithm; value: string } | null {
  let found: { algorithm: ChecksumAlgorithm; value: string } | null = null;
  for (const name in headers) {
    const text = headers[name];
    if (text === undefined || !name.startsWith(PREFIX)) continue;
    const suffix = name.slice(PREFIX.length);
    if (NOT_VALUES.has(suffix)) continue;
    const refused = unsupportedAlgorithm(suffix);
    if (refused) throw refused;
    const algorithm = algorithmOf(suffix);
    if (!algorithm)
      throw invalidRequest('The algorithm type you specified in x-amz-checksum- header is invalid.');
    if (found) throw invalidRequest(MULTIPLE);
    const bytes = parseDigest(algorithm, text.trim());
    if (!bytes) throw invalidRequest(`Value for ${name} header is invalid.`);
    found = { algorithm, value: bytes.toString('base64') };
  }
  return found;
}

function trailerAlgorithm(text: string | undefined, payload: PayloadMode): ChecksumAlgorithm | null {
  if (text === undefined || text.trim() === '') return null;
  const names = text.split(',').map((name) => name.trim().toLowerCase());
  const unsupported = 'The value specified in the x-amz-trailer header is not supported';
  // A trailer that is declared but cannot come would leave a checksum unchecked in silence.
  if (!hasTrailer(payload) || !names.every((name) => name.startsWith(PREFIX)))
    throw invalidRequest(unsupported);
  if (names.length > 1) throw invalidRequest(MULTIPLE);
  const suffix = names[0]!.slice(PREFIX.length);
  const refused = unsupportedAlgorithm(suffix);
  if (refused) throw refused;
  const algorithm = algorithmOf(suffix);
  if (!algorithm) throw invalidRequest(unsupported);
  return algorithm;
}

/**
 * Content-Encoding without `aws-chunked`, which describes the transfer and is never stored; undefined when nothing is
 * left. `aws-chunked, gzip` → `gzip`; `deflate, gzip` stays as it is.
 */
export function storedContentEncoding(value: string | undefined): string | undefined {
  if (value === undefined || !/aws-chunked/i.test(value)) return value;
  const kept = value.split(',').filter((coding) => coding.trim().toLowerCase() !== 'aws-chunked');
  const text = kept.join(',').trim();
  return text === '' ? undefined : text;
}

export const badChecksum = (algorithm: ChecksumAlgorithm): S3Error =>
  new S3Error('BadDigest', {
    message: `The ${algorithm} you specified did not match the calculated checksum.`,
  });
