/**
 * DeleteObjects: up to 1,000 keys in one request, each with an outcome of its own. Deletions run a few at a time;
 * the catalog's combiner makes few statements of them.
 */
import { newWriteId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { DeleteDone, WriteCondition } from '../../ddm/catalog.ts';
import { type DeleteEntry, readDelete } from '../documents.ts';
import { S3Error } from '../errors.ts';
import { toS3Error } from '../lower-errors.ts';
import { causeOf } from '../objects/cause.ts';
import { refusalError } from '../objects/commits.ts';
import { bypassesGovernance } from '../objects/locks.ts';
import { ownerOf } from '../objects/owner.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';

const CONCURRENT = 64;

export const deleteObjects: OperationRow = {
  name: 'DeleteObjects',
  method: 'POST',
  target: 'bucket',
  query: { delete: true },
  permission: 's3:DeleteObject',
  asksItself: true,
  body: 'xml',
  checksumRequired: true,
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { quiet, objects } = readDelete(ctx.text);
  const answers = new Array<string>(objects.length).fill('');
  let next = 0;
  const worker = async () => {
    while (next < objects.length) {
      const at = next++;
      answers[at] = await deleteOne(ctx, objects[at]!, quiet);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENT, objects.length) }, worker));
  return { status: 200, body: xmlDocument('DeleteResult', answers.join('')) };
}

async function deleteOne(ctx: OperationContext, entry: DeleteEntry, quiet: boolean): Promise<string> {
  try {
    const done = await commit(ctx, entry);
    return quiet ? '' : deletedXml(entry, done);
  } catch (error) {
    const s3 = toS3Error(error);
    if (s3.code === 'InternalError') ctx.log.error({ err: error }, 'deletion failed');
    return wrap(
      'Error',
      tag('Key', entry.key) +
        tag('VersionId', entry.versionId) +
        tag('Code', s3.code) +
        tag('Message', s3.message),
    );
  }
}

async function commit(ctx: OperationContext, entry: DeleteEntry): Promise<DeleteDone> {
  if (Buffer.byteLength(entry.key) > LIMITS.keyBytesMax) throw new S3Error('KeyTooLongError');
  const permission = entry.versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion';
  const about = entry.versionId === undefined ? {} : { versionId: entry.versionId };
  await ctx.authorize(permission, ctx.bucketName, entry.key, about);
  if (entry.etag !== undefined) await ctx.authorize('s3:GetObject', ctx.bucketName, entry.key);
  const condition = conditionOf(entry);
  const outcome = await ctx.services.catalog.deleteVersion({
    writeId: newWriteId(),
    bucketId: ctx.bucket!.id,
    key: entry.key,
    owner: ownerOf(ctx),
    cause: causeOf(ctx),
    ...(entry.versionId === undefined ? {} : { versionId: entry.versionId }),
    ...(condition === undefined ? {} : { condition }),
    bypassGovernance: await bypassesGovernance(ctx, entry.key),
  });
  return settle(outcome, (reason) => refusalError(entry, reason));
}

function conditionOf(entry: DeleteEntry): WriteCondition | undefined {
  const { etag, lastModified, size } = entry;
  if (etag === undefined && lastModified === undefined && size === undefined) return undefined;
  return {
    ...(etag === undefined ? {} : { ifMatch: etag }),
    ...(lastModified === undefined ? {} : { ifMatchLastModified: lastModified }),
    ...(size === undefined ? {} : { ifMatchSize: size }),
  };
}

/** A marker that was written is named in DeleteMarkerVersionId; so is one that was removed. */
function deletedXml(entry: DeleteEntry, done: DeleteDone): string {
  return wrap(
    'Deleted',
    tag('Key', entry.key) +
      tag('VersionId', entry.versionId) +
      (done.deleteMarker ? tag('DeleteMarker', true) + tag('DeleteMarkerVersionId', done.versionId) : ''),
  );
}
