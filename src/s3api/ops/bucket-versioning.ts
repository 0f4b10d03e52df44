/** GetBucketVersioning and PutBucketVersioning. MFA delete is not supported. */
import { readVersioningConfiguration } from '../documents.ts';
import { S3Error } from '../errors.ts';
import { notImplemented } from '../meaning.ts';
import type { OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, xmlDocument } from '../xml.ts';

const SHOWN = { unversioned: undefined, enabled: 'Enabled', suspended: 'Suspended' } as const;

export const getBucketVersioning: OperationRow = {
  name: 'GetBucketVersioning',
  method: 'GET',
  target: 'bucket',
  query: { versioning: true },
  permission: 's3:GetBucketVersioning',
  body: 'none',
  status: 'supported',
  run: async ({ bucket }) => ({
    status: 200,
    body: xmlDocument('VersioningConfiguration', tag('Status', SHOWN[bucket!.versioning])),
  }),
};

export const putBucketVersioning: OperationRow = {
  name: 'PutBucketVersioning',
  method: 'PUT',
  target: 'bucket',
  query: { versioning: true },
  permission: 's3:PutBucketVersioning',
  body: 'xml',
  status: 'supported',
  run: async ({ services, bucket, text }) => {
    const { status, mfaDelete } = readVersioningConfiguration(text);
    if (mfaDelete) throw notImplemented('MfaDelete');
    const state = status === 'Enabled' ? 'enabled' : 'suspended';
    settle(await services.catalog.setVersioning(bucket!.id, state), (reason) =>
      reason === 'locked'
        ? new S3Error('InvalidBucketState', {
            message:
              'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
          })
        : new S3Error('NoSuchBucket', { fields: { BucketName: bucket!.name } }),
    );
    return { status: 200 };
  },
};
