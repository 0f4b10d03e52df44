/** CreateMultipartUpload: says what the object will be; its parts come in any order. */
import { newWriteId } from '../../base/ids.ts';
import { accessOfNewObject } from '../acl/new-object.ts';
import { envelopeAttribute, newEncryption, newEncryptionHeaders } from '../encryption/object-encryption.ts';
import { uploadChecksum } from '../objects/checksums.ts';
import { refusalError } from '../objects/commits.ts';
import { abortHeaders } from '../objects/lifecycle-headers.ts';
import { requestedLocks } from '../objects/locks.ts';
import { objectAttributes } from '../objects/metadata.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, xmlDocument } from '../xml.ts';

export const createMultipartUpload: OperationRow = {
  name: 'CreateMultipartUpload',
  method: 'POST',
  target: 'object',
  query: { uploads: true },
  permission: 's3:PutObject',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const checksum = uploadChecksum(ctx.headers);
  // All parts are encrypted under its key: nothing is kept for each.
  const encryption = newEncryption(ctx);
  const access = await accessOfNewObject(ctx);
  const outcome = await ctx.services.catalog.createUpload({
    writeId: newWriteId(),
    bucketId: ctx.bucket!.id,
    key: ctx.key,
    owner: access.owner,
    attributes: {
      ...objectAttributes(ctx.headers),
      ...(await requestedLocks(ctx)),
      ...envelopeAttribute(encryption),
      ...access.attributes,
    },
    ...checksum,
  });
  const upload = settle(outcome, (reason) => refusalError(ctx, reason));
  return {
    status: 200,
    headers: {
      'x-amz-checksum-algorithm': checksum.checksumAlgorithm,
      'x-amz-checksum-type': checksum.checksumType,
      ...newEncryptionHeaders(encryption?.envelope, ctx.headers),
      ...abortHeaders(ctx.bucket!, upload),
    },
    body: xmlDocument(
      'InitiateMultipartUploadResult',
      tag('Bucket', ctx.bucketName) + tag('Key', ctx.key) + tag('UploadId', upload.uploadId),
    ),
  };
}
