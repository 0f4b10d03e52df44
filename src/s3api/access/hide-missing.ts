/**
 * Who may not list a bucket is not told which keys it has not: the same refusal as for keys that it has.
 * Source: "Permissions", GetObject and HeadObject, Amazon S3 API Reference.
 */
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult } from '../operation.ts';

export async function hidingWhatIsMissing(
  ctx: OperationContext,
  run: () => Promise<OperationResult>,
): Promise<OperationResult> {
  try {
    return await run();
  } catch (error) {
    const missing =
      error instanceof S3Error && (error.code === 'NoSuchKey' || error.code === 'NoSuchVersion');
    if (!missing || ctx.bucket === null || ctx.operation.target !== 'object') throw error;
    if (await ctx.allows('s3:ListBucket', '')) throw error;
    throw new S3Error('AccessDenied', { cause: error });
  }
}
