/** GetObjectTagging, PutObjectTagging and DeleteObjectTagging: the tags of one version. */
import { newWriteId } from '../../base/ids.ts';
import type { CommitRefusal } from '../../ddm/catalog.ts';
import { readTagging } from '../documents.ts';
import { S3Error } from '../errors.ts';
import { serviceUnavailable } from '../lower-errors.ts';
import { requireVersion } from '../objects/reading.ts';
import { type ResponseHeaders, versionHeaders } from '../objects/response-headers.ts';
import type { OperationContext, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { validTags } from '../tags.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';

const query = { tagging: true } as const;

export const getObjectTagging: OperationRow = {
  name: 'GetObjectTagging',
  method: 'GET',
  target: 'object',
  query,
  permission: 's3:GetObjectTagging',
  body: 'none',
  status: 'supported',
  run: async (ctx) => {
    const version = await requireVersion(ctx);
    // In the order of keys: the catalog keeps no other.
    const tags = Object.entries(version.tags)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => wrap('Tag', tag('Key', key) + tag('Value', value)));
    return {
      status: 200,
      headers: versionHeaders(ctx.bucket!, version.versionId),
      body: xmlDocument('Tagging', wrap('TagSet', tags.join(''))),
    };
  },
};

export const putObjectTagging: OperationRow = {
  name: 'PutObjectTagging',
  method: 'PUT',
  target: 'object',
  query,
  permission: 's3:PutObjectTagging',
  body: 'xml',
  status: 'supported',
  run: async (ctx) => ({
    status: 200,
    headers: await replaceTags(ctx, validTags(readTagging(ctx.text))),
  }),
};

export const deleteObjectTagging: OperationRow = {
  name: 'DeleteObjectTagging',
  method: 'DELETE',
  target: 'object',
  query,
  permission: 's3:DeleteObjectTagging',
  body: 'none',
  status: 'supported',
  run: async (ctx) => ({ status: 204, headers: await replaceTags(ctx, {}) }),
};

async function replaceTags(
  ctx: OperationContext,
  tags: Readonly<Record<string, string>>,
): Promise<ResponseHeaders> {
  const version = await requireVersion(ctx);
  const { versionId } = version;
  const outcome = await ctx.services.catalog.setTags({
    writeId: newWriteId(),
    bucketId: ctx.bucket!.id,
    key: ctx.key,
    versionId,
    tags,
  });
  settle(outcome, (reason) => refusedTags(reason, ctx, versionId));
  return versionHeaders(ctx.bucket!, versionId);
}

function refusedTags(reason: CommitRefusal, ctx: OperationContext, versionId: string): S3Error {
  switch (reason) {
    case 'bucket-gone':
      return new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } });
    case 'no-such-key':
      return new S3Error('NoSuchKey', { fields: { Key: ctx.key } });
    case 'no-such-version':
      return ctx.query.has('versionId')
        ? new S3Error('NoSuchVersion', { fields: { Key: ctx.key, VersionId: versionId } })
        : new S3Error('NoSuchKey', { fields: { Key: ctx.key } });
    default:
      return serviceUnavailable(new Error(`tags refused: ${reason}`));
  }
}
