/** HeadBucket, DeleteBucket, GetBucketLocation: what is asked of a bucket as a whole. */
import { S3Error } from '../errors.ts';
import type { OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { xmlDocument } from '../xml.ts';

export const headBucket: OperationRow = {
  name: 'HeadBucket',
  method: 'HEAD',
  target: 'bucket',
  permission: 's3:ListBucket',
  body: 'none',
  status: 'supported',
  run: async ({ bucket }) => ({
    status: 200,
    headers: {
      'x-amz-bucket-region': bucket!.region,
      'x-amz-access-point-alias': 'false',
      'content-type': 'application/xml',
    },
  }),
};

export const deleteBucket: OperationRow = {
  name: 'DeleteBucket',
  method: 'DELETE',
  target: 'bucket',
  permission: 's3:DeleteBucket',
  body: 'none',
  status: 'supported',
  run: async ({ services, bucket }) => {
    const fields = { BucketName: bucket!.name };
    settle(await services.catalog.deleteBucket(bucket!.id), (reason) =>
      reason === 'not-empty'
        ? new S3Error('BucketNotEmpty', { fields })
        : new S3Error('NoSuchBucket', { fields }),
    );
    return { status: 204 };
  },
};

export const getBucketLocation: OperationRow = {
  name: 'GetBucketLocation',
  method: 'GET',
  target: 'bucket',
  query: { location: true },
  permission: 's3:GetBucketLocation',
  body: 'none',
  status: 'supported',
  run: async ({ bucket }) => ({
    status: 200,
    // us-east-1 is shown as an empty element.
    body: xmlDocument('LocationConstraint', bucket!.region === 'us-east-1' ? '' : bucket!.region),
  }),
};
