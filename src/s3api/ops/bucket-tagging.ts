/** GetBucketTagging, PutBucketTagging and DeleteBucketTagging: a set that is replaced as a whole. */
import { readTagging } from '../documents.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { type Tags, taggingXml, validTags } from '../tags.ts';

/** The bucket's setting that holds them. */
export const TAGGING = 'tagging';
const query = { tagging: true } as const;

export const getBucketTagging: OperationRow = {
  name: 'GetBucketTagging',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetBucketTagging',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName }) => {
    const tags = bucket!.settings[TAGGING] as Tags | undefined;
    if (tags === undefined) throw new S3Error('NoSuchTagSet', { fields: { BucketName: bucketName } });
    return { status: 200, body: taggingXml(tags) };
  },
};

export const putBucketTagging: OperationRow = {
  name: 'PutBucketTagging',
  method: 'PUT',
  target: 'bucket',
  query,
  permission: 's3:PutBucketTagging',
  body: 'xml',
  checksumRequired: true,
  status: 'supported',
  run: (ctx) => setTags(ctx, validTags(readTagging(ctx.text), 'bucket')),
};

export const deleteBucketTagging: OperationRow = {
  name: 'DeleteBucketTagging',
  method: 'DELETE',
  target: 'bucket',
  query,
  permission: 's3:PutBucketTagging',
  body: 'none',
  status: 'supported',
  run: (ctx) => setTags(ctx, null),
};

async function setTags(ctx: OperationContext, tags: Tags | null): Promise<OperationResult> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, TAGGING, tags);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return { status: 204 };
}
