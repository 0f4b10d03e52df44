/** Object operations as today's SDK with default settings sees them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3ServiceException,
} from '@aws-sdk/client-s3';
import { LIMITS } from '../../../../src/base/limits.ts';
import { startS3Front } from '../../../model/s3-front.ts';
import { type SdkFront, startSdkFront } from './sdk-front.ts';

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
const head = (Key: string, more = {}) => front.s3.send(new HeadObjectCommand({ Bucket, Key, ...more }));

async function fails(work: Promise<unknown>, status: number, name: string): Promise<S3ServiceException> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason as S3ServiceException,
  );
  assert.deepEqual([error.$metadata?.httpStatusCode, error.name], [status, name], String(error));
  return error;
}

describe('PutObject and GetObject', () => {
  it('round-trips bytes, metadata and system headers', async () => {
    const body = Buffer.alloc(LIMITS.chunkBytes * 2 + 17, 'round trip ');
    const answer = await put('dir/a b+c', body, {
      ContentType: 'text/x-test',
      CacheControl: 'no-store',
      ContentDisposition: 'attachment',
      ContentLanguage: 'en',
      ContentEncoding: 'gzip',
      Metadata: { Colour: 'blue' },
      Tagging: 'a=1&b=two%20words',
    });
    assert.equal(answer.ETag, `"${md5(body)}"`);
    assert.equal(answer.ChecksumType, 'FULL_OBJECT');
    assert.ok(answer.ChecksumCRC32);
    assert.equal(answer.VersionId, undefined);
    const read = await get('dir/a b+c');
    assert.deepEqual(read.bytes, body);
    assert.equal(read.ContentType, 'text/x-test');
    assert.equal(read.CacheControl, 'no-store');
    assert.equal(read.ContentDisposition, 'attachment');
    assert.equal(read.ContentLanguage, 'en');
    assert.equal(read.ContentEncoding, 'gzip');
    assert.deepEqual(read.Metadata, { colour: 'blue' });
    assert.equal(read.TagCount, 2);
    assert.equal(read.AcceptRanges, 'bytes');
    assert.equal(read.ChecksumCRC32, answer.ChecksumCRC32);
    assert.equal(read.ContentLength, body.length);
  });

  it('keeps an empty object without a blob and reads it without the DOSM', async () => {
    const blobs = front.dosm.blobs.size;
    const reads = front.dosm.reads.length;
    await put('empty', '');
    assert.equal((await get('empty')).bytes.length, 0);
    assert.equal(front.dosm.blobs.size, blobs);
    assert.equal(front.dosm.reads.length, reads);
    await fails(get('empty', { Range: 'bytes=0-0' }), 416, 'InvalidRange');
  });

  it('computes CRC64NVME when the client declares nothing', async () => {
    const s3 = front.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    const answer = await s3.send(new PutObjectCommand({ Bucket, Key: 'plain', Body: '123456789' }));
    assert.equal(answer.ChecksumCRC64NVME, 'rosUhgp5mIg=');
    assert.equal((await head('plain')).ChecksumCRC64NVME, undefined);
    const shown = await head('plain', { ChecksumMode: 'ENABLED' });
    assert.equal(shown.ChecksumCRC64NVME, 'rosUhgp5mIg=');
    assert.equal(shown.ChecksumType, 'FULL_OBJECT');
  });

  it('gives raw bytes in metadata back as they came', async () => {
    const plain = await startS3Front();
    try {
      const raw = Buffer.from('Grüße').toString('latin1');
      const word = '=?UTF-8?B?R3LDvMOfZQ==?=';
      await plain.request('PUT', '/metadata');
      const headers = { 'x-amz-meta-raw': raw, 'x-amz-meta-word': word };
      assert.equal((await plain.request('PUT', '/metadata/key', { headers, body: 'x' })).status, 200);
      const answer = await plain.request('HEAD', '/metadata/key');
      assert.equal(answer.headers.get('x-amz-meta-raw'), raw);
      assert.equal(answer.headers.get('x-amz-meta-word'), word);
    } finally {
      await plain.close();
    }
  });

  it('refuses before the body is read: metadata, tags, conditions', async () => {
    const blobs = front.dosm.blobs.size;
    await fails(put('big', 'x', { Metadata: { a: 'x'.repeat(2048) } }), 400, 'MetadataTooLarge');
    await fails(put('tag', 'x', { Tagging: 'a=1&a=2' }), 400, 'InvalidTag');
    await fails(put('missing', 'x', { IfMatch: '*' }), 404, 'NoSuchKey');
    await put('there', 'x');
    await fails(put('there', 'y', { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
    await fails(
      put('there', 'y', { IfMatch: '"ffffffffffffffffffffffffffffffff"' }),
      412,
      'PreconditionFailed',
    );
    await put('there', 'z', { IfMatch: `"${md5('x')}"` });
    assert.equal((await get('there')).bytes.toString(), 'z');
    assert.equal(front.dosm.blobs.size, blobs + 2);
  });

  it('stores nothing when the checksum does not hold', async () => {
    const blobs = front.dosm.blobs.size;
    await fails(put('bad', 'x', { ChecksumSHA256: Buffer.alloc(32).toString('base64') }), 400, 'BadDigest');
    await fails(head('bad'), 404, 'NotFound');
    assert.equal(front.dosm.blobs.size, blobs);
  });
});

describe('outcomes of a commit', () => {
  const only = [...'x'].length;
  it('confirms what is done and discards what is refused', async () => {
    await put('outcome', 'done');
    const version = await front.catalog.findVersion((await front.catalog.findBucket(Bucket))!.id, 'outcome');
    assert.equal(version!.content.kind, 'blob');
    if (version!.content.kind === 'blob')
      assert.equal(front.dosm.blobs.get(version!.content.blob.id)!.state, 'confirmed');
    // The early look passes, the commit decides.
    const find = front.catalog.findVersion.bind(front.catalog);
    front.catalog.findVersion = async () => null;
    const blobs = front.dosm.blobs.size;
    await fails(put('outcome', 'again', { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
    front.catalog.findVersion = find;
    assert.equal(front.dosm.blobs.size, blobs);
  });

  for (const fault of ['unknown-applied', 'unknown-lost', 'unavailable'] as const)
    it(`${fault}: 503 with Retry-After, and the bytes are left alone`, async () => {
      const blobs = front.dosm.blobs.size;
      front.catalog.fault = (name) => (name === 'putVersion' ? fault : undefined);
      const error = await fails(put(`fault-${fault}`, 'x'), 503, 'ServiceUnavailable');
      front.catalog.fault = () => undefined;
      assert.ok(Number(error.$response?.headers['retry-after']) > 0);
      assert.equal(front.dosm.blobs.size, blobs + only);
      assert.equal([...front.dosm.blobs.values()].at(-1)!.state, 'pending');
    });
});

describe('reads', () => {
  it('serves ranges, suffixes, and the whole object for what it cannot read', async () => {
    await put('range', 'abcdefghij');
    const cases: [string, string, string | undefined][] = [
      ['bytes=2-4', 'cde', 'bytes 2-4/10'],
      ['bytes=7-', 'hij', 'bytes 7-9/10'],
      ['bytes=-3', 'hij', 'bytes 7-9/10'],
      ['bytes=0-99', 'abcdefghij', 'bytes 0-9/10'],
      ['bytes=4-2', 'abcdefghij', undefined],
      ['bytes=0-1,3-4', 'abcdefghij', undefined],
    ];
    for (const [Range, text, contentRange] of cases) {
      const read = await get('range', { Range });
      assert.equal(read.bytes.toString(), text, Range);
      assert.equal(read.ContentRange, contentRange, Range);
      assert.equal(read.$metadata.httpStatusCode, contentRange === undefined ? 200 : 206, Range);
    }
    await fails(get('range', { Range: 'bytes=10-' }), 416, 'InvalidRange');
  });

  it('obeys conditions', async () => {
    await put('condition', 'x');
    const ETag = `"${md5('x')}"`;
    const past = new Date(Date.now() - 3_600_000);
    const future = new Date(Date.now() + 3_600_000);
    await get('condition', { IfMatch: ETag, IfUnmodifiedSince: past });
    await fails(get('condition', { IfMatch: '"other"' }), 412, 'PreconditionFailed');
    await fails(get('condition', { IfUnmodifiedSince: past }), 412, 'PreconditionFailed');
    const same = await fails(get('condition', { IfNoneMatch: ETag, IfModifiedSince: past }), 304, 'Unknown');
    assert.equal(same.$response?.headers.etag, ETag);
    await fails(get('condition', { IfModifiedSince: future }), 304, 'Unknown');
    await get('condition', { IfNoneMatch: '"other"', IfModifiedSince: future });
  });

  it('lets signed requests override response headers', async () => {
    await put('override', 'x');
    const read = await get('override', { ResponseContentType: 'text/y', ResponseCacheControl: 'no-cache' });
    assert.equal(read.ContentType, 'text/y');
    assert.equal(read.CacheControl, 'no-cache');
  });

  it('answers 503, not a response that breaks, when no replica can be read', async () => {
    await put('gone', 'x');
    front.dosm.breakReadsAfter = 0;
    await fails(get('gone'), 503, 'ServiceUnavailable');
    front.dosm.breakReadsAfter = Number.POSITIVE_INFINITY;
  });

  it('cuts the connection when the bytes end in the middle', async () => {
    await put('cut', Buffer.alloc(LIMITS.chunkBytes * 3));
    front.dosm.breakReadsAfter = LIMITS.chunkBytes + 5;
    await assert.rejects(get('cut'));
    front.dosm.breakReadsAfter = Number.POSITIVE_INFINITY;
  });

  it('gives the attributes of an object', async () => {
    await put('attributes', 'x');
    const answer = await front.s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'attributes',
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'],
      }),
    );
    assert.equal(answer.ETag, md5('x'));
    assert.equal(answer.ObjectSize, 1);
    assert.equal(answer.StorageClass, 'STANDARD');
    assert.equal(answer.Checksum!.ChecksumType, 'FULL_OBJECT');
    assert.equal(answer.ObjectParts, undefined);
  });
});

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
