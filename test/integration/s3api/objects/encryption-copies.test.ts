/** Copies between all ways of encryption, and default encryption of buckets. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteBucketEncryptionCommand,
  GetBucketEncryptionCommand,
  PutBucketEncryptionCommand,
  type S3Client,
  type ServerSideEncryptionByDefault,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import {
  BODY,
  Bucket,
  customer,
  KEY_A,
  KEY_B,
  type Kit,
  md5,
  sourceCustomer,
  startKit,
  WAYS,
} from './encryption-kit.ts';
import { fails } from './sdk-front.ts';

let kit: Kit;
let s3: S3Client;
before(async () => {
  kit = await startKit();
  s3 = kit.s3;
});
after(() => kit.front.close());
const put = (...args: Parameters<Kit['put']>) => kit.put(...args);
const get = (...args: Parameters<Kit['get']>) => kit.get(...args);
const blobsOf = (key: string) => kit.blobsOf(key);

describe('copies between all ways of encryption', () => {
  for (const from of ['plain', 's3', 'kms', 'c'] as const)
    for (const to of ['plain', 's3', 'kms', 'c'] as const)
      it(`${from} → ${to}`, async () => {
        const Key = `${from}-to-${to}`;
        await put(`${from}-source`, WAYS[from]);
        const source = {
          CopySource: `${Bucket}/${from}-source`,
          ...(from === 'c' ? sourceCustomer(KEY_A) : {}),
        };
        const target = to === 'c' ? customer(from === 'c' ? KEY_B : KEY_A) : WAYS[to];
        const reading = to === 'c' ? (target as ReturnType<typeof customer>) : {};
        const copied = await s3.send(new CopyObjectCommand({ Bucket, Key, ...source, ...target }));
        const { got, bytes } = await get(Key, reading);
        assert.ok(bytes.equals(BODY));
        assert.equal(got.ETag, copied.CopyObjectResult?.ETag);
        assert.equal(got.ETag === `"${md5(BODY)}"`, to === 'plain' || to === 's3');
        assert.equal(got.ServerSideEncryption, to === 's3' ? 'AES256' : to === 'kms' ? 'aws:kms' : undefined);
        const ids = async (key: string) => (await blobsOf(key)).map(({ ref }) => ref.id).join();
        const shared = (await ids(Key)) === (await ids(`${from}-source`));
        assert.equal(shared, from === to && to !== 'c', 'bytes are shared where the key is the same');

        const created = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...target }));
        const upload = { Bucket, Key, UploadId: created.UploadId };
        const part = await s3.send(
          new UploadPartCopyCommand({
            ...upload,
            PartNumber: 7,
            ...source,
            ...reading,
            CopySourceRange: 'bytes=100-290099',
          }),
        );
        assert.equal(part.ServerSideEncryption, got.ServerSideEncryption);
        const { ETag, ChecksumCRC32 } = part.CopyPartResult!;
        const MultipartUpload = { Parts: [{ PartNumber: 7, ETag, ChecksumCRC32 }] };
        await s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload, ...reading }));
        assert.ok((await get(Key, reading)).bytes.equals(BODY.subarray(100, 290_100)));
      });

  it("share the bytes under the same client's key, and of multipart objects", async () => {
    const Key = 'c-copy';
    await s3.send(
      new CopyObjectCommand({
        Bucket,
        Key,
        CopySource: `${Bucket}/plain-to-c`,
        ...sourceCustomer(KEY_A),
        ...WAYS.c,
      }),
    );
    const first = (await blobsOf('plain-to-c')).map(({ ref }) => ref.id);
    assert.deepEqual(
      (await blobsOf(Key)).map(({ ref }) => ref.id),
      first,
    );
    const [one, two] = [await get('plain-to-c', WAYS.c), await get(Key, WAYS.c)];
    assert.ok(one.bytes.equals(two.bytes));
  });

  it('onto itself may change the encryption alone', async () => {
    await put('self');
    const self = { Bucket, Key: 'self', CopySource: `${Bucket}/self` };
    await fails(s3.send(new CopyObjectCommand(self)), 400, 'InvalidRequest');
    await s3.send(new CopyObjectCommand({ ...self, ServerSideEncryption: 'AES256' }));
    const { got, bytes } = await get('self');
    assert.equal(got.ServerSideEncryption, 'AES256');
    assert.ok(bytes.equals(BODY));
  });
});

describe("a bucket's default encryption", () => {
  const set = (byDefault: ServerSideEncryptionByDefault, more: object = {}) =>
    s3.send(
      new PutBucketEncryptionCommand({
        Bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: byDefault, ...more }],
        },
      }),
    );

  it('is not there at first, holds for what says nothing, and goes again', async () => {
    const read = () => s3.send(new GetBucketEncryptionCommand({ Bucket }));
    await fails(read(), 404, 'ServerSideEncryptionConfigurationNotFoundError');
    await set({ SSEAlgorithm: 'aws:kms', KMSMasterKeyID: 'key-2' }, { BucketKeyEnabled: true });
    assert.deepEqual((await read()).ServerSideEncryptionConfiguration?.Rules, [
      {
        ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: 'key-2' },
        BucketKeyEnabled: true,
      },
    ]);
    const answer = await put('default');
    assert.deepEqual(
      [answer.ServerSideEncryption, answer.SSEKMSKeyId, answer.BucketKeyEnabled],
      ['aws:kms', 'key-2', true],
    );
    assert.ok((await get('default')).bytes.equals(BODY));
    assert.equal((await put('asked', WAYS.s3)).ServerSideEncryption, 'AES256');
    await set({ SSEAlgorithm: 'AES256' });
    assert.equal((await put('default')).ServerSideEncryption, 'AES256');
    await s3.send(new DeleteBucketEncryptionCommand({ Bucket }));
    await fails(read(), 404, 'ServerSideEncryptionConfigurationNotFoundError');
    assert.equal((await put('default')).ServerSideEncryption, undefined);
  });

  it("may forbid clients' keys", async () => {
    await put('mine', WAYS.c);
    await set({ SSEAlgorithm: 'AES256' }, { BlockedEncryptionTypes: { EncryptionType: ['SSE-C'] } });
    await fails(put('x', WAYS.c), 403, 'AccessDenied');
    assert.ok((await get('mine', WAYS.c)).bytes.equals(BODY));
    await s3.send(new DeleteBucketEncryptionCommand({ Bucket }));
  });

  it('refuses what is none', async () => {
    await fails(set({ SSEAlgorithm: 'AES256', KMSMasterKeyID: 'key-1' }), 400, 'InvalidArgument');
    await fails(set({ SSEAlgorithm: 'aws:kms:dsse' }), 501, 'NotImplemented');
    await fails(set({ SSEAlgorithm: 'ROT13' as 'AES256' }), 400, 'MalformedXML');
  });
});
