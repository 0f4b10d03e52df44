/** DeleteObject: 204 whether or not there was something; a delete marker where versioning is on. */
import { newWriteId } from '../../base/ids.ts';
import { causeOf } from '../objects/cause.ts';
import { refusalError } from '../objects/commits.ts';
import { deleteCondition } from '../objects/conditions.ts';
import { bypassesGovernance } from '../objects/locks.ts';
import { ownerOf } from '../objects/owner.ts';
import { versionHeaders } from '../objects/response-headers.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

export const deleteObject: OperationRow = {
  name: 'DeleteObject',
  method: 'DELETE',
  target: 'object',
  permission: 's3:DeleteObject',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const bucket = ctx.bucket!;
  const versionId = ctx.query.get('versionId');
  const condition = deleteCondition(ctx.headers);
  const outcome = await ctx.services.catalog.deleteVersion({
    writeId: newWriteId(),
    bucketId: bucket.id,
    key: ctx.key,
    owner: ownerOf(ctx),
    cause: causeOf(ctx),
    ...(versionId === undefined ? {} : { versionId }),
    ...(condition === undefined ? {} : { condition }),
    bypassGovernance: await bypassesGovernance(ctx, ctx.key),
  });
  const done = settle(outcome, (reason) => refusalError(ctx, reason));
  return {
    status: 204,
    headers: {
      'x-amz-delete-marker': done.deleteMarker ? 'true' : undefined,
      ...versionHeaders(bucket, done.versionId ?? versionId),
    },
  };
}
