/** AbortMultipartUpload: the parts lose their references; their bytes are reclaimed like any others. */
import { S3Error } from '../errors.ts';
import { uploadIdOf } from '../objects/uploads.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

export const abortMultipartUpload: OperationRow = {
  name: 'AbortMultipartUpload',
  method: 'DELETE',
  target: 'object',
  query: { uploadId: true },
  permission: 's3:AbortMultipartUpload',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const uploadId = uploadIdOf(ctx);
  const outcome = await ctx.services.catalog.abortUpload(ctx.bucket!.id, ctx.key, uploadId);
  settle(outcome, () => new S3Error('NoSuchUpload', { fields: { UploadId: uploadId } }));
  return { status: 204 };
}
