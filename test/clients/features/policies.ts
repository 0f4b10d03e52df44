/** Bucket policies and the public access block, set by aws and s3cmd, felt by other accounts, presigned URLs and nobody. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Credentials, FeatureStore } from '../feature-store.ts';

const KEY = 'open/hello.txt';

export function policies(store: () => FeatureStore): void {
  describe('bucket policies', () => {
    let bucket = '';
    let paula: S3Client;
    let credentials: Credentials;
    before(async () => {
      bucket = store().bucketName();
      credentials = await store().account('paula');
      paula = store().s3(credentials);
      const root = store().s3();
      await root.send(new CreateBucketCommand({ Bucket: bucket }));
      for (const key of [KEY, 'shut/hello.txt'])
        await root.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'hello' }));
    });

    const policyFile = (...Statement: object[]): string => {
      const file = join(store().home, `${bucket}.json`);
      writeFileSync(file, JSON.stringify({ Version: '2012-10-17', Statement }));
      return file;
    };
    const reading = (Principal: unknown) => ({
      Sid: 'read',
      Effect: 'Allow',
      Principal,
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${bucket}/open/*`,
    });
    const status = async (key: string): Promise<number> =>
      (await fetch(`${store().endpoint}/${bucket}/${key}`)).status;
    const refused = { name: 'AccessDenied' } as const;

    it('let another account in, and only where they say', async () => {
      const get = (Key: string) => paula.send(new GetObjectCommand({ Bucket: bucket, Key }));
      await assert.rejects(get(KEY), refused);
      const file = policyFile(reading({ AWS: 'arn:aws:iam::paula:root' }));
      await store().api(['put-bucket-policy', '--bucket', bucket, '--policy', `file://${file}`]);
      assert.equal(await (await get(KEY)).Body!.transformToString(), 'hello');
      await assert.rejects(get('shut/hello.txt'), refused);
      await assert.rejects(
        paula.send(new PutObjectCommand({ Bucket: bucket, Key: KEY, Body: 'x' })),
        refused,
      );
      await assert.rejects(
        paula.send(new HeadObjectCommand({ Bucket: bucket, Key: 'open/none' })),
        (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode === 403,
      );
      const url = await getSignedUrl(paula, new GetObjectCommand({ Bucket: bucket, Key: KEY }));
      assert.equal(await (await fetch(url)).text(), 'hello');
      assert.equal(await status(KEY), 403);
      const { Policy } = await store().api(['get-bucket-policy', '--bucket', bucket]);
      assert.match(String(Policy), /"Sid":"read"/);
      const { PolicyStatus } = await store().api(['get-bucket-policy-status', '--bucket', bucket]);
      assert.deepEqual(PolicyStatus, { IsPublic: false });
    });

    it('of s3cmd open a folder to everybody, until the block restricts it', async () => {
      await store().s3cmd(['setpolicy', policyFile(reading('*')), `s3://${bucket}`]);
      assert.equal(await status(KEY), 200);
      assert.equal(await status('shut/hello.txt'), 403);
      const blocked = 'BlockPublicPolicy=true,RestrictPublicBuckets=true';
      const block = ['--public-access-block-configuration', blocked];
      await store().api(['put-public-access-block', '--bucket', bucket, ...block]);
      assert.equal(await status(KEY), 403);
      const { stderr } = await store().s3cmd(['setpolicy', policyFile(reading('*')), `s3://${bucket}`], {
        code: null,
      });
      assert.match(stderr, /AccessDenied|403/);
      await store().s3cmd(['delpolicy', `s3://${bucket}`]);
      await assert.rejects(paula.send(new GetObjectCommand({ Bucket: bucket, Key: KEY })), refused);
    });
  });
}
