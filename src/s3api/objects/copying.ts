/**
 * The source of CopyObject and UploadPartCopy: found, permitted, conditions held; and its bytes as a source for a write
 * where they cannot be shared.
 */
import { createHasher } from '../../base/checksums/hasher.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Bucket, ChecksumAlgorithm, ObjectVersion } from '../../ddm/catalog.ts';
import { BytesUnavailable } from '../../dosm/dosm.ts';
import type { DataKey } from '../../identity/envelope.ts';
import { keyOf } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';
import type { ByteSource } from './commits.ts';
import { copySourceConditions, requireCopySource } from './conditions.ts';
import { type CopySource, parseCopySource } from './copy-source.ts';
import type { ByteRange } from './ranges.ts';
import { openRange } from './reading.ts';

/** The version that was to be copied is gone: somebody overwrote or removed it, and its bytes with it. */
class SourceReplaced extends BytesUnavailable {}

/** How often a source that is replaced again and again is opened anew. */
const OPENINGS_MAX = 3;

export interface OpenedSource {
  readonly named: CopySource;
  readonly bucket: Bucket;
  readonly version: ObjectVersion;
  /** null when its bytes are not encrypted. */
  readonly dataKey: DataKey | null;
}

/** @throws {S3Error} NoSuchBucket, NoSuchKey, NoSuchVersion, AccessDenied, PreconditionFailed, InvalidRequest … */
export async function openCopySource(ctx: OperationContext): Promise<OpenedSource> {
  const named = parseCopySource(ctx.headers['x-amz-copy-source']!);
  const permission = named.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
  const about = named.versionId === undefined ? {} : { versionId: named.versionId };
  const bucket = await ctx.authorize(permission, named.bucketName, named.key, about);
  requireExpectedOwner(ctx, bucket);
  const version = await ctx.services.catalog.findVersion(bucket.id, named.key, named.versionId);
  if (version === null) {
    await ctx.authorize('s3:ListBucket', named.bucketName, '', { body: { 's3:prefix': named.key } });
    if (named.versionId === undefined) throw new S3Error('NoSuchKey', { fields: { Key: named.key } });
    throw new S3Error('NoSuchVersion', { fields: { Key: named.key, VersionId: named.versionId } });
  }
  if (version.isDeleteMarker) {
    if (named.versionId === undefined) throw new S3Error('NoSuchKey', { fields: { Key: named.key } });
    throw new S3Error('InvalidRequest', {
      message: 'The source of a copy request may not specifically refer to a delete marker by version id.',
    });
  }
  const owner = { bucket: named.bucketName, key: named.key };
  const dataKey = keyOf(ctx, version.encryption, owner, 'copy-source');
  requireCopySource(copySourceConditions(ctx.headers), version);
  return { named, bucket, version, dataKey };
}

/** @throws {S3Error} AccessDenied */
function requireExpectedOwner(ctx: OperationContext, bucket: Bucket): void {
  const expected = ctx.headers['x-amz-source-expected-bucket-owner'];
  if (expected !== undefined && expected !== bucket.owner) throw new S3Error('AccessDenied');
}

/** Copies what the source is by then when it is replaced meanwhile: a copy has the old bytes or the new ones. */
export async function whileReplaced<T>(
  ctx: OperationContext,
  opened: OpenedSource,
  copy: (source: OpenedSource) => Promise<T>,
): Promise<T> {
  for (let opening = 1, source = opened; ; opening += 1) {
    try {
      return await copy(source);
    } catch (error) {
      if (!(error instanceof SourceReplaced) || opening === OPENINGS_MAX) throw error;
      source = await openCopySource(ctx);
    }
  }
}

/** @throws {S3Error} InvalidRequest */
export function requireCopySize(bytes: number): void {
  if (bytes > LIMITS.copySourceBytesMax)
    throw new S3Error('InvalidRequest', {
      message: `The specified copy source is larger than the maximum allowable size for a copy source: ${LIMITS.copySourceBytesMax}`,
    });
}

/**
 * Bytes of another object, hashed while they pass. The read is opened when the first byte is asked for, so a write that
 * fails before leaves no read behind.
 */
export function bytesOf(
  ctx: Pick<OperationContext, 'services' | 'signal'>,
  { version, dataKey }: Pick<OpenedSource, 'version' | 'dataKey'>,
  range: ByteRange | null,
): ByteSource {
  const md5 = createHasher('MD5');
  let hashers: readonly { algorithm: ChecksumAlgorithm; hasher: ReturnType<typeof createHasher> }[] = [];
  return {
    length: range === null ? 0 : range.to - range.from + 1,
    async *stream(algorithms = []) {
      hashers = algorithms.map((algorithm) => ({ algorithm, hasher: createHasher(algorithm) }));
      if (range === null) return;
      for await (const chunk of await openSource(ctx, version, range, dataKey)) {
        md5.update(chunk);
        for (const { hasher } of hashers) hasher.update(chunk);
        yield chunk;
      }
    },
    result: () => ({
      md5: md5.digest().toString('hex'),
      checksums: Object.fromEntries(
        hashers.map(({ algorithm, hasher }) => [algorithm, hasher.digest().toString('base64')]),
      ),
    }),
  };
}

async function openSource(...opening: Parameters<typeof openRange>): Promise<AsyncIterable<Buffer>> {
  const bytes = await openRange(...opening);
  if (bytes === null) throw new SourceReplaced('the source was replaced in the meantime');
  return bytes;
}

/** The digests of bytes that stay where they are. */
export async function digestsOf(
  ctx: OperationContext,
  opened: OpenedSource,
  range: ByteRange | null,
  algorithms: readonly ChecksumAlgorithm[],
): Promise<ReturnType<ByteSource['result']>> {
  const source = bytesOf(ctx, opened, range);
  for await (const _ of source.stream(algorithms));
  return source.result();
}
