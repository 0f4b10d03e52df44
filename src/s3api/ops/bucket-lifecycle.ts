/** GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration, DeleteBucketLifecycle. What applies the rules: src/jobs/lifecycle/. */
import { STORAGE_CLASSES } from '../../lifecycle/classes.ts';
import { LIFECYCLE_SETTING, lifecycleOf, MINIMUM_SIZES, type MinimumSize } from '../../lifecycle/rules.ts';
import { S3Error } from '../errors.ts';
import { lifecycleXml, readLifecycle } from '../lifecycle-documents.ts';
import type { OperationContext, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

const MINIMUM_SIZE = 'x-amz-transition-default-minimum-object-size';

export const getBucketLifecycle: OperationRow = {
  name: 'GetBucketLifecycleConfiguration',
  method: 'GET',
  target: 'bucket',
  query: { lifecycle: true },
  permission: 's3:GetLifecycleConfiguration',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName }) => {
    const configuration = lifecycleOf(bucket!.settings);
    if (configuration === null)
      throw new S3Error('NoSuchLifecycleConfiguration', { fields: { BucketName: bucketName } });
    return {
      status: 200,
      headers: { [MINIMUM_SIZE]: configuration.minimumSize },
      body: lifecycleXml(configuration),
    };
  },
};

export const putBucketLifecycle: OperationRow = {
  name: 'PutBucketLifecycleConfiguration',
  method: 'PUT',
  target: 'bucket',
  query: { lifecycle: true },
  permission: 's3:PutLifecycleConfiguration',
  body: 'xml',
  checksumRequired: true,
  status: 'supported',
  run: async (ctx) => {
    const minimumSize = minimumSizeOf(ctx.headers[MINIMUM_SIZE]);
    const { storageClasses = STORAGE_CLASSES } = ctx.services;
    await store(ctx, readLifecycle(ctx.text, minimumSize, storageClasses));
    return { status: 200, headers: { [MINIMUM_SIZE]: minimumSize } };
  },
};

export const deleteBucketLifecycle: OperationRow = {
  name: 'DeleteBucketLifecycle',
  method: 'DELETE',
  target: 'bucket',
  query: { lifecycle: true },
  permission: 's3:PutLifecycleConfiguration',
  body: 'none',
  status: 'supported',
  run: async (ctx) => {
    await store(ctx, null);
    return { status: 204 };
  },
};

async function store({ services, bucket }: OperationContext, value: unknown): Promise<void> {
  const outcome = await services.catalog.setBucketSetting(bucket!.id, LIFECYCLE_SETTING, value);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: bucket!.name } }));
}

function minimumSizeOf(header: string | undefined): MinimumSize {
  if (header === undefined) return 'all_storage_classes_128K';
  const known = MINIMUM_SIZES.find((size) => size === header);
  if (!known)
    throw new S3Error('InvalidRequest', { message: 'Invalid TransitionDefaultMinimumObjectSize found' });
  return known;
}
