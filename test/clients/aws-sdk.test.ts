/** @aws-sdk/client-s3 and lib-storage with default settings: today's checksums and conditional writes. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { request } from 'undici';
import { describeClient } from './client-harness.ts';
import { md5, seededBytes, sha256 } from './trees.ts';

const MIB = 2 ** 20;

describeClient('@aws-sdk/client-s3', { probe: ['true'] }, (client) => {
  const connect = () => {
    const { endpoint, region, accessKeyId, secretAccessKey } = client();
    const credentials = { accessKeyId, secretAccessKey };
    return new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  };
  const setUp = async () => {
    const s3 = connect();
    const Bucket = client().bucketName();
    await s3.send(new CreateBucketCommand({ Bucket }));
    return { s3, Bucket };
  };
  const read = async (s3: S3Client, input: ConstructorParameters<typeof GetObjectCommand>[0]) => {
    const { Body } = await s3.send(new GetObjectCommand(input));
    return Buffer.from(await Body!.transformToByteArray());
  };
  const failsWith = (name: string) => (error: Error) => {
    assert.equal(error.name, name, error.message);
    return true;
  };

  it('puts and gets with the default checksum, which the store keeps and shows', async () => {
    const { s3, Bucket } = await setUp();
    const Body = seededBytes(70, 300_001);
    const put = await s3.send(
      new PutObjectCommand({ Bucket, Key: 'a/ü +%', Body, Metadata: { colour: 'blue' } }),
    );
    assert.equal(put.ETag, `"${md5(Body)}"`);
    assert.ok(put.ChecksumCRC32);
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a/ü +%', ChecksumMode: 'ENABLED' }));
    assert.equal(head.ChecksumCRC32, put.ChecksumCRC32);
    assert.equal(head.ChecksumType, 'FULL_OBJECT');
    assert.deepEqual(head.Metadata, { colour: 'blue' });
    assert.equal(sha256(await read(s3, { Bucket, Key: 'a/ü +%' })), sha256(Body));
    for (const ChecksumAlgorithm of ['CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
      await s3.send(new PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body, ChecksumAlgorithm }));
      const seen = await s3.send(
        new HeadObjectCommand({ Bucket, Key: ChecksumAlgorithm, ChecksumMode: 'ENABLED' }),
      );
      assert.ok(seen[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm);
      assert.equal(sha256(await read(s3, { Bucket, Key: ChecksumAlgorithm })), sha256(Body));
    }
  });

  it('puts a stream, whose checksum comes in a trailer', async () => {
    const { s3, Bucket } = await setUp();
    const bytes = seededBytes(71, 2 * MIB + 11);
    const pieces = Array.from({ length: 33 }, (_, i) => bytes.subarray(i * 65_000, (i + 1) * 65_000));
    const Body = Readable.from(pieces, { objectMode: false });
    await s3.send(new PutObjectCommand({ Bucket, Key: 'stream', Body, ContentLength: bytes.length }));
    assert.equal(sha256(await read(s3, { Bucket, Key: 'stream' })), sha256(bytes));
  });

  it('uploads a stream of unknown length in parts', async () => {
    const { s3, Bucket } = await setUp();
    const bytes = seededBytes(72, 27 * MIB + 1);
    const pieces = Array.from({ length: 28 }, (_, i) => bytes.subarray(i * MIB, (i + 1) * MIB));
    const params = { Bucket, Key: 'upload', Body: Readable.from(pieces, { objectMode: false }) };
    const done = await new Upload({ client: s3, params }).done();
    assert.match(done.ETag!, /-6"$/);
    assert.equal(sha256(await read(s3, { Bucket, Key: 'upload' })), sha256(bytes));
    const wanted = {
      Bucket,
      Key: 'upload',
      ObjectAttributes: ['ObjectSize', 'ObjectParts', 'Checksum'] as const,
    };
    const shown = await s3.send(
      new GetObjectAttributesCommand({ ...wanted, ObjectAttributes: [...wanted.ObjectAttributes] }),
    );
    assert.equal(shown.ObjectSize, bytes.length);
    assert.equal(shown.ObjectParts?.TotalPartsCount, 6);
    const range = await read(s3, { Bucket, Key: 'upload', Range: `bytes=${5 * MIB - 3}-${5 * MIB + 3}` });
    assert.deepEqual(range, bytes.subarray(5 * MIB - 3, 5 * MIB + 4));
    assert.deepEqual(await read(s3, { Bucket, Key: 'upload', Range: 'bytes=-5' }), bytes.subarray(-5));
  });

  it('makes one object of an uploaded part and a copied one, with a full-object checksum', async () => {
    const { s3, Bucket } = await setUp();
    const [first, second] = [seededBytes(73, 5 * MIB), seededBytes(74, 6 * MIB)];
    await s3.send(new PutObjectCommand({ Bucket, Key: 'source', Body: second }));
    const target = { Bucket, Key: 'joined' };
    const begin = { ...target, ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'FULL_OBJECT' } as const;
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(begin));
    const one = await s3.send(
      new UploadPartCommand({
        ...target,
        UploadId,
        PartNumber: 1,
        Body: first,
        ChecksumAlgorithm: 'CRC64NVME',
      }),
    );
    const from = { CopySource: `${Bucket}/source`, CopySourceRange: 'bytes=0-999999' };
    const two = await s3.send(new UploadPartCopyCommand({ ...target, ...from, UploadId, PartNumber: 2 }));
    const Parts = [
      { PartNumber: 1, ETag: one.ETag!, ChecksumCRC64NVME: one.ChecksumCRC64NVME },
      {
        PartNumber: 2,
        ETag: two.CopyPartResult!.ETag!,
        ChecksumCRC64NVME: two.CopyPartResult!.ChecksumCRC64NVME,
      },
    ];
    const done = await s3.send(
      new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }),
    );
    assert.ok(done.ChecksumCRC64NVME);
    const joined = Buffer.concat([first, second.subarray(0, 1_000_000)]);
    assert.equal(sha256(await read(s3, target)), sha256(joined));
  });

  it('lets exactly one of many conditional writers win', async () => {
    const { s3, Bucket } = await setUp();
    const attempts = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) =>
        s3.send(new PutObjectCommand({ Bucket, Key: 'lock', Body: `writer ${i}`, IfNoneMatch: '*' })),
      ),
    );
    const won = attempts.flatMap((a, i) => (a.status === 'fulfilled' ? [i] : []));
    assert.equal(won.length, 1);
    for (const attempt of attempts) {
      if (attempt.status === 'rejected') {
        assert.match(attempt.reason.name, /^(PreconditionFailed|ConditionalRequestConflict)$/);
      }
    }
    assert.equal((await read(s3, { Bucket, Key: 'lock' })).toString(), `writer ${won[0]}`);
  });

  it('copies with new metadata, lists by pages, deletes many, and names what is missing', async () => {
    const { s3, Bucket } = await setUp();
    const source = { Bucket, Key: 'from', Body: 'copied', ContentType: 'text/plain', Metadata: { a: '1' } };
    await s3.send(new PutObjectCommand(source));
    const copy = { Bucket, CopySource: encodeURI(`${Bucket}/from`) };
    await s3.send(new CopyObjectCommand({ ...copy, Key: 'same' }));
    await s3.send(
      new CopyObjectCommand({ ...copy, Key: 'new', MetadataDirective: 'REPLACE', Metadata: { b: '2' } }),
    );
    assert.deepEqual((await s3.send(new HeadObjectCommand({ Bucket, Key: 'same' }))).Metadata, { a: '1' });
    assert.deepEqual((await s3.send(new HeadObjectCommand({ Bucket, Key: 'new' }))).Metadata, { b: '2' });
    const keys: string[] = [];
    for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket })) {
      keys.push(...(page.Contents ?? []).map((o) => o.Key!));
    }
    assert.deepEqual(keys, ['from', 'new', 'same']);
    const Objects = keys.map((Key) => ({ Key }));
    const gone = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    assert.equal(gone.Deleted?.length, 3);
    assert.equal((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0);
    await assert.rejects(s3.send(new GetObjectCommand({ Bucket, Key: 'from' })), failsWith('NoSuchKey'));
    await assert.rejects(
      s3.send(new ListObjectsV2Command({ Bucket: 'not-there-at-all' })),
      failsWith('NoSuchBucket'),
    );
  });

  it('presigns GET and PUT', async () => {
    const { s3, Bucket } = await setUp();
    const bytes = seededBytes(75, 1234);
    const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: 'p' }), { expiresIn: 60 });
    assert.equal((await request(put, { method: 'PUT', body: bytes })).statusCode, 200);
    const get = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'p' }), { expiresIn: 60 });
    const { statusCode, body } = await request(get);
    assert.equal(statusCode, 200);
    assert.equal(sha256(Buffer.from(await body.arrayBuffer())), sha256(bytes));
  });
});
