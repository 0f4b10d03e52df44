/** What the multipart operations share: the upload of a request, its part number, its algorithm. */
import type { UploadId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { ChecksumAlgorithm, Upload } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';
import { DEFAULT_ALGORITHM } from './checksums.ts';

const UPLOAD_ID = /^[A-Za-z0-9._~-]{1,64}$/;

/** @throws {S3Error} NoSuchUpload for what cannot be one of our ids */
export function uploadIdOf(ctx: OperationContext): UploadId {
  const text = ctx.query.get('uploadId') ?? '';
  if (!UPLOAD_ID.test(text)) throw new S3Error('NoSuchUpload', { fields: { UploadId: text } });
  return text as UploadId;
}

export async function requireUpload(ctx: OperationContext): Promise<Upload> {
  const uploadId = uploadIdOf(ctx);
  const upload = await ctx.services.catalog.findUpload(ctx.bucket!.id, ctx.key, uploadId);
  if (upload === null) throw new S3Error('NoSuchUpload', { fields: { UploadId: uploadId } });
  return upload;
}

/** @throws {S3Error} InvalidArgument */
export function partNumberOf(ctx: OperationContext): number {
  const text = ctx.query.get('partNumber') ?? '';
  const partNumber = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (partNumber < 1 || partNumber > LIMITS.partNumberMax)
    throw new S3Error('InvalidArgument', {
      message: `Part number must be an integer between 1 and ${LIMITS.partNumberMax}, inclusive`,
      fields: { ArgumentName: 'partNumber', ArgumentValue: text },
    });
  return partNumber;
}

/**
 * The algorithm of the checksums that an upload's parts are stored with. An upload that named none gets CRC64NVME, so
 * that the object has a full checksum as S3 gives it, whatever the parts were sent with.
 */
export const algorithmOf = (upload: Upload): ChecksumAlgorithm =>
  upload.checksumAlgorithm ?? DEFAULT_ALGORITHM;

/** A query parameter that counts: `max-parts`, `part-number-marker`. @throws {S3Error} InvalidArgument */
export function countOf(name: string, text: string | undefined, byDefault: number, max: number): number {
  if (text === undefined || text === '') return byDefault;
  if (!/^\d{1,10}$/.test(text) || Number(text) > 2 ** 31 - 1)
    throw new S3Error('InvalidArgument', {
      message: `Provided ${name} not an integer or within integer range`,
      fields: { ArgumentName: name, ArgumentValue: text },
    });
  return Math.min(Number(text), max);
}
