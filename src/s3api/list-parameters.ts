/**
 * What the listing operations share: reading their parameters as AWS does, and writing entries.
 * Source: ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads, Amazon S3 API Reference.
 */
import { createHash } from 'node:crypto';
import { LIMITS } from '../base/limits.ts';
import type { ListEntry, ListedVersion } from '../ddm/catalog.ts';
import { S3Error } from './errors.ts';
import type { OperationContext } from './operation.ts';
import { quoted, tag, urlEncode, wrap, xmlDate } from './xml.ts';

const INTEGER_MAX = 2 ** 31 - 1;

export const invalidArgument = (name: string, value: string, message?: string): S3Error =>
  new S3Error('InvalidArgument', {
    ...(message !== undefined && { message }),
    fields: { ArgumentName: name, ArgumentValue: value },
  });

/** `max-keys` and its like: absent or empty is the default, more than the limit is the limit. 0 … `max`. */
export function readCount(
  query: OperationContext['query'],
  name: string,
  max: number = LIMITS.listKeysMax,
): number {
  const text = query.get(name) ?? '';
  if (text === '') return max;
  if (!/^[+-]?\d{1,15}$/.test(text) || Number(text) > INTEGER_MAX || Number(text) < -INTEGER_MAX - 1)
    throw invalidArgument(name, text, `Provided ${name} not an integer or within integer range`);
  if (Number(text) < 0)
    throw invalidArgument(name, text, `Argument ${name} must be an integer between 0 and ${INTEGER_MAX}`);
  return Math.min(Number(text), max);
}

export interface Encoding {
  /** 'url' or undefined, for the EncodingType element. */
  readonly type: string | undefined;
  /** Encodes keys, prefixes, delimiters and markers. */
  readonly encode: (text: string) => string;
}

export function readEncoding(query: OperationContext['query']): Encoding {
  const type = query.get('encoding-type') || undefined;
  if (type === undefined) return { type, encode: (text) => text };
  if (type.toLowerCase() !== 'url')
    throw invalidArgument('encoding-type', type, 'Invalid Encoding Method specified in Request');
  return { type: 'url', encode: urlEncode };
}

/** Elements that hold a text of the request again; an empty delimiter is left out, as AWS does. */
export const optional = (text: string): string | undefined => (text === '' ? undefined : text);

export const prefixXml = (prefix: string, { encode }: Encoding): string =>
  wrap('CommonPrefixes', tag('Prefix', encode(prefix)));

/** What a listing says of an object besides its key and owner. */
export function objectXml(object: ListedVersion): string {
  const { checksum } = object;
  return (
    tag('LastModified', xmlDate(object.lastModified)) +
    tag('ETag', quoted(object.etag)) +
    (checksum ? tag('ChecksumAlgorithm', checksum.algorithm) + tag('ChecksumType', checksum.type) : '') +
    tag('Size', object.size) +
    tag('StorageClass', object.storageClass)
  );
}

export const itemsOf = <T>(entries: readonly ListEntry<T>[]): T[] =>
  entries.flatMap((entry) => (entry.kind === 'item' ? [entry.item] : []));
export const prefixesOf = <T>(entries: readonly ListEntry<T>[]): string[] =>
  entries.flatMap((entry) => (entry.kind === 'prefix' ? [entry.prefix] : []));

/** The key or common prefix that a page ended with; the next page is after it. */
export const lastName = (entries: readonly ListEntry<{ readonly key: string }>[]): string => {
  const last = entries.at(-1);
  return last === undefined ? '' : last.kind === 'item' ? last.item.key : last.prefix;
};

/**
 * Continuation tokens are opaque to clients: a digest, then where the next page starts. The digest tells a token that
 * was cut or made up; it is no secret, since a token says no more than `start-after` does.
 */
export function makeToken(kind: string, after: string): string {
  return Buffer.concat([tokenDigest(kind, after), Buffer.from(after)]).toString('base64url');
}

/** @returns where the page starts; '' for an empty token. @throws {S3Error} InvalidArgument */
export function readToken(kind: string, token: string): string {
  if (token === '') return '';
  const bytes = Buffer.from(token, 'base64url');
  const after = bytes.subarray(TOKEN_DIGEST_BYTES).toString('utf8');
  if (
    bytes.toString('base64url') !== token ||
    !tokenDigest(kind, after).equals(bytes.subarray(0, TOKEN_DIGEST_BYTES))
  )
    throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
  return after;
}

const TOKEN_DIGEST_BYTES = 6;
const tokenDigest = (kind: string, after: string): Buffer =>
  createHash('sha256').update(`${kind}\0${after}`).digest().subarray(0, TOKEN_DIGEST_BYTES);
