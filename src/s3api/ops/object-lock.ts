/**
 * GetObjectLockConfiguration and PutObjectLockConfiguration. Object lock is turned on with the bucket, or here where
 * versioning is on; it is never turned off, only its default retention changes.
 */
import type { DefaultRetention } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import { readObjectLockConfiguration } from '../lock-documents.ts';
import type { OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';

export const getObjectLockConfiguration: OperationRow = {
  name: 'GetObjectLockConfiguration',
  method: 'GET',
  target: 'bucket',
  query: { 'object-lock': true },
  permission: 's3:GetBucketObjectLockConfiguration',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName }) => {
    if (!bucket!.objectLock)
      throw new S3Error('ObjectLockConfigurationNotFoundError', { fields: { BucketName: bucketName } });
    const rule = bucket!.defaultRetention ? ruleXml(bucket!.defaultRetention) : '';
    return {
      status: 200,
      body: xmlDocument('ObjectLockConfiguration', tag('ObjectLockEnabled', 'Enabled') + rule),
    };
  },
};

function ruleXml(retention: DefaultRetention): string {
  const period = 'days' in retention ? tag('Days', retention.days) : tag('Years', retention.years);
  return wrap('Rule', wrap('DefaultRetention', tag('Mode', retention.mode) + period));
}

export const putObjectLockConfiguration: OperationRow = {
  name: 'PutObjectLockConfiguration',
  method: 'PUT',
  target: 'bucket',
  query: { 'object-lock': true },
  permission: 's3:PutBucketObjectLockConfiguration',
  body: 'xml',
  checksumRequired: true,
  status: 'supported',
  run: async ({ services, bucket, text }) => {
    const outcome = await services.catalog.setObjectLock(bucket!.id, readObjectLockConfiguration(text));
    settle(outcome, (reason) =>
      reason === 'not-versioned'
        ? new S3Error('InvalidBucketState', {
            message: "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
          })
        : new S3Error('NoSuchBucket', { fields: { BucketName: bucket!.name } }),
    );
    return { status: 200 };
  },
};
