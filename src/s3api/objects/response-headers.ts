/**
 * The headers that describe an object on GET, HEAD and 304, and the version headers of writes.
 * Source: response syntax of "GetObject" and "HeadObject", Amazon S3 API Reference.
 */
import type { Bucket, ObjectVersion } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';
import { quoted } from '../xml.ts';
import { lockHeaders } from './locks.ts';
import { DEFAULT_CONTENT_TYPE } from './metadata.ts';

export type ResponseHeaders = Record<string, string | number | undefined>;

/** What HTTP can carry in a header value, as latin1 text. */
const CARRIED = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Rows may be changed in SQL: what a header cannot carry is left out, and does not break the answer. */
const carried = (value: string | undefined): string | undefined =>
  value !== undefined && CARRIED.test(value) ? value : undefined;

/** x-amz-version-id; a bucket that was never versioned shows none. */
export function versionHeaders(bucket: Bucket, versionId: string | undefined): ResponseHeaders {
  const shown = versionId !== undefined && (versionId !== 'null' || bucket.versioning !== 'unversioned');
  return shown ? { 'x-amz-version-id': versionId } : {};
}

/** x-amz-version-id of an object just written: the null version of a suspended bucket is not named, as S3 has it. */
export const newVersionHeaders = (versionId: string): ResponseHeaders =>
  versionId === 'null' ? {} : { 'x-amz-version-id': versionId };

/** What a 304 carries too (RFC 9110 section 15.4.5). */
export function validatorHeaders(bucket: Bucket, version: ObjectVersion): ResponseHeaders {
  return {
    etag: quoted(version.etag),
    'last-modified': version.lastModified.toUTCString(),
    'cache-control': carried(version.system.cacheControl),
    expires: carried(version.system.expires),
    ...versionHeaders(bucket, version.versionId),
  };
}

/** Everything but length, range and checksum. */
export function objectHeaders(bucket: Bucket, version: ObjectVersion): ResponseHeaders {
  const { system } = version;
  const tags = Object.keys(version.tags).length;
  return {
    ...validatorHeaders(bucket, version),
    'accept-ranges': 'bytes',
    'content-type': carried(system.contentType) ?? DEFAULT_CONTENT_TYPE,
    'content-disposition': carried(system.contentDisposition),
    'content-encoding': carried(system.contentEncoding),
    'content-language': carried(system.contentLanguage),
    'x-amz-website-redirect-location': carried(system.websiteRedirectLocation),
    'x-amz-storage-class': version.storageClass === 'STANDARD' ? undefined : version.storageClass,
    'x-amz-tagging-count': tags === 0 ? undefined : tags,
    ...lockHeaders(version),
    ...userHeaders(version.user),
  };
}

/** Metadata that a header cannot carry (set through another door than headers) is counted, as S3 does. */
function userHeaders(user: ObjectVersion['user']): ResponseHeaders {
  const headers: ResponseHeaders = {};
  let missing = 0;
  for (const [name, value] of Object.entries(user)) {
    if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name) && CARRIED.test(value))
      headers[`x-amz-meta-${name}`] = value;
    else missing++;
  }
  if (missing > 0) headers['x-amz-missing-meta'] = missing;
  return headers;
}

const OVERRIDES = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const;

/** `response-content-type` and the like, of signed requests alone. @throws {S3Error} InvalidRequest, InvalidArgument */
export function overrideHeaders(ctx: Pick<OperationContext, 'query' | 'principal'>): ResponseHeaders {
  const headers: ResponseHeaders = {};
  for (const name of OVERRIDES) {
    const value = ctx.query.get(`response-${name}`);
    if (value === undefined) continue;
    if (ctx.principal.kind === 'anonymous')
      throw new S3Error('InvalidRequest', {
        message: 'Request specific response headers cannot be used for anonymous GET requests.',
      });
    const carried = Buffer.from(value).toString('latin1');
    if (!CARRIED.test(carried))
      throw new S3Error('InvalidArgument', { fields: { ArgumentName: `response-${name}` } });
    headers[name] = carried;
  }
  return headers;
}
