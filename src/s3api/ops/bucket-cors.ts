/** GetBucketCors, PutBucketCors and DeleteBucketCors. */
import { corsRules } from '../cors/answers.ts';
import { corsXml, readCorsConfiguration } from '../cors/document.ts';
import { CORS, type CorsRule } from '../cors/rules.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

const query = { cors: true } as const;

export const getBucketCors: OperationRow = {
  name: 'GetBucketCors',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetBucketCORS',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName }) => {
    const rules = corsRules(bucket);
    if (rules.length === 0)
      throw new S3Error('NoSuchCORSConfiguration', { fields: { BucketName: bucketName } });
    return { status: 200, body: corsXml(rules) };
  },
};

export const putBucketCors: OperationRow = {
  name: 'PutBucketCors',
  method: 'PUT',
  target: 'bucket',
  query,
  permission: 's3:PutBucketCORS',
  body: 'xml',
  checksumRequired: true,
  status: 'supported',
  run: (ctx) => setRules(ctx, readCorsConfiguration(ctx.text), 200),
};

export const deleteBucketCors: OperationRow = {
  name: 'DeleteBucketCors',
  method: 'DELETE',
  target: 'bucket',
  query,
  permission: 's3:PutBucketCORS',
  body: 'none',
  status: 'supported',
  run: (ctx) => setRules(ctx, null, 204),
};

async function setRules(
  ctx: OperationContext,
  rules: readonly CorsRule[] | null,
  status: number,
): Promise<OperationResult> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, CORS, rules);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return { status };
}
