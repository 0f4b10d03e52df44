/**
 * CopyObject. Inside of one directory the copy shares the source's bytes: a row and a reference, no byte moves; the copy
 * then keeps ETag and checksum of the source. Otherwise (another directory, or bytes that lost their last reference a
 * moment ago) the bytes are streamed into a new blob.
 */
import { newWriteId } from '../../base/ids.ts';
import type { ObjectAttributes, ObjectChecksum, PutDone, PutVersion } from '../../ddm/catalog.ts';
import { DataKey, type SealUnder } from '../../identity/envelope.ts';
import { accessOfNewObject } from '../acl/new-object.ts';
import { wishOf } from '../encryption/headers.ts';
import {
  envelopeAttribute,
  keepsKey,
  newEncryptionHeaders,
  sealedFor,
  sealUnder,
  type WriteEncryption,
} from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import { causeOf } from '../objects/cause.ts';
import { checksumTags, DEFAULT_ALGORITHM, requestedAlgorithm } from '../objects/checksums.ts';
import { commitBytes, refusalError, writeBytes } from '../objects/commits.ts';
import { refuseEarly, writeCondition } from '../objects/conditions.ts';
import {
  bytesOf,
  digestsOf,
  type OpenedSource,
  openCopySource,
  requireCopySize,
  whileReplaced,
} from '../objects/copying.ts';
import { expirationHeader } from '../objects/lifecycle-headers.ts';
import { requestedLocks } from '../objects/locks.ts';
import { objectAttributes } from '../objects/metadata.ts';
import { newVersionHeaders, versionHeaders } from '../objects/response-headers.ts';
import { answerInTime, type XmlAnswer } from '../objects/slow-answer.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { quoted, tag, xmlDate, xmlDocument } from '../xml.ts';

export const copyObject: OperationRow = {
  name: 'CopyObject',
  method: 'PUT',
  target: 'object',
  headers: ['x-amz-copy-source'],
  permission: 's3:PutObject',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { catalog, clock } = ctx.services;
  const source = await openCopySource(ctx);
  await requireTagsOfCopy(ctx, source);
  // The source's locks are never copied, nor its list.
  const locks = await requestedLocks(ctx);
  const access = await accessOfNewObject(ctx);
  const condition = writeCondition(ctx.headers);
  const under = sealUnder(ctx);
  const putOf = (opened: OpenedSource): CommonPut => {
    requireCopySize(opened.version.size);
    return {
      bucketId: ctx.bucket!.id,
      key: ctx.key,
      owner: access.owner,
      cause: causeOf(ctx),
      size: opened.version.size,
      attributes: { ...attributesOfCopy(ctx, opened), ...locks, ...access.attributes },
      ...(condition === undefined ? {} : { condition }),
    };
  };
  putOf(source); // what is wrong with it is said before the work begins
  if (condition !== undefined) refuseEarly(condition, await catalog.findVersion(ctx.bucket!.id, ctx.key));
  return answerInTime(
    clock,
    whileReplaced(ctx, source, (opened) => copy(ctx, opened, putOf(opened), under)),
  );
}

type CommonPut = Omit<PutVersion, 'writeId' | 'etag' | 'checksum' | 'content'>;
interface Copied {
  readonly encryption: WriteEncryption | null;
  readonly done: PutDone;
  readonly etag: string;
  readonly checksum: ObjectChecksum | undefined;
}

async function copy(
  ctx: OperationContext,
  source: OpenedSource,
  put: CommonPut,
  under: SealUnder | null,
): Promise<XmlAnswer> {
  const mayShare = ctx.bucket!.directory === source.bucket.directory && keepsKey(ctx, source, under);
  const shared = mayShare ? await shareBytes(ctx, source, put, under) : null;
  const { done, etag, checksum, encryption } = shared ?? (await streamBytes(ctx, source, put, under));
  return {
    headers: {
      ...newVersionHeaders(done.versionId),
      ...newEncryptionHeaders(encryption?.envelope, ctx.headers),
      ...expirationHeader(ctx.bucket!, {
        ...put,
        tags: put.attributes.tags,
        lastModified: done.lastModified,
      }),
      'x-amz-copy-source-version-id': versionHeaders(source.bucket, source.version.versionId)[
        'x-amz-version-id'
      ],
    },
    body: xmlDocument(
      'CopyObjectResult',
      tag('LastModified', xmlDate(done.lastModified)) + tag('ETag', quoted(etag)) + checksumTags(checksum),
    ),
  };
}

/** null when the bytes cannot be shared any more. */
async function shareBytes(
  ctx: OperationContext,
  source: OpenedSource,
  put: CommonPut,
  under: SealUnder | null,
): Promise<Copied | null> {
  const { version, dataKey } = source;
  const encryption = under === null || dataKey === null ? null : sealedFor(ctx, under, dataKey);
  const checksum = await checksumOfShare(ctx, source);
  const outcome = await ctx.services.catalog.putVersion({
    ...withEnvelope(put, encryption),
    writeId: newWriteId(),
    etag: version.etag,
    ...(checksum === undefined ? {} : { checksum }),
    content: { kind: 'share', content: version.content },
  });
  if (outcome.outcome === 'refused' && outcome.reason === 'blob-dying') return null;
  const done = settle(outcome, (reason) => refusalError(ctx, reason));
  return { done, etag: version.etag, checksum, encryption };
}

const withEnvelope = (put: CommonPut, encryption: WriteEncryption | null): CommonPut => ({
  ...put,
  attributes: { ...put.attributes, ...envelopeAttribute(encryption) },
});

/** The source's checksum, or, where another algorithm is asked for, one computed by reading the source once. */
async function checksumOfShare(
  ctx: OperationContext,
  opened: OpenedSource,
): Promise<ObjectChecksum | undefined> {
  const { version } = opened;
  const algorithm = requestedAlgorithm(ctx.headers);
  if (algorithm === undefined || algorithm === version.checksum?.algorithm) return version.checksum;
  const { checksums } = await digestsOf(ctx, opened, rangeOfAll(version.size), [algorithm]);
  return { algorithm, type: 'FULL_OBJECT', value: checksums[algorithm]! };
}

async function streamBytes(
  ctx: OperationContext,
  source: OpenedSource,
  common: CommonPut,
  under: SealUnder | null,
): Promise<Copied> {
  const { version } = source;
  const encryption = under === null ? null : sealedFor(ctx, under, DataKey.random());
  const put = withEnvelope(common, encryption);
  const algorithm = requestedAlgorithm(ctx.headers) ?? version.checksum?.algorithm ?? DEFAULT_ALGORITHM;
  const bytes = bytesOf(ctx, source, rangeOfAll(version.size));
  const written = await writeBytes(ctx, bytes, {
    placement: { kind: 'object', bucket: ctx.bucketName, key: ctx.key },
    extraChecksums: [algorithm],
    encryption,
  });
  const checksum = { algorithm, type: 'FULL_OBJECT', value: written.checksums[algorithm]! } as const;
  const { writeId, etag } = written;
  const done = await commitBytes(
    ctx,
    written,
    (content) => ctx.services.catalog.putVersion({ ...put, writeId, etag, checksum, content }),
    (reason) => refusalError(ctx, reason),
  );
  return { done, etag, checksum, encryption };
}

/** Tags that are copied are read, and set. @throws {S3Error} AccessDenied */
async function requireTagsOfCopy(ctx: OperationContext, { named, version }: OpenedSource): Promise<void> {
  if (directive(ctx, 'x-amz-tagging-directive', 'tagging') === 'REPLACE') return;
  if (Object.keys(version.tags).length === 0) return;
  const about = named.versionId === undefined ? {} : { versionId: named.versionId };
  const reading = named.versionId === undefined ? 's3:GetObjectTagging' : 's3:GetObjectVersionTagging';
  await ctx.authorize(reading, named.bucketName, named.key, about);
  await ctx.authorize('s3:PutObjectTagging', ctx.bucketName, ctx.key, { tags: version.tags });
}

const rangeOfAll = (size: number) => (size === 0 ? null : { from: 0, to: size - 1 });

/** @throws {S3Error} InvalidArgument, InvalidRequest (a copy to itself that changes nothing) */
function attributesOfCopy(ctx: OperationContext, { named, version }: OpenedSource): ObjectAttributes {
  const metadata = directive(ctx, 'x-amz-metadata-directive', 'metadata');
  const tagging = directive(ctx, 'x-amz-tagging-directive', 'tagging');
  const given = objectAttributes(ctx.headers);
  const redirect = given.system.websiteRedirectLocation;
  const changes =
    metadata === 'REPLACE' ||
    tagging === 'REPLACE' ||
    redirect !== undefined ||
    given.storageClass !== version.storageClass ||
    wishOf(ctx.headers) !== null ||
    ctx.headers['x-amz-checksum-algorithm'] !== undefined;
  const ontoItself =
    named.bucketName === ctx.bucketName && named.key === ctx.key && named.versionId === undefined;
  if (ontoItself && !changes)
    throw new S3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    });
  // A website redirect is never copied.
  const { websiteRedirectLocation: _, ...kept } = version.system;
  const system = redirect === undefined ? kept : { ...kept, websiteRedirectLocation: redirect };
  return {
    system: metadata === 'REPLACE' ? given.system : system,
    user: metadata === 'REPLACE' ? given.user : version.user,
    tags: tagging === 'REPLACE' ? given.tags : version.tags,
    storageClass: given.storageClass,
  };
}

function directive(ctx: OperationContext, header: string, what: string): 'COPY' | 'REPLACE' {
  const value = ctx.headers[header] ?? 'COPY';
  if (value === 'COPY' || value === 'REPLACE') return value;
  throw new S3Error('InvalidArgument', {
    message: `Unknown ${what} directive.`,
    fields: { ArgumentName: header, ArgumentValue: value },
  });
}
