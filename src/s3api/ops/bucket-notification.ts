/**
 * GetBucketNotificationConfiguration and PutBucketNotificationConfiguration. A configuration is replaced as a whole; an empty
 * one removes it. Who delivers, and the test event that follows a Put: src/jobs/notifications/.
 */
import { randomUUID } from 'node:crypto';
import { NOTIFICATION, type NotificationConfiguration } from '../../ddm/notification-config.ts';
import { S3Error } from '../errors.ts';
import { notificationXml, readNotificationConfiguration } from '../notification-documents.ts';
import type { OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

const row = {
  target: 'bucket',
  query: { notification: true },
  status: 'supported',
} as const;

export const getBucketNotification: OperationRow = {
  ...row,
  name: 'GetBucketNotificationConfiguration',
  method: 'GET',
  permission: 's3:GetBucketNotification',
  body: 'none',
  run: async ({ bucket }) => ({
    status: 200,
    body: notificationXml(bucket!.settings[NOTIFICATION] as NotificationConfiguration | undefined),
  }),
};

export const putBucketNotification: OperationRow = {
  ...row,
  name: 'PutBucketNotificationConfiguration',
  method: 'PUT',
  permission: 's3:PutBucketNotification',
  body: 'xml',
  run: async ({ bucket, headers, requestId, services, text }) => {
    const rules = readNotificationConfiguration(text, {
      webhooks: services.webhooks ?? new Set(),
      region: services.region,
      newId: randomUUID,
    });
    const skipsTest = headers['x-amz-skip-destination-validation']?.toLowerCase() === 'true';
    const stored: NotificationConfiguration = { requestId, skipsTest, rules };
    settle(
      await services.catalog.setBucketSetting(bucket!.id, NOTIFICATION, rules.length > 0 ? stored : null),
      () => new S3Error('NoSuchBucket', { fields: { BucketName: bucket!.name } }),
    );
    return { status: 200 };
  },
};
