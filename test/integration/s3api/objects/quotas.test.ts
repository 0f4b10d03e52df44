/** A full bucket, as today's SDK sees it: 403 QuotaExceeded from whatever would make it larger, and no byte left behind. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import type { QuotaChange } from '../../../../src/ddm/catalog.ts';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const Bucket = 'small';
const Key = 'kept';
const SIZE = 1000;
const Body = Buffer.alloc(SIZE, 'x');
let front: SdkFront;
const quota = async (change: QuotaChange) => {
  const bucket = await front.catalog.findBucket(Bucket);
  await front.catalog.setBucketQuota(bucket!.id, change);
};
const used = async () => {
  const { buckets } = await front.catalog.listBucketUsage({ name: Bucket, after: '', max: 1 });
  return [buckets[0]!.objects, buckets[0]!.bytes, buckets[0]!.uploadBytes];
};

before(async () => {
  front = await startSdkFront();
  await front.s3.send(new CreateBucketCommand({ Bucket }));
  await front.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
});
after(() => front.close());

describe('a quota', () => {
  it('refuses PutObject and CopyObject with QuotaExceeded, and lets an overwrite pass', async () => {
    const blobs = front.dosm.blobs.size;
    await quota({ bytes: SIZE + 1, objects: null });
    const error = await fails(
      front.s3.send(new PutObjectCommand({ Bucket, Key: 'more', Body: 'xx' })),
      403,
      'QuotaExceeded',
    );
    assert.match(error.message, /quota/);
    const CopySource = `${Bucket}/${Key}`;
    await fails(
      front.s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource })),
      403,
      'QuotaExceeded',
    );
    assert.equal(front.dosm.blobs.size, blobs);
    await front.s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(SIZE + 1) }));
    await front.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
    assert.deepEqual(await used(), [1, SIZE, 0]);
  });

  it('refuses UploadPart and UploadPartCopy, and a completion that is one object too many', async () => {
    await quota({ bytes: 2 * SIZE, objects: 1 });
    const upload = { Bucket, Key: 'parts' };
    const { UploadId } = await front.s3.send(new CreateMultipartUploadCommand(upload));
    const part = { ...upload, UploadId, PartNumber: 1 };
    const sent = await front.s3.send(new UploadPartCommand({ ...part, Body }));
    const second = { ...part, PartNumber: 2 };
    await fails(front.s3.send(new UploadPartCommand({ ...second, Body: 'x' })), 403, 'QuotaExceeded');
    const CopySource = `${Bucket}/${Key}`;
    await fails(front.s3.send(new UploadPartCopyCommand({ ...second, CopySource })), 403, 'QuotaExceeded');
    assert.deepEqual(await used(), [1, SIZE, SIZE]);
    const Parts = [{ PartNumber: 1, ETag: sent.ETag, ChecksumCRC64NVME: sent.ChecksumCRC64NVME }];
    const complete = () =>
      front.s3.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }));
    await fails(complete(), 403, 'QuotaExceeded');
    await quota({ objects: 2 });
    await complete();
    assert.deepEqual(await used(), [2, 2 * SIZE, 0]);
    await front.s3.send(new DeleteObjectCommand(upload));
  });

  it('gives the bytes of an aborted upload back', async () => {
    await quota({ bytes: 2 * SIZE, objects: null });
    const upload = { Bucket, Key: 'aborted' };
    const { UploadId } = await front.s3.send(new CreateMultipartUploadCommand(upload));
    await front.s3.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body }));
    const other = { Bucket, Key: 'other', Body };
    await fails(front.s3.send(new PutObjectCommand(other)), 403, 'QuotaExceeded');
    await front.s3.send(new AbortMultipartUploadCommand({ ...upload, UploadId }));
    await front.s3.send(new PutObjectCommand(other));
  });
});
