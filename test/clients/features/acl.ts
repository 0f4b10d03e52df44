/** Lists and ownership as aws and s3cmd set them, felt by another account and by requests without a signature. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import {
  CreateBucketCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  PutBucketAclCommand,
  PutBucketOwnershipControlsCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Credentials, FeatureStore } from '../feature-store.ts';

export function acl(store: () => FeatureStore): void {
  describe('ACLs and ownership', () => {
    let bucket = '';
    let keys: Credentials;
    let ada: S3Client;
    let bert: S3Client;
    before(async () => {
      bucket = store().bucketName();
      keys = await store().account('ada');
      ada = store().s3(keys);
      bert = store().s3(await store().account('bert'));
      await ada.send(new CreateBucketCommand({ Bucket: bucket, ObjectOwnership: 'ObjectWriter' }));
    });

    const status = async (key: string): Promise<number> =>
      (await fetch(`${store().endpoint}/${bucket}/${key}`)).status;
    const aclOf = async (Key: string, as: S3Client): Promise<string> => {
      const { Owner, Grants = [] } = await as.send(new GetObjectAclCommand({ Bucket: bucket, Key }));
      const grants = Grants.map(
        ({ Grantee, Permission }) => `${Grantee?.ID ?? Grantee?.URI?.split('/').at(-1)} ${Permission}`,
      );
      return `${Owner?.ID}: ${grants.join(', ')}`;
    };

    it('of s3cmd open an object, and grant to one account', async () => {
      const file = join(store().home, 'acl.txt');
      writeFileSync(file, 'hello');
      const url = `s3://${bucket}/cmd.txt`;
      await store().s3cmd(['put', '--acl-public', file, url], { as: keys });
      assert.equal(await status('cmd.txt'), 200);
      await store().s3cmd(['setacl', '--acl-private', url], { as: keys });
      assert.equal(await status('cmd.txt'), 403);
      const get = () => bert.send(new GetObjectCommand({ Bucket: bucket, Key: 'cmd.txt' }));
      await assert.rejects(get, { name: 'AccessDenied' });
      await store().s3cmd(['setacl', '--acl-grant=read:bert', url], { as: keys });
      assert.equal(await (await get()).Body!.transformToString(), 'hello');
    });

    it('of aws and the SDK give objects to whom they say', async () => {
      const put = { Bucket: bucket, Body: 'x' };
      await ada.send(new PutObjectCommand({ ...put, Key: 'open', ACL: 'public-read' }));
      assert.equal(await status('open'), 200);
      assert.equal(await aclOf('open', ada), 'ada: AllUsers READ, ada FULL_CONTROL');
      const grants = ['--grant-write', 'id=bert', '--grant-full-control', 'id=ada'];
      await store().api(['put-bucket-acl', '--bucket', bucket, ...grants], { as: keys });
      await bert.send(new PutObjectCommand({ ...put, Key: 'of-bert', ACL: 'bucket-owner-read' }));
      assert.equal(await aclOf('of-bert', bert), 'bert: bert FULL_CONTROL, ada READ');
      const take = new PutObjectAclCommand({ Bucket: bucket, Key: 'of-bert', ACL: 'private' });
      await assert.rejects(ada.send(take), { name: 'AccessDenied' });
    });

    it('end where the bucket owner owns everything', async () => {
      const Rules = [{ ObjectOwnership: 'BucketOwnerEnforced' as const }];
      const enforce = () =>
        ada.send(new PutBucketOwnershipControlsCommand({ Bucket: bucket, OwnershipControls: { Rules } }));
      await assert.rejects(enforce, { name: 'InvalidBucketAclWithObjectOwnership' });
      await ada.send(new PutBucketAclCommand({ Bucket: bucket, ACL: 'private' }));
      await enforce();
      assert.equal(await aclOf('of-bert', ada), 'ada: ada FULL_CONTROL');
      assert.equal(await status('open'), 403);
      const open = new PutObjectAclCommand({ Bucket: bucket, Key: 'open', ACL: 'public-read' });
      await assert.rejects(ada.send(open), { name: 'AccessControlListNotSupported' });
    });
  });
}
