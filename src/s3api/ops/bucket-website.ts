/** GetBucketWebsite, PutBucketWebsite and DeleteBucketWebsite; who visits it is served by website/serve.ts. */
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { readWebsiteConfiguration, websiteXml } from '../website/document.ts';
import { WEBSITE, type WebsiteConfiguration } from '../website/routing.ts';

const query = { website: true } as const;

export const getBucketWebsite: OperationRow = {
  name: 'GetBucketWebsite',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetBucketWebsite',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName }) => {
    const website = bucket!.settings[WEBSITE] as WebsiteConfiguration | undefined;
    if (website === undefined)
      throw new S3Error('NoSuchWebsiteConfiguration', { fields: { BucketName: bucketName } });
    return { status: 200, body: websiteXml(website) };
  },
};

export const putBucketWebsite: OperationRow = {
  name: 'PutBucketWebsite',
  method: 'PUT',
  target: 'bucket',
  query,
  permission: 's3:PutBucketWebsite',
  body: 'xml',
  status: 'supported',
  run: (ctx) => setWebsite(ctx, readWebsiteConfiguration(ctx.text), 200),
};

export const deleteBucketWebsite: OperationRow = {
  name: 'DeleteBucketWebsite',
  method: 'DELETE',
  target: 'bucket',
  query,
  permission: 's3:DeleteBucketWebsite',
  body: 'none',
  status: 'supported',
  run: (ctx) => setWebsite(ctx, null, 204),
};

async function setWebsite(
  ctx: OperationContext,
  website: WebsiteConfiguration | null,
  status: number,
): Promise<OperationResult> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, WEBSITE, website);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return { status };
}
