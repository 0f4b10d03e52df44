/** A lock held as an object, as Terraform holds the one of its state: several processes, one of which has it at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { FeatureStore } from '../feature-store.ts';

const PROCESSES = 3;
const TURNS = 4;

/** The counter is read and written without a condition: two that think they hold the lock lose counts. */
const PROGRAM = `
import json, os, random, sys, time, boto3
from botocore.exceptions import ClientError
s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'])
bucket, me = os.environ['BUCKET'], os.environ['ME']
refused = 0
def locked(key):
    global refused
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return s3.put_object(Bucket=bucket, Key=key, Body=me.encode(), IfNoneMatch='*')['ETag']
        except ClientError as error:
            if error.response['Error']['Code'] not in ('PreconditionFailed', 'ConditionalRequestConflict'): raise
            refused += 1
            time.sleep(random.random() / 20)
    sys.exit('no lock within 60 s')
for turn in range(int(os.environ['TURNS'])):
    etag = locked('state.tflock')
    count = int(s3.get_object(Bucket=bucket, Key='state')['Body'].read())
    s3.put_object(Bucket=bucket, Key='state', Body=str(count + 1).encode())
    assert s3.get_object(Bucket=bucket, Key='state.tflock')['Body'].read() == me.encode(), 'somebody else has it as well'
    try:
        s3.delete_object(Bucket=bucket, Key='state.tflock', IfMatch='"00000000000000000000000000000000"')
        sys.exit('a lock that is another one was taken away')
    except ClientError as error:
        assert error.response['Error']['Code'] == 'PreconditionFailed', error
    s3.delete_object(Bucket=bucket, Key='state.tflock', IfMatch=etag)
print(refused)
`;

export function locks(store: () => FeatureStore): void {
  describe('a lock in an object', () => {
    it('is held by one process at a time', async () => {
      const s3 = store().s3();
      const Bucket = store().bucketName();
      await s3.send(new CreateBucketCommand({ Bucket }));
      await s3.send(new PutObjectCommand({ Bucket, Key: 'state', Body: '0' }));
      const runs = Array.from({ length: PROCESSES }, (_, i) =>
        store().python(PROGRAM, { env: { BUCKET: Bucket, ME: `process ${i}`, TURNS: String(TURNS) } }),
      );
      await Promise.all(runs);
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'state' }));
      assert.equal(await Body!.transformToString(), String(PROCESSES * TURNS));
      const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket }));
      assert.deepEqual(
        Contents?.map(({ Key }) => Key),
        ['state'],
      );
    });
  });
}
