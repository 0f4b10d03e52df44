/** Lifecycle rules and storage classes, as aws, s3cmd and rclone set and see them; and that the store applies them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { FeatureStore } from '../feature-store.ts';

const APPLIED_MS = 60_000;

export function lifecycle(store: () => FeatureStore): void {
  const newBucket = async () => {
    const bucket = store().bucketName();
    await store().api(['create-bucket', '--bucket', bucket]);
    return bucket;
  };

  describe('lifecycle rules', () => {
    it('set with aws are shown as they were set, announced, and applied', async () => {
      const bucket = await newBucket();
      const named = ['--bucket', bucket];
      const Rules = [
        {
          ID: 'old',
          Filter: { Prefix: 'old/' },
          Status: 'Enabled',
          Expiration: { Date: '2020-01-01T00:00:00.000Z' },
        },
        {
          ID: 'kept',
          Filter: { And: { Prefix: 'kept/', Tags: [{ Key: 'a', Value: '1' }] } },
          Status: 'Enabled',
          Expiration: { Days: 30 },
          Transitions: [{ Days: 10, StorageClass: 'STANDARD_IA' }],
          NoncurrentVersionExpiration: { NoncurrentDays: 3, NewerNoncurrentVersions: 2 },
        },
        {
          ID: 'uploads',
          Filter: {},
          Status: 'Disabled',
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
        },
      ];
      const s3 = store().s3();
      const put = (Key: string) => s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }));
      await Promise.all(['old/1', 'new/1'].map(put));
      const given = ['--lifecycle-configuration', JSON.stringify({ Rules })];
      await store().api(['put-bucket-lifecycle-configuration', ...named, ...given]);
      const shown = await store().api(['get-bucket-lifecycle-configuration', ...named]);
      assert.deepEqual(shown.Rules, Rules);
      const body = join(store().home, 'body');
      writeFileSync(body, 'x');
      const tagged = ['--key', 'kept/1', '--tagging', 'a=1', '--storage-class', 'ONEZONE_IA', '--body', body];
      const { Expiration } = await store().api(['put-object', ...named, ...tagged]);
      assert.match(String(Expiration), /^expiry-date="[^"]+ 00:00:00 GMT", rule-id="kept"$/);
      const until = performance.now() + APPLIED_MS;
      const objects = async () => {
        const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }));
        return Contents.map(({ Key, StorageClass }) => `${Key} ${StorageClass}`);
      };
      while ((await objects()).includes('old/1 STANDARD') && performance.now() < until) await sleep(200);
      assert.deepEqual(await objects(), ['kept/1 ONEZONE_IA', 'new/1 STANDARD']);
      await store().api(['delete-bucket-lifecycle', ...named]);
      const gone = await store().aws(['s3api', 'get-bucket-lifecycle-configuration', ...named], {
        code: null,
      });
      assert.match(gone.stderr, /NoSuchLifecycleConfiguration/);
    });

    it('set with s3cmd, by the document and by expire', async () => {
      const bucket = await newBucket();
      const file = join(store().home, 'lifecycle.xml');
      const rule =
        '<Rule><ID>a</ID><Prefix>p/</Prefix><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>';
      writeFileSync(file, `<LifecycleConfiguration>${rule}</LifecycleConfiguration>`);
      await store().s3cmd(['setlifecycle', file, `s3://${bucket}`]);
      assert.match((await store().s3cmd(['getlifecycle', `s3://${bucket}`])).stdout, /<Prefix>p\/<\/Prefix>/);
      await store().s3cmd(['dellifecycle', `s3://${bucket}`]);
      await store().s3cmd(['expire', `s3://${bucket}`, '--expiry-days=7', '--expiry-prefix=q/']);
      assert.match((await store().s3cmd(['info', `s3://${bucket}`])).stdout, /q\//);
    });

    it('leave storage classes to rclone', async () => {
      const bucket = await newBucket();
      const file = join(store().home, 'classed.txt');
      writeFileSync(file, 'classed');
      const target = `store:${bucket}/classed.txt`;
      await store().rclone(['copyto', file, target, '--s3-storage-class', 'GLACIER_IR']);
      const { stdout } = await store().rclone(['lsjson', `store:${bucket}`]);
      assert.equal(JSON.parse(stdout)[0].Tier, 'GLACIER_IR');
      assert.equal((await store().rclone(['cat', target])).stdout, 'classed');
    });
  });
}
