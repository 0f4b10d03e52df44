/** UploadPart: a part is a blob of its own; uploading a number again replaces it. */
import { LIMITS } from '../../base/limits.ts';
import type { ChecksumAlgorithm, Upload } from '../../ddm/catalog.ts';
import { encryptionHeaders, partEncryption } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import { checksumHeader, DEFAULT_ALGORITHM } from '../objects/checksums.ts';
import { commitBytes, refusalError, writeBytes } from '../objects/commits.ts';
import { algorithmOf, partNumberOf, requireUpload } from '../objects/uploads.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { quoted } from '../xml.ts';
import { requireSize } from './put-object.ts';

export const uploadPart: OperationRow = {
  name: 'UploadPart',
  method: 'PUT',
  target: 'object',
  query: { partNumber: true, uploadId: true },
  permission: 's3:PutObject',
  body: 'stream',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { catalog } = ctx.services;
  const body = ctx.body!;
  const partNumber = partNumberOf(ctx);
  requireSize(body.length, LIMITS.partBytesMax);
  const upload = await requireUpload(ctx);
  requireSameAlgorithm(upload, body.declaredChecksum);
  const encryption = partEncryption(ctx, upload.attributes.encryption);

  const stored = algorithmOf(upload);
  const shown = body.declaredChecksum ?? DEFAULT_ALGORITHM;
  const { uploadId } = upload;
  const written = await writeBytes(ctx, body, {
    placement: { kind: 'part', uploadId, partNumber },
    part: { uploadId, partNumber },
    extraChecksums: shown === stored ? [stored] : [stored, shown],
    encryption,
  });
  const part = {
    writeId: written.writeId,
    bucketId: ctx.bucket!.id,
    uploadId,
    partNumber,
    size: body.length,
    etag: written.etag,
    checksum: written.checksums[stored]!,
  };
  await commitBytes(
    ctx,
    written,
    (content) => catalog.putPart({ ...part, content }),
    (reason) => refusalError(ctx, reason),
  );
  return {
    status: 200,
    headers: {
      etag: quoted(written.etag),
      [checksumHeader(shown)]: written.checksums[shown],
      ...encryptionHeaders(encryption?.envelope, ctx.headers),
    },
  };
}

/** An upload that named an algorithm takes parts with that algorithm alone. @throws {S3Error} InvalidRequest */
function requireSameAlgorithm(upload: Upload, declared: ChecksumAlgorithm | null): void {
  if (upload.checksumAlgorithm === undefined || upload.checksumAlgorithm === declared) return;
  throw new S3Error('InvalidRequest', {
    message: `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksumAlgorithm.toLowerCase()}, actual checksum Type: ${declared?.toLowerCase() ?? 'null'}`,
  });
}
