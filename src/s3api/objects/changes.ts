/** Changes of a version in place: tags, retention, legal hold. */
import { newWriteId } from '../../base/ids.ts';
import type { CommitRefusal, Outcome, VersionChange } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { causeOf } from './cause.ts';
import { refusalError } from './commits.ts';
import { requireVersion } from './reading.ts';

/**
 * Commits a change of the version that the request is about.
 * @returns the id of that version
 * @throws {S3Error} NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker), AccessDenied (locked) …
 */
export async function changeVersion(
  ctx: OperationContext,
  commit: (change: VersionChange) => Promise<Outcome<{ versionId: string }, CommitRefusal>>,
): Promise<string> {
  const { versionId } = await requireVersion(ctx);
  const outcome = await commit({
    writeId: newWriteId(),
    bucketId: ctx.bucket!.id,
    key: ctx.key,
    versionId,
    cause: causeOf(ctx),
  });
  return settle(outcome, (reason) => refusedChange(reason, ctx, versionId)).versionId;
}

/** The version may have gone since it was looked up. */
function refusedChange(reason: CommitRefusal, ctx: OperationContext, versionId: string): S3Error {
  if (reason === 'bucket-gone')
    return new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } });
  if (reason !== 'no-such-version') return refusalError(ctx, reason);
  return ctx.query.has('versionId')
    ? new S3Error('NoSuchVersion', { fields: { Key: ctx.key, VersionId: versionId } })
    : new S3Error('NoSuchKey', { fields: { Key: ctx.key } });
}
