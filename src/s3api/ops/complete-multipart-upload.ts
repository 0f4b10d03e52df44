/**
 * CompleteMultipartUpload: parts become an object by a row and a manifest; no byte moves. Repeated with the same parts
 * after success it gives the first result, so a client may repeat it after a lost answer or a 503.
 */
import { newWriteId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { CompleteUpload, ObjectChecksum, Upload, UploadPart } from '../../ddm/catalog.ts';
import { type CompletePartDocument, readCompleteMultipartUpload } from '../documents.ts';
import { customerKeyOf } from '../encryption/headers.ts';
import { completedHeaders, envelopeIn, partEncryption } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import {
  checkClaims,
  checksumOfParts,
  chooseParts,
  etagOfParts,
  inOrder,
  sizeOf,
} from '../objects/assembly.ts';
import { causeOf } from '../objects/cause.ts';
import { checksumTags } from '../objects/checksums.ts';
import { refusalError } from '../objects/commits.ts';
import { writeCondition } from '../objects/conditions.ts';
import { expirationHeader } from '../objects/lifecycle-headers.ts';
import { newVersionHeaders } from '../objects/response-headers.ts';
import { answerInTime, type XmlAnswer } from '../objects/slow-answer.ts';
import { uploadIdOf } from '../objects/uploads.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { quoted, tag, urlEncode, xmlDocument } from '../xml.ts';

export const completeMultipartUpload: OperationRow = {
  name: 'CompleteMultipartUpload',
  method: 'POST',
  target: 'object',
  query: { uploadId: true },
  permission: 's3:PutObject',
  body: 'xml',
  checksumsOfObject: true,
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const named = inOrder(readCompleteMultipartUpload(ctx.text));
  const uploadId = uploadIdOf(ctx);
  const condition = writeCondition(ctx.headers);
  const common = {
    writeId: newWriteId(),
    bucketId: ctx.bucket!.id,
    key: ctx.key,
    uploadId,
    cause: causeOf(ctx),
    parts: named.map(({ partNumber, etag }) => ({ partNumber, etag })),
    ...(condition === undefined ? {} : { condition }),
  };
  return answerInTime(ctx.services.clock, complete(ctx, named, common));
}

type Common = Omit<CompleteUpload, 'size' | 'etag' | 'checksum'>;

async function complete(
  ctx: OperationContext,
  named: readonly CompletePartDocument[],
  common: Common,
): Promise<XmlAnswer> {
  const { catalog } = ctx.services;
  const upload = await catalog.findUpload(common.bucketId, ctx.key, common.uploadId);
  if (upload === null) return repeated(ctx, common);
  requireCustomerKey(ctx, upload);
  const parts = chooseParts(upload, named, await uploadedParts(ctx, upload));
  const size = sizeOf(parts);
  const checksum = checksumOfParts(upload, parts);
  checkClaims(ctx.headers, { size, checksum });
  const outcome = await catalog.completeUpload({
    ...common,
    size,
    etag: etagOfParts(parts),
    ...(checksum === undefined ? {} : { checksum }),
  });
  const done = settle(outcome, (reason) => refusalError(ctx, reason));
  const { tags, encryption } = upload.attributes;
  const object = { key: ctx.key, size, tags, lastModified: done.lastModified };
  return answer(ctx, done, checksum, encryption, object);
}

/** As S3: the client's key is wanted where a checksum was, else only right where it is given. @throws {S3Error} InvalidRequest */
function requireCustomerKey(ctx: OperationContext, { attributes, checksumAlgorithm }: Upload): void {
  const given = customerKeyOf(ctx.headers) !== null;
  const wanted = envelopeIn(attributes.encryption)?.algorithm === 'SSE-C' && checksumAlgorithm !== undefined;
  if (given || wanted) partEncryption(ctx, attributes.encryption);
}

/** The upload is not there: it may have been completed a moment ago, by this very request. */
async function repeated(ctx: OperationContext, common: Common): Promise<XmlAnswer> {
  const { catalog } = ctx.services;
  // Size and ETag come from parts that are no rows any more; the catalog answers from its first result or refuses.
  const outcome = await catalog.completeUpload({ ...common, size: 0, etag: '' });
  const done = settle(outcome, (reason) =>
    reason === 'no-such-upload'
      ? new S3Error('NoSuchUpload', { fields: { UploadId: common.uploadId } })
      : refusalError(ctx, reason),
  );
  const version = await catalog.findVersion(common.bucketId, ctx.key, done.versionId);
  const same = version?.etag === done.etag ? version : undefined;
  return answer(ctx, done, same?.checksum, same?.encryption, same?.isLatest ? same : undefined);
}

function answer(
  ctx: OperationContext,
  done: { readonly versionId: string; readonly etag: string },
  checksum: ObjectChecksum | undefined,
  encryption: unknown,
  object: Parameters<typeof expirationHeader>[1] | undefined,
): XmlAnswer {
  return {
    headers: {
      ...newVersionHeaders(done.versionId),
      ...completedHeaders(encryption, ctx.headers),
      ...(object && expirationHeader(ctx.bucket!, object)),
    },
    body: xmlDocument(
      'CompleteMultipartUploadResult',
      tag('Location', locationOf(ctx)) +
        tag('Bucket', ctx.bucketName) +
        tag('Key', ctx.key) +
        tag('ETag', quoted(done.etag)) +
        checksumTags(checksum),
    ),
  };
}

function locationOf(ctx: OperationContext): string {
  const { scheme, host } = ctx.origin;
  const path = host.startsWith(`${ctx.bucketName}.`) ? '' : `${ctx.bucketName}/`;
  return `${host === '' ? '' : `${scheme}://${host}`}/${path}${urlEncode(ctx.key)}`;
}

async function uploadedParts(
  ctx: OperationContext,
  upload: Upload,
): Promise<ReadonlyMap<number, UploadPart>> {
  const parts = new Map<number, UploadPart>();
  for (let after = 0; ; ) {
    const query = { after, max: LIMITS.listKeysMax };
    const page = await ctx.services.catalog.listParts(upload.bucketId, upload.uploadId, query);
    for (const part of page.parts) parts.set(part.partNumber, part);
    const last = page.parts.at(-1);
    if (!page.truncated || last === undefined) return parts;
    after = last.partNumber;
  }
}
