/** Multipart uploads as today's SDK with default settings sees them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { LIMITS } from '../../../../src/base/limits.ts';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const Bucket = 'multipart';
const PART = LIMITS.partBytesMin;
let front: SdkFront;

before(async () => {
  front = await startSdkFront();
  await front.s3.send(new CreateBucketCommand({ Bucket }));
});
after(() => front.close());

const digest = (name: string, bytes: Buffer) => createHash(name).update(bytes).digest();
const bodies = [Buffer.alloc(PART, 'A'), Buffer.alloc(PART, 'B'), Buffer.from('the end')];
const whole = Buffer.concat(bodies);

async function create(Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> {
  const answer = await front.s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }));
  return answer.UploadId!;
}
async function uploadPart(
  Key: string,
  UploadId: string,
  PartNumber: number,
  Body: Buffer,
  more = {},
): Promise<CompletedPart> {
  const { $metadata: _, ...answer } = await front.s3.send(
    new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }),
  );
  return { PartNumber, ...answer };
}
async function uploadAll(Key: string, UploadId: string, more = {}): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  for (const [i, body] of bodies.entries()) parts.push(await uploadPart(Key, UploadId, i + 1, body, more));
  return parts;
}
const complete = (
  Key: string,
  UploadId: string,
  Parts: CompletedPart[],
  more: Partial<CompleteMultipartUploadCommandInput> = {},
) =>
  front.s3.send(
    new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }),
  );
const get = async (Key: string, more = {}) => {
  const answer = await front.s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return { ...answer, bytes: Buffer.from(await answer.Body!.transformToByteArray()) };
};

describe('a multipart upload', () => {
  it('becomes one object, read whole, by range and by part', async () => {
    const Key = 'whole';
    const UploadId = await create(Key, { Metadata: { a: '1' }, ContentType: 'text/x' });
    const parts = await uploadAll(Key, UploadId);
    await fails(get(Key), 404, 'NoSuchKey');
    const blobs = front.dosm.blobs.size;
    const answer = await complete(Key, UploadId, parts);
    assert.equal(front.dosm.blobs.size, blobs);
    const etag = digest('md5', Buffer.concat(bodies.map((body) => digest('md5', body)))).toString('hex');
    assert.equal(answer.ETag, `"${etag}-3"`);
    assert.equal(answer.Location, `${front.url}/${Bucket}/${Key}`);
    const read = await get(Key);
    assert.ok(read.bytes.equals(whole));
    assert.deepEqual(read.Metadata, { a: '1' });
    assert.equal(read.ContentType, 'text/x');
    const across = await get(Key, { Range: `bytes=${PART - 2}-${PART * 2 + 1}` });
    assert.ok(across.bytes.equals(whole.subarray(PART - 2, PART * 2 + 2)));
    assert.equal(front.dosm.reads.at(-1)!.segments.length, 3);
    await get(Key, { Range: 'bytes=5-6' });
    assert.equal(front.dosm.reads.at(-1)!.segments.length, 1);
    for (const [i, body] of bodies.entries()) {
      const part = await get(Key, { PartNumber: i + 1 });
      assert.ok(part.bytes.equals(body));
      assert.equal(part.PartsCount, 3);
      assert.equal(part.$metadata.httpStatusCode, 206);
      assert.equal(part.ETag, answer.ETag);
    }
    await fails(get(Key, { PartNumber: 4 }), 416, 'InvalidPartNumber');
  });

  it('is looked up again when its manifest goes between two statements', async () => {
    const read = front.catalog.readManifest.bind(front.catalog);
    let calls = 0;
    front.catalog.readManifest = async (...args) => (++calls === 1 ? [] : read(...args));
    assert.ok((await get('whole')).bytes.equals(whole));
    front.catalog.readManifest = async () => [];
    await fails(get('whole'), 503, 'ServiceUnavailable');
    front.catalog.readManifest = read;
  });

  it('gives its object a full CRC64NVME when nothing was asked', async () => {
    const Key = 'default-checksum';
    const UploadId = await create(Key);
    const answer = await complete(Key, UploadId, await uploadAll(Key, UploadId));
    assert.equal(answer.ChecksumType, 'FULL_OBJECT');
    const plain = front.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    const put = await plain.send(new PutObjectCommand({ Bucket, Key: 'same-bytes', Body: whole }));
    assert.equal(answer.ChecksumCRC64NVME, put.ChecksumCRC64NVME);
  });

  for (const [ChecksumAlgorithm, ChecksumType] of [
    ['CRC32', 'FULL_OBJECT'],
    ['CRC32C', 'COMPOSITE'],
    ['SHA256', 'COMPOSITE'],
    ['CRC64NVME', 'FULL_OBJECT'],
  ] as const)
    it(`keeps ${ChecksumType} ${ChecksumAlgorithm} checksums`, async () => {
      const Key = `sum-${ChecksumAlgorithm}`;
      const name = `Checksum${ChecksumAlgorithm}` as const;
      const UploadId = await create(Key, { ChecksumAlgorithm, ChecksumType });
      const parts = await uploadAll(Key, UploadId, { ChecksumAlgorithm });
      assert.ok(parts.every((part) => part[name]));
      const bad = { [name]: Buffer.alloc(8).toString('base64') };
      await fails(complete(Key, UploadId, parts, bad), 400, 'BadDigest');
      const answer = await complete(Key, UploadId, parts, { ChecksumType });
      assert.equal(answer.ChecksumType, ChecksumType);
      const attributes = await front.s3.send(
        new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['Checksum', 'ObjectParts'] }),
      );
      assert.equal(attributes.Checksum![name], answer[name]);
      assert.deepEqual(
        attributes.ObjectParts!.Parts!.map((part) => part[name]),
        parts.map((part) => part[name]),
      );
      const head = await front.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
      assert.equal(head[name], answer[name]);
      const part = await get(Key, { PartNumber: 2 });
      assert.equal(part[name], parts[1]![name]);
    });

  it('refuses types that an algorithm does not know, and parts of another algorithm', async () => {
    await fails(
      create('x', { ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'COMPOSITE' }),
      400,
      'InvalidRequest',
    );
    await fails(
      create('x', { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' }),
      400,
      'InvalidRequest',
    );
    const UploadId = await create('x', { ChecksumAlgorithm: 'SHA256' });
    await fails(
      uploadPart('x', UploadId, 1, Buffer.from('x'), { ChecksumAlgorithm: 'CRC32' }),
      400,
      'InvalidRequest',
    );
  });

  it('gives the first result when it is completed again', async () => {
    const Key = 'again';
    const UploadId = await create(Key, { ChecksumAlgorithm: 'SHA256' });
    const parts = await uploadAll(Key, UploadId, { ChecksumAlgorithm: 'SHA256' });
    const first = await complete(Key, UploadId, parts, { IfNoneMatch: '*' });
    const second = await complete(Key, UploadId, parts, { IfNoneMatch: '*' });
    assert.equal(second.ETag, first.ETag);
    assert.equal(second.ChecksumSHA256, first.ChecksumSHA256);
    await fails(complete(Key, UploadId, parts.slice(0, 2)), 404, 'NoSuchUpload');
  });

  it('survives a commit of unknown outcome when it is repeated', async () => {
    const Key = 'unknown';
    const UploadId = await create(Key);
    const parts = await uploadAll(Key, UploadId);
    front.catalog.fault = (name) => (name === 'completeUpload' ? 'unknown-applied' : undefined);
    await fails(complete(Key, UploadId, parts), 503, 'ServiceUnavailable');
    front.catalog.fault = () => undefined;
    await complete(Key, UploadId, parts);
    assert.ok((await get(Key)).bytes.equals(whole));
  });

  it('refuses wrong lists of parts', async () => {
    const Key = 'lists';
    const UploadId = await create(Key);
    const [first, second] = [
      await uploadPart(Key, UploadId, 1, Buffer.from('small')),
      await uploadPart(Key, UploadId, 2, Buffer.from('last')),
    ];
    await fails(complete(Key, UploadId, [second, first]), 400, 'InvalidPartOrder');
    await fails(complete(Key, UploadId, [first, second]), 400, 'EntityTooSmall');
    await fails(complete(Key, UploadId, []), 400, 'MalformedXML');
    await fails(complete(Key, UploadId, [{ ...first, PartNumber: 7 }]), 400, 'InvalidPart');
    await fails(complete(Key, UploadId, [{ PartNumber: 1, ETag: 'f'.repeat(32) }]), 400, 'InvalidPart');
    await fails(complete(Key, UploadId, [first], { MpuObjectSize: 6 }), 400, 'InvalidRequest');
    await fails(complete('other', UploadId, [first]), 404, 'NoSuchUpload');
    await fails(uploadPart(Key, UploadId, 0, Buffer.from('x')), 400, 'InvalidArgument');
    await fails(uploadPart(Key, UploadId, 10_001, Buffer.from('x')), 400, 'InvalidArgument');
    await complete(Key, UploadId, [{ PartNumber: 1, ETag: first.ETag!.replaceAll('"', '') }], {
      MpuObjectSize: 5,
    });
    assert.equal((await get(Key)).bytes.toString(), 'small');
  });

  it('lists its parts by pages and forgets them when aborted', async () => {
    const Key = 'parts';
    const UploadId = await create(Key, { ChecksumAlgorithm: 'SHA1' });
    for (const n of [3, 1, 2])
      await uploadPart(Key, UploadId, n, Buffer.from(`part ${n}`), { ChecksumAlgorithm: 'SHA1' });
    const list = (more = {}) => front.s3.send(new ListPartsCommand({ Bucket, Key, UploadId, ...more }));
    const page = await list({ MaxParts: 2 });
    assert.deepEqual(
      page.Parts!.map(({ PartNumber }) => PartNumber),
      [1, 2],
    );
    assert.equal(page.IsTruncated, true);
    assert.equal(page.ChecksumAlgorithm, 'SHA1');
    assert.equal(page.Owner!.ID, 'owner');
    const next = await list({ PartNumberMarker: page.NextPartNumberMarker });
    assert.deepEqual(
      next.Parts!.map(({ PartNumber, Size }) => [PartNumber, Size]),
      [[3, 6]],
    );
    assert.equal(next.Parts![0]!.ChecksumSHA1, digest('sha1', Buffer.from('part 3')).toString('base64'));
    await front.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    await fails(list(), 404, 'NoSuchUpload');
    await fails(
      front.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })),
      404,
      'NoSuchUpload',
    );
  });

  it('pages through the parts of an object', async () => {
    const answer = await front.s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'whole',
        ObjectAttributes: ['ObjectParts', 'ObjectSize'],
        MaxParts: 1,
        PartNumberMarker: '1',
      }),
    );
    assert.equal(answer.ObjectSize, whole.length);
    const { Parts, ...rest } = answer.ObjectParts!;
    assert.deepEqual(rest, {
      TotalPartsCount: 3,
      PartNumberMarker: '1',
      NextPartNumberMarker: '2',
      MaxParts: 1,
      IsTruncated: true,
    });
    assert.equal(Parts![0]!.Size, PART);
  });

  it('works with lib-storage', async () => {
    const upload = new Upload({
      client: front.s3,
      params: { Bucket, Key: 'lib-storage', Body: whole },
      partSize: PART,
      queueSize: 2,
    });
    await upload.done();
    assert.ok((await get('lib-storage')).bytes.equals(whole));
  });
});

describe('UploadPartCopy', () => {
  const copyPart = (Key: string, UploadId: string, PartNumber: number, CopySource: string, more = {}) =>
    front.s3.send(new UploadPartCopyCommand({ Bucket, Key, UploadId, PartNumber, CopySource, ...more }));

  it('shares a whole blob, streams a range', async () => {
    const plain = front.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    await plain.send(new PutObjectCommand({ Bucket, Key: 'blob', Body: bodies[0] }));
    const UploadId = await create('copied');
    const blobs = front.dosm.blobs.size;
    const first = await copyPart('copied', UploadId, 1, `${Bucket}/blob`);
    assert.equal(front.dosm.blobs.size, blobs);
    const second = await copyPart('copied', UploadId, 2, `${Bucket}/blob`, {
      CopySourceRange: 'bytes=0-9',
    });
    assert.equal(front.dosm.blobs.size, blobs + 1);
    const parts = [first, second].map((answer, i) => ({
      PartNumber: i + 1,
      ETag: answer.CopyPartResult!.ETag,
    }));
    const answer = await complete('copied', UploadId, parts);
    const expected = Buffer.concat([bodies[0]!, bodies[0]!.subarray(0, 10)]);
    // The source may go; the part keeps its bytes.
    await front.s3.send(new DeleteObjectCommand({ Bucket, Key: 'blob' }));
    assert.ok((await get('copied')).bytes.equals(expected));
    const put = await plain.send(new PutObjectCommand({ Bucket, Key: 'same', Body: expected }));
    assert.equal(answer.ChecksumCRC64NVME, put.ChecksumCRC64NVME);
  });

  it('refuses wrong ranges and sources', async () => {
    await front.s3.send(new PutObjectCommand({ Bucket, Key: 'five', Body: '12345' }));
    const UploadId = await create('refused');
    const source = `${Bucket}/five`;
    for (const CopySourceRange of ['0-2', 'bytes=0', 'bytes=hello-', 'bytes=0-2,3-5', 'bytes=3-1'])
      await fails(copyPart('refused', UploadId, 1, source, { CopySourceRange }), 400, 'InvalidArgument');
    await fails(
      copyPart('refused', UploadId, 1, source, { CopySourceRange: 'bytes=0-21' }),
      416,
      'InvalidRange',
    );
    await fails(
      copyPart('refused', UploadId, 1, source, { CopySourceIfMatch: '"no"' }),
      412,
      'PreconditionFailed',
    );
    await fails(copyPart('refused', UploadId, 1, `${Bucket}/nothing`), 404, 'NoSuchKey');
    await fails(copyPart('refused', 'no-such-upload', 1, source), 404, 'NoSuchUpload');
  });

  it('copies whole multipart objects by reference', async () => {
    const blobs = front.dosm.blobs.size;
    await front.s3.send(new CopyObjectCommand({ Bucket, Key: 'shared', CopySource: `${Bucket}/whole` }));
    await front.s3.send(new DeleteObjectCommand({ Bucket, Key: 'whole' }));
    assert.equal(front.dosm.blobs.size, blobs);
    assert.ok((await get('shared')).bytes.equals(whole));
  });
});
