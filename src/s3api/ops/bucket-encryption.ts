/**
 * GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption. A bucket without one of its own shows what the store
 * does with its new objects: the gateway's default, or that there is none, which AWS (where every object is encrypted) no
 * longer says.
 */
import {
  bucketEncryptionXml,
  ENCRYPTION,
  encryptionOf,
  readBucketEncryption,
} from '../encryption/default.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

const query = { encryption: true } as const;

export const getBucketEncryption: OperationRow = {
  name: 'GetBucketEncryption',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetEncryptionConfiguration',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName, services }) => {
    const encryption = encryptionOf(bucket!, services.encryption?.byDefault);
    if (encryption === null)
      throw new S3Error('ServerSideEncryptionConfigurationNotFoundError', {
        fields: { BucketName: bucketName },
      });
    return { status: 200, body: bucketEncryptionXml(encryption) };
  },
};

export const putBucketEncryption: OperationRow = {
  name: 'PutBucketEncryption',
  method: 'PUT',
  target: 'bucket',
  query,
  permission: 's3:PutEncryptionConfiguration',
  body: 'xml',
  status: 'supported',
  run: async (ctx) => ({ status: 200, ...(await set(ctx, readBucketEncryption(ctx.text))) }),
};

export const deleteBucketEncryption: OperationRow = {
  name: 'DeleteBucketEncryption',
  method: 'DELETE',
  target: 'bucket',
  query,
  permission: 's3:PutEncryptionConfiguration',
  body: 'none',
  status: 'supported',
  run: async (ctx) => ({ status: 204, ...(await set(ctx, null)) }),
};

async function set(ctx: OperationContext, value: unknown): Promise<Pick<OperationResult, 'headers'>> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, ENCRYPTION, value);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return {};
}
