/** Object operations as today's SDK with default settings sees them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  CreateBucketCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { LIMITS } from '../../../../src/base/limits.ts';
import { startS3Front } from '../../../model/s3-front.ts';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const Bucket = 'objects';
let front: SdkFront;

before(async () => {
  front = await startSdkFront();
  await front.s3.send(new CreateBucketCommand({ Bucket }));
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
    const { writes } = front.dosm;
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
    assert.equal(front.dosm.writes, writes + 2);
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

describe('creators at once', () => {
  it('lets one of many creators win', async () => {
    const tries = Array.from({ length: 20 }, (_, i) => put('race', String(i), { IfNoneMatch: '*' }));
    const results = await Promise.allSettled(tries);
    const won = results.filter((result) => result.status === 'fulfilled');
    assert.equal(won.length, 1);
    const text = (await get('race')).bytes.toString();
    assert.equal(results[Number(text)]!.status, 'fulfilled');
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
