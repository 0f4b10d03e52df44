/** CopyObject, versions and deletes as today's SDK with default settings sees them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { PairId } from '../../../../src/base/ids.ts';
import { StorageFull } from '../../../../src/dosm/dosm.ts';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const Bucket = 'objects';
const Versioned = 'versioned';
let front: SdkFront;

before(async () => {
  front = await startSdkFront();
  await front.s3.send(new CreateBucketCommand({ Bucket }));
  await front.s3.send(new CreateBucketCommand({ Bucket: Versioned }));
  await front.s3.send(
    new PutBucketVersioningCommand({
      Bucket: Versioned,
      VersioningConfiguration: { Status: 'Enabled' },
    }),
  );
});
after(() => front.close());

const md5 = (bytes: Buffer | string) => createHash('md5').update(bytes).digest('hex');
const put = (Key: string, Body: string | Buffer, more = {}) =>
  front.s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Key: string, more = {}) => {
  const answer = await front.s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return { ...answer, bytes: Buffer.from(await answer.Body!.transformToByteArray()) };
};

describe('versions', () => {
  it('keeps versions, markers and their ids', async () => {
    const Key = 'v';
    const first = await front.s3.send(new PutObjectCommand({ Bucket: Versioned, Key, Body: '1' }));
    const second = await front.s3.send(new PutObjectCommand({ Bucket: Versioned, Key, Body: '2' }));
    assert.ok(first.VersionId && second.VersionId && first.VersionId !== second.VersionId);
    const marker = await front.s3.send(new DeleteObjectCommand({ Bucket: Versioned, Key }));
    assert.equal(marker.DeleteMarker, true);
    const missing = await fails(
      front.s3.send(new GetObjectCommand({ Bucket: Versioned, Key })),
      404,
      'NoSuchKey',
    );
    assert.equal(missing.$response?.headers['x-amz-delete-marker'], 'true');
    assert.equal(missing.$response?.headers['x-amz-version-id'], marker.VersionId);
    const VersionId = marker.VersionId!;
    await fails(
      front.s3.send(new GetObjectCommand({ Bucket: Versioned, Key, VersionId })),
      405,
      'MethodNotAllowed',
    );
    const old = await front.s3.send(
      new GetObjectCommand({ Bucket: Versioned, Key, VersionId: first.VersionId }),
    );
    assert.equal(await old.Body!.transformToString(), '1');
    const removed = await front.s3.send(new DeleteObjectCommand({ Bucket: Versioned, Key, VersionId }));
    assert.equal(removed.DeleteMarker, true);
    assert.equal(removed.VersionId, VersionId);
    const back = await front.s3.send(new GetObjectCommand({ Bucket: Versioned, Key }));
    assert.equal(await back.Body!.transformToString(), '2');
  });
});

describe('deletes', () => {
  it('deletes what is there and what is not', async () => {
    await put('delete', 'x');
    const answer = await front.s3.send(new DeleteObjectCommand({ Bucket, Key: 'delete' }));
    assert.equal(answer.$metadata.httpStatusCode, 204);
    await front.s3.send(new DeleteObjectCommand({ Bucket, Key: 'delete' }));
    await fails(get('delete'), 404, 'NoSuchKey');
  });

  it('deletes many, each with its own outcome', async () => {
    await put('many/1', 'x');
    await put('many/2', 'y');
    const answer = await front.s3.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: {
          Objects: [
            { Key: 'many/1' },
            { Key: 'many/2', ETag: '"ffffffffffffffffffffffffffffffff"' },
            { Key: 'many/3 <&>' },
            { Key: 'k'.repeat(1025) },
          ],
        },
      }),
    );
    assert.deepEqual(
      answer.Deleted!.map(({ Key }) => Key),
      ['many/1', 'many/3 <&>'],
    );
    assert.deepEqual(
      answer.Errors!.map(({ Code }) => Code),
      ['PreconditionFailed', 'KeyTooLongError'],
    );
    const quiet = await front.s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Quiet: true, Objects: [{ Key: 'many/2' }] } }),
    );
    assert.equal(quiet.Deleted, undefined);
    const tooMany = Array.from({ length: 1001 }, (_, i) => ({ Key: `k${i}` }));
    await fails(
      front.s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: tooMany } })),
      400,
      'MalformedXML',
    );
  });
});

describe('CopyObject', () => {
  const copy = (Key: string, CopySource: string, more = {}) =>
    front.s3.send(new CopyObjectCommand({ Bucket, Key, CopySource, ...more }));

  it('shares the bytes and keeps what the directives say', async () => {
    await put('source ü', 'copied', { Metadata: { a: '1' }, Tagging: 't=1', ContentType: 'text/x' });
    const blobs = front.dosm.blobs.size;
    const answer = await copy('copy', `${Bucket}/${encodeURIComponent('source ü')}`);
    assert.equal(answer.CopyObjectResult!.ETag, `"${md5('copied')}"`);
    assert.equal(front.dosm.blobs.size, blobs);
    const read = await get('copy');
    assert.equal(read.bytes.toString(), 'copied');
    assert.deepEqual(read.Metadata, { a: '1' });
    assert.equal(read.ContentType, 'text/x');
    assert.equal(read.TagCount, 1);
    await copy('copy', `/${Bucket}/copy`, { MetadataDirective: 'REPLACE', Metadata: { b: '2' } });
    const again = await get('copy');
    assert.equal(again.bytes.toString(), 'copied');
    assert.deepEqual(again.Metadata, { b: '2' });
    assert.equal(again.ContentType, 'binary/octet-stream');
  });

  it('streams the bytes when they can no longer be shared', async () => {
    await put('dying', 'last words');
    const putVersion = front.catalog.putVersion.bind(front.catalog);
    front.catalog.putVersion = async (row) =>
      row.content.kind === 'share' ? { outcome: 'refused', reason: 'blob-dying' } : putVersion(row);
    const blobs = front.dosm.blobs.size;
    await copy('streamed', `${Bucket}/dying`);
    front.catalog.putVersion = putVersion;
    assert.equal(front.dosm.blobs.size, blobs + 1);
    assert.equal((await get('streamed')).bytes.toString(), 'last words');
  });

  it('streams the bytes into a bucket of another directory', async () => {
    await put('far', 'away');
    const find = front.catalog.findBucket.bind(front.catalog);
    front.catalog.findBucket = async (name) => {
      const found = await find(name);
      return found && name === Versioned ? { ...found, directory: 'directory/6' as PairId } : found;
    };
    const blobs = front.dosm.blobs.size;
    const answer = await front.s3.send(
      new CopyObjectCommand({ Bucket: Versioned, Key: 'far', CopySource: `${Bucket}/far` }),
    );
    front.catalog.findBucket = find;
    assert.equal(front.dosm.blobs.size, blobs + 1);
    assert.equal(answer.CopyObjectResult!.ETag, `"${md5('away')}"`);
    assert.ok(answer.VersionId);
  });

  it('leaves no read open when the copy cannot be written', async () => {
    await put('full', 'x');
    const reads = front.dosm.reads.length;
    front.dosm.failWrites = new StorageFull('full');
    const find = front.catalog.findBucket.bind(front.catalog);
    front.catalog.findBucket = async (name) => {
      const found = await find(name);
      return found && name === Versioned ? { ...found, directory: 'directory/6' as PairId } : found;
    };
    await fails(
      front.s3.send(new CopyObjectCommand({ Bucket: Versioned, Key: 'f', CopySource: `${Bucket}/full` })),
      507,
      'InsufficientStorage',
    );
    front.catalog.findBucket = find;
    front.dosm.failWrites = null;
    assert.equal(front.dosm.reads.length, reads);
  });

  it('computes another checksum when asked', async () => {
    await put('sum', '123456789');
    const answer = await copy('sum2', `${Bucket}/sum`, { ChecksumAlgorithm: 'SHA256' });
    assert.equal(
      answer.CopyObjectResult!.ChecksumSHA256,
      createHash('sha256').update('123456789').digest('base64'),
    );
  });

  it('refuses what S3 refuses', async () => {
    await put('self', 'x');
    await fails(copy('self', `${Bucket}/self`), 400, 'InvalidRequest');
    await fails(copy('x', `${Bucket}/not-there`), 404, 'NoSuchKey');
    await fails(copy('x', 'no-such-bucket-at-all/key'), 404, 'NoSuchBucket');
    await fails(copy('x', 'justabucket'), 400, 'InvalidArgument');
    await fails(copy('x', `${Bucket}/self`, { CopySourceIfMatch: '"other"' }), 412, 'PreconditionFailed');
    await fails(
      copy('x', `${Bucket}/self`, { CopySourceIfNoneMatch: `"${md5('x')}"` }),
      412,
      'PreconditionFailed',
    );
    await fails(copy('self', `${Bucket}/sum`, { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
  });

  it('copies a named version and says which', async () => {
    const { VersionId } = await front.s3.send(
      new PutObjectCommand({ Bucket: Versioned, Key: 'old', Body: '1' }),
    );
    await front.s3.send(new PutObjectCommand({ Bucket: Versioned, Key: 'old', Body: '2' }));
    const answer = await copy('old', `${Versioned}/old?versionId=${VersionId}`);
    assert.equal(answer.CopySourceVersionId, VersionId);
    assert.equal((await get('old')).bytes.toString(), '1');
  });
});
