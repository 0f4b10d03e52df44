/**
 * PutObject. What can be refused is refused before the body is read; the commit comes last, and only its outcome
 * decides what becomes of the bytes (objects/commits.ts).
 */
import { LIMITS } from '../../base/limits.ts';
import { accessOfNewObject } from '../acl/new-object.ts';
import { envelopeAttribute, newEncryption, newEncryptionHeaders } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import { causeOf } from '../objects/cause.ts';
import { checksumHeaders, DEFAULT_ALGORITHM } from '../objects/checksums.ts';
import { commitBytes, refusalError, writeBytes } from '../objects/commits.ts';
import { refuseEarly, writeCondition } from '../objects/conditions.ts';
import { expirationHeader } from '../objects/lifecycle-headers.ts';
import { requestedLocks, requireChecksumOfLocked } from '../objects/locks.ts';
import { objectAttributes } from '../objects/metadata.ts';
import { newVersionHeaders } from '../objects/response-headers.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { quoted } from '../xml.ts';

export const putObject: OperationRow = {
  name: 'PutObject',
  method: 'PUT',
  target: 'object',
  permission: 's3:PutObject',
  body: 'stream',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { catalog } = ctx.services;
  const bucket = ctx.bucket!;
  const body = ctx.body!;
  requireSize(body.length, LIMITS.putBytesMax);
  const locks = await requestedLocks(ctx);
  requireChecksumOfLocked(ctx, locks);
  const encryption = newEncryption(ctx);
  const access = await accessOfNewObject(ctx);
  const attributes = {
    ...objectAttributes(ctx.headers),
    ...locks,
    ...envelopeAttribute(encryption),
    ...access.attributes,
  };
  const condition = writeCondition(ctx.headers);
  if (condition !== undefined) refuseEarly(condition, await catalog.findVersion(bucket.id, ctx.key));

  const algorithm = body.declaredChecksum ?? DEFAULT_ALGORITHM;
  const written = await writeBytes(ctx, body, {
    placement: { kind: 'object', bucket: ctx.bucketName, key: ctx.key },
    extraChecksums: [algorithm],
    encryption,
  });
  const checksum = { algorithm, type: 'FULL_OBJECT', value: written.checksums[algorithm]! } as const;
  const put = {
    writeId: written.writeId,
    bucketId: bucket.id,
    key: ctx.key,
    owner: access.owner,
    size: body.length,
    etag: written.etag,
    attributes,
    checksum,
    cause: causeOf(ctx),
    ...(condition === undefined ? {} : { condition }),
  };
  const done = await commitBytes(
    ctx,
    written,
    (content) => catalog.putVersion({ ...put, content }),
    (reason) => refusalError(ctx, reason),
  );
  return {
    status: 200,
    headers: {
      etag: quoted(written.etag),
      ...checksumHeaders(checksum),
      ...newEncryptionHeaders(encryption?.envelope, ctx.headers),
      ...newVersionHeaders(done.versionId),
      ...expirationHeader(bucket, { ...put, tags: attributes.tags, lastModified: done.lastModified }),
    },
  };
}

/** @throws {S3Error} EntityTooLarge */
export function requireSize(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax)
    throw new S3Error('EntityTooLarge', {
      fields: { ProposedSize: String(bytes), MaxSizeAllowed: String(bytesMax) },
    });
}
