/**
 * What GetObject and HeadObject share: which version, whether the conditions let it be read, which bytes, which headers.
 * Order as S3 has it: existence, conditions, then range or part.
 */
import { LIMITS } from '../../base/limits.ts';
import type { ManifestPart, ObjectVersion } from '../../ddm/catalog.ts';
import type { ReadRequest } from '../../dosm/dosm.ts';
import type { DataKey } from '../../identity/envelope.ts';
import {
  CiphertextRefused,
  decrypted,
  type PlainSegment,
  storedBytesOf,
  storedRangeOf,
} from '../encryption/chunk-cipher.ts';
import { encryptionHeaders, keyOfRequest, requireKeyOfClient } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';
import { checksumHeaders, wantsChecksum } from './checksums.ts';
import { decideRead, rangeStillHolds, readConditions } from './conditions.ts';
import { expirationHeader } from './lifecycle-headers.ts';
import { type ByteRange, decideRange, invalidRange } from './ranges.ts';
import {
  objectHeaders,
  overrideHeaders,
  type ResponseHeaders,
  validatorHeaders,
  versionHeaders,
} from './response-headers.ts';

export interface Selection {
  readonly status: 200 | 206;
  readonly headers: ResponseHeaders;
  /** null when there is nothing to send. */
  readonly range: ByteRange | null;
  /** null when the bytes are not encrypted, or only asked about. */
  readonly dataKey: DataKey | null;
}
type Chosen = Omit<Selection, 'dataKey'>;

/**
 * The version that a read is about.
 * @throws {S3Error} NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker asked for by its id)
 */
export async function requireVersion(ctx: OperationContext): Promise<ObjectVersion> {
  const versionId = ctx.query.get('versionId');
  const bucket = ctx.bucket!;
  const version = await ctx.services.catalog.findVersion(bucket.id, ctx.key, versionId);
  if (version === null) {
    if (versionId === undefined) throw new S3Error('NoSuchKey', { fields: { Key: ctx.key } });
    throw new S3Error('NoSuchVersion', { fields: { Key: ctx.key, VersionId: versionId } });
  }
  if (!version.isDeleteMarker) return version;
  const marker = {
    'x-amz-delete-marker': 'true',
    ...textHeaders(versionHeaders(bucket, version.versionId)),
  };
  if (versionId === undefined) throw new S3Error('NoSuchKey', { fields: { Key: ctx.key }, headers: marker });
  throw new S3Error('MethodNotAllowed', {
    fields: { Method: ctx.operation.method, ResourceType: 'DeleteMarker' },
    headers: { ...marker, allow: 'DELETE', 'last-modified': version.lastModified.toUTCString() },
  });
}

function textHeaders(headers: ResponseHeaders): Record<string, string> {
  const set = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set.map(([name, value]) => [name, String(value)]));
}

/** @throws {S3Error} NotModified, PreconditionFailed, InvalidRange, InvalidPartNumber, InvalidArgument, InvalidRequest */
export async function select(ctx: OperationContext, version: ObjectVersion): Promise<Selection> {
  if (ctx.operation.method === 'HEAD') {
    requireKeyOfClient(ctx, version.encryption);
    return { ...(await choose(ctx, version)), dataKey: null };
  }
  const dataKey = keyOfRequest(ctx, version.encryption);
  return { ...(await choose(ctx, version)), dataKey };
}

async function choose(ctx: OperationContext, version: ObjectVersion): Promise<Chosen> {
  const bucket = ctx.bucket!;
  const overrides = overrideHeaders(ctx);
  const decision = decideRead(readConditions(ctx.headers), version);
  if (decision === 'not-modified')
    throw new S3Error('NotModified', { headers: textHeaders(validatorHeaders(bucket, version)) });
  if (decision === 'precondition-failed') throw new S3Error('PreconditionFailed');
  const headers = {
    ...objectHeaders(bucket, version),
    ...encryptionHeaders(version.encryption, ctx.headers),
    ...(version.isLatest && expirationHeader(bucket, version)),
    ...overrides,
  };
  const partNumber = ctx.query.get('partNumber');
  if (partNumber !== undefined) return selectPart(ctx, version, headers, partNumber);
  const asked = rangeStillHolds(ctx.headers['if-range'], version) ? ctx.headers.range : undefined;
  const range = decideRange(asked, version.size);
  if (range === 'unsatisfiable') throw invalidRange(asked!, version.size);
  if (range === 'whole') return whole(ctx, version, headers);
  return { status: 206, headers: { ...headers, ...lengthHeaders(range, version.size) }, range };
}

function whole(ctx: OperationContext, version: ObjectVersion, headers: ResponseHeaders): Chosen {
  const checksum = wantsChecksum(ctx.headers) ? checksumHeaders(version.checksum) : {};
  return {
    status: 200,
    headers: { ...headers, 'content-length': version.size, ...checksum },
    range: version.size === 0 ? null : { from: 0, to: version.size - 1 },
  };
}

function lengthHeaders(range: ByteRange, size: number): ResponseHeaders {
  return {
    'content-length': range.to - range.from + 1,
    'content-range': `bytes ${range.from}-${range.to}/${size}`,
  };
}

async function selectPart(
  ctx: OperationContext,
  version: ObjectVersion,
  headers: ResponseHeaders,
  text: string,
): Promise<Chosen> {
  const partNumber = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (partNumber < 1 || partNumber > LIMITS.partNumberMax)
    throw new S3Error('InvalidArgument', {
      message: `Part number must be an integer between 1 and ${LIMITS.partNumberMax}, inclusive`,
      fields: { ArgumentName: 'partNumber', ArgumentValue: text },
    });
  if (ctx.headers.range !== undefined)
    throw new S3Error('InvalidRequest', {
      message: 'Cannot specify both Range header and partNumber query parameter',
    });
  const { content } = version;
  const partCount = content.kind === 'manifest' ? content.partCount : 1;
  const missing = () =>
    new S3Error('InvalidPartNumber', {
      fields: { ActualPartCount: String(partCount), PartNumberRequested: text },
    });
  if (content.kind !== 'manifest') {
    if (partNumber !== 1) throw missing();
    const selection = whole(ctx, version, headers);
    if (selection.range === null) return selection;
    const { from, to } = selection.range;
    return {
      ...selection,
      status: 206,
      headers: { ...selection.headers, 'content-range': `bytes ${from}-${to}/${version.size}` },
    };
  }
  const [part] = await ctx.services.catalog.readManifest(ctx.bucket!.id, content.manifestId, { partNumber });
  if (part === undefined) throw missing();
  return manifestPart(ctx, version, headers, part, partCount);
}

function manifestPart(
  ctx: OperationContext,
  version: ObjectVersion,
  headers: ResponseHeaders,
  part: ManifestPart,
  partCount: number,
): Chosen {
  const { checksum } = version;
  const shown =
    wantsChecksum(ctx.headers) && checksum !== undefined && part.checksum !== undefined
      ? checksumHeaders({ ...checksum, value: part.checksum })
      : {};
  const range = part.size === 0 ? null : { from: part.offset, to: part.offset + part.size - 1 };
  const length = range === null ? { 'content-length': 0 } : lengthHeaders(range, version.size);
  return {
    status: 206,
    headers: { ...headers, ...length, 'x-amz-mp-parts-count': partCount, ...shown },
    range,
  };
}

/** A range of the plain bytes of one blob; without encryption these are its bytes. */
export type Segment = PlainSegment & Pick<ReadRequest['segments'][number], 'blob'>;

/**
 * The blobs that hold a range of a version; of a manifest only the rows of the parts that the range touches. Those are
 * read at once (10,000 at most): a manifest's rows may go with its last version in mid-read, its blobs outlive the read.
 * null when the manifest has gone already: the version was deleted or replaced a moment ago.
 */
export async function segmentsOf(
  ctx: Pick<OperationContext, 'services'>,
  version: ObjectVersion,
  range: ByteRange,
): Promise<readonly Segment[] | null> {
  const { content } = version;
  if (content.kind === 'empty') return [];
  if (content.kind === 'blob') return [{ blob: content.blob, ...range, part: 0, plainBytes: version.size }];
  const parts = await ctx.services.catalog.readManifest(version.bucketId, content.manifestId, range);
  const segments: Segment[] = [];
  let next = range.from;
  for (const part of parts) {
    if (part.blob === null) continue;
    const from = next - part.offset;
    const to = Math.min(range.to, part.offset + part.size - 1) - part.offset;
    if (from < 0 || to < from) break;
    segments.push({ blob: part.blob, from, to, part: part.partNumber, plainBytes: part.size });
    next = part.offset + to + 1;
  }
  return next === range.to + 1 ? segments : null;
}

/**
 * The bytes of a range of a version, the first of them proved: by the nodes' digests, and under the object's key.
 * null when its parts have gone (see {@link segmentsOf}). @throws {BytesUnavailable}
 */
export async function openRange(
  ctx: Pick<OperationContext, 'services' | 'signal'>,
  version: ObjectVersion,
  range: ByteRange,
  dataKey: DataKey | null,
): Promise<AsyncIterable<Buffer> | null> {
  const segments = await segmentsOf(ctx, version, range);
  if (segments === null) return null;
  const { dosm } = ctx.services;
  if (dataKey === null) return dosm.read({ segments, signal: ctx.signal });
  const stored = segments.map((segment) => {
    if (segment.blob.size !== storedBytesOf(segment.plainBytes))
      throw new CiphertextRefused(`blob ${segment.blob.id} is not as long as its object says`);
    return { blob: segment.blob, ...storedRangeOf(segment) };
  });
  const bytes = await dosm.read({ segments: stored, signal: ctx.signal });
  return begun(decrypted(dataKey.chunks, segments, bytes));
}

/** Has its first piece already: what is wrong with it is said before the headers. */
async function begun(bytes: AsyncGenerator<Buffer>): Promise<AsyncIterable<Buffer>> {
  const first = await bytes.next();
  return (async function* () {
    if (first.done) return;
    yield first.value;
    yield* bytes;
  })();
}
