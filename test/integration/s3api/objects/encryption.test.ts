/** Encryption as an SDK with default settings sees it, and as it lies below: SSE-S3, SSE-KMS, SSE-C, defaults, copies. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketEncryptionCommand,
  GetBucketEncryptionCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadObjectCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  type S3Client,
  type ServerSideEncryptionByDefault,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { LIMITS } from '../../../../src/base/limits.ts';
import type { Envelope } from '../../../../src/identity/envelope.ts';
import { createMasterKey } from '../../../../src/identity/secret-box.ts';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const MIB = 1024 * 1024;
const Bucket = 'bucket';
const ARN = 'arn:aws:kms:us-east-1:111122223333:key/key-2';
const master = createMasterKey(randomBytes(32));
const keyring = {
  ...{ master, masters: [master] },
  kms: new Map(['key-1', 'key-2'].map((id) => [id, createMasterKey(randomBytes(32))])),
};
const md5 = (bytes: Buffer, encoding: 'hex' | 'base64' = 'hex') =>
  createHash('md5').update(bytes).digest(encoding);
const customer = (key: Buffer) => ({
  SSECustomerAlgorithm: 'AES256',
  SSECustomerKey: key.toString('base64'),
  SSECustomerKeyMD5: md5(key, 'base64'),
});
const sourceCustomer = (key: Buffer) => ({
  CopySourceSSECustomerAlgorithm: 'AES256',
  CopySourceSSECustomerKey: key.toString('base64'),
  CopySourceSSECustomerKeyMD5: md5(key, 'base64'),
});
const KEY_A = randomBytes(32);
const KEY_B = randomBytes(32);
/** Several chunks, and nothing in it that could stand in ciphertext by chance. */
const BODY = Buffer.concat([Buffer.from('the plain text of an object'), randomBytes(300_000)]);

const WAYS = {
  plain: {},
  s3: { ServerSideEncryption: 'AES256' },
  kms: { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'key-1' },
  c: customer(KEY_A),
} as const;
type Way = keyof typeof WAYS;
const readArgs = (way: Way) => (way === 'c' ? WAYS.c : {});

let front: SdkFront;
let s3: S3Client;
before(async () => {
  front = await startSdkFront({ encryption: { keyring } });
  s3 = front.s3;
  await s3.send(new CreateBucketCommand({ Bucket }));
});
after(() => front.close());

const put = (Key: string, more: object = {}, Body: Buffer | string = BODY) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Key: string, more: Partial<GetObjectCommandInput> = {}) => {
  const got = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return { got, bytes: Buffer.from(await got.Body!.transformToByteArray()) };
};
const envelopeIn = async (key: string): Promise<Envelope | undefined> => {
  const bucket = await front.catalog.findBucket(Bucket);
  return (await front.catalog.findVersion(bucket!.id, key))?.encryption as Envelope | undefined;
};
const blobsOf = async (key: string) => {
  const bucket = await front.catalog.findBucket(Bucket);
  const { content } = (await front.catalog.findVersion(bucket!.id, key))!;
  if (content.kind === 'blob') return [front.dosm.blobs.get(content.blob.id)!];
  if (content.kind === 'empty') return [];
  const parts = await front.catalog.readManifest(bucket!.id, content.manifestId);
  return parts.map((part) => front.dosm.blobs.get(part.blob!.id)!);
};

describe('an encrypted object', () => {
  for (const way of ['s3', 'kms', 'c'] as const) {
    it(`(${way}) comes back whole and in ranges, and lies there as ciphertext`, async () => {
      const answer = await put(way, WAYS[way]);
      const { got, bytes } = await get(way, readArgs(way));
      assert.ok(bytes.equals(BODY));
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key: way, ...readArgs(way) }));
      for (const shown of [answer, got, head]) {
        assert.equal(shown.ServerSideEncryption, way === 'c' ? undefined : WAYS[way].ServerSideEncryption);
        assert.equal(shown.SSEKMSKeyId, way === 'kms' ? 'key-1' : undefined);
        assert.equal(shown.SSECustomerKeyMD5, way === 'c' ? WAYS.c.SSECustomerKeyMD5 : undefined);
        assert.equal(shown.ETag === `"${md5(BODY)}"`, way === 's3');
        assert.equal(shown.ETag, answer.ETag);
      }
      assert.equal(head.ContentLength, BODY.length);
      const edge = LIMITS.chunkBytes - 28;
      for (const [from, to] of [
        [0, 0],
        [edge - 1, edge],
        [edge, edge + 5],
        [BODY.length - 1, BODY.length - 1],
      ] as const) {
        const part = await get(way, { ...readArgs(way), Range: `bytes=${from}-${to}` });
        assert.ok(part.bytes.equals(BODY.subarray(from, to + 1)), `${from}-${to}`);
        assert.equal(part.got.ContentRange, `bytes ${from}-${to}/${BODY.length}`);
      }
      for (const { bytes: stored } of await blobsOf(way)) assert.equal(stored.indexOf('plain text'), -1);
    });

    it(`(${way}) of no bytes is encrypted too`, async () => {
      await put(`${way}-empty`, WAYS[way], '');
      const { got, bytes } = await get(`${way}-empty`, readArgs(way));
      assert.equal(bytes.length, 0);
      assert.equal(
        got.ServerSideEncryption ?? got.SSECustomerAlgorithm,
        way === 'kms' ? 'aws:kms' : 'AES256',
      );
    });
  }

  for (const way of ['s3', 'c'] as const)
    it(`(${way}) of parts of odd sizes comes back, part by part and across them`, async () => {
      const Key = `${way}-parts`;
      const parts = [randomBytes(5 * MIB + 1), randomBytes(5 * MIB + 77_777), randomBytes(3)];
      const whole = Buffer.concat(parts);
      const { UploadId, ...created } = await s3.send(
        new CreateMultipartUploadCommand({ Bucket, Key, ...WAYS[way] }),
      );
      const upload = { Bucket, Key, UploadId };
      const sent = [];
      for (const [i, Body] of parts.entries()) {
        const part = { ...upload, PartNumber: i + 1, Body, ...readArgs(way) };
        const first = await s3.send(new UploadPartCommand(part));
        if (i === 1) assert.equal((await s3.send(new UploadPartCommand(part))).ETag, first.ETag);
        sent.push({ PartNumber: i + 1, ETag: first.ETag, ChecksumCRC32: first.ChecksumCRC32 });
      }
      const MultipartUpload = { Parts: sent };
      const done = await s3.send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload, ...readArgs(way) }),
      );
      assert.equal(done.ServerSideEncryption, created.ServerSideEncryption);
      assert.ok((await get(Key, readArgs(way))).bytes.equals(whole));
      const second = await get(Key, { ...readArgs(way), PartNumber: 2 });
      assert.ok(second.bytes.equals(parts[1]!));
      const Range = `bytes=${5 * MIB - 9}-${whole.length - 2}`;
      assert.ok((await get(Key, { ...readArgs(way), Range })).bytes.equals(whole.subarray(5 * MIB - 9, -1)));
    });

  it('is not sent with a changed, moved or missing chunk: cut, never ended', async () => {
    await put('tampered', WAYS.s3);
    const [blob] = await blobsOf('tampered');
    const good = Buffer.from(blob!.bytes);
    blob!.bytes[5_000]! ^= 1;
    await fails(get('tampered'), 503, 'ServiceUnavailable');
    good.copy(blob!.bytes);
    good.copy(blob!.bytes, 0, LIMITS.chunkBytes);
    await fails(get('tampered'), 503, 'ServiceUnavailable');
    good.copy(blob!.bytes);
    blob!.bytes[LIMITS.chunkBytes + 50]! ^= 1;
    await assert.rejects(get('tampered'));
    assert.ok((await get('tampered', { Range: 'bytes=0-99' })).bytes.equals(BODY.subarray(0, 100)));
    good.copy(blob!.bytes);
    assert.ok((await get('tampered')).bytes.equals(BODY));
  });
});

describe("a client's key (SSE-C)", () => {
  it('is needed, and must be the right one, wherever the object is read', async () => {
    await put('mine', WAYS.c);
    const asks = [
      (more: object) => get('mine', more),
      (more: object) =>
        s3.send(new GetObjectAttributesCommand({ Bucket, Key: 'mine', ObjectAttributes: ['ETag'], ...more })),
      (more: object) =>
        s3.send(new CopyObjectCommand({ Bucket, Key: 'x', CopySource: `${Bucket}/mine`, ...more })),
    ];
    for (const [i, ask] of asks.entries()) {
      const wrong = i === 2 ? sourceCustomer(KEY_B) : customer(KEY_B);
      await fails(ask({}), 400, 'InvalidRequest');
      await fails(ask(wrong), 400, 'InvalidRequest');
    }
    const head = s3.send(new HeadObjectCommand({ Bucket, Key: 'mine' }));
    await assert.rejects(
      head,
      (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode === 400,
    );
    assert.equal(
      (
        await s3.send(
          new GetObjectAttributesCommand({
            Bucket,
            Key: 'mine',
            ObjectAttributes: ['ObjectSize'],
            ...WAYS.c,
          }),
        )
      ).ObjectSize,
      BODY.length,
    );
  });

  it('does not belong to an object without one', async () => {
    await put('nobodys', WAYS.s3);
    await fails(get('nobodys', WAYS.c), 400, 'InvalidRequest');
    await fails(
      s3.send(
        new CopyObjectCommand({
          Bucket,
          Key: 'x',
          CopySource: `${Bucket}/nobodys`,
          ...sourceCustomer(KEY_A),
        }),
      ),
      400,
      'InvalidRequest',
    );
  });

  it('is the same for all parts of an upload', async () => {
    const upload = { Bucket, Key: 'upload' };
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ ...upload, ...WAYS.c, ChecksumAlgorithm: 'CRC32' }),
    );
    const part = (more: object) =>
      s3.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body: 'x', ...more }));
    await fails(part({}), 400, 'InvalidRequest');
    await fails(part(customer(KEY_B)), 400, 'InvalidRequest');
    const { ETag, ChecksumCRC32 } = await part(WAYS.c);
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] };
    const complete = (more: object) =>
      s3.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload, ...more }));
    await fails(complete({}), 400, 'InvalidRequest');
    await fails(complete(customer(KEY_B)), 400, 'InvalidRequest');
    await complete(WAYS.c);
    const { UploadId: plain } = await s3.send(new CreateMultipartUploadCommand(upload));
    await fails(part({ UploadId: plain, ...WAYS.c }), 400, 'InvalidRequest');
  });

  it('is nowhere kept', async () => {
    await put('unkept', WAYS.c);
    const kept = JSON.stringify(await envelopeIn('unkept'));
    for (const text of [WAYS.c.SSECustomerKey, WAYS.c.SSECustomerKeyMD5, KEY_A.toString('hex')])
      assert.ok(!kept.includes(text));
  });
});

describe('SSE-KMS', () => {
  it('takes a declared key by its id or an ARN, an encryption context, a bucket key', async () => {
    const SSEKMSEncryptionContext = Buffer.from(JSON.stringify({ team: 'ü' })).toString('base64');
    const more = {
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: ARN,
      BucketKeyEnabled: true,
      SSEKMSEncryptionContext,
    };
    const answer = await put('arn', more);
    assert.equal(answer.SSEKMSKeyId, ARN);
    assert.equal(answer.SSEKMSEncryptionContext, SSEKMSEncryptionContext);
    const { got, bytes } = await get('arn');
    assert.ok(bytes.equals(BODY));
    assert.deepEqual([got.SSEKMSKeyId, got.BucketKeyEnabled], [ARN, true]);
    assert.deepEqual((await envelopeIn('arn'))?.context, { team: 'ü' });
  });

  it('refuses a key that is not declared, none, and the dual layer', async () => {
    const kms = { ServerSideEncryption: 'aws:kms' };
    await fails(put('x', { ...kms, SSEKMSKeyId: 'key-9' }), 400, 'KMS.NotFoundException');
    await fails(put('x', { ...kms, SSEKMSKeyId: `${ARN}9` }), 400, 'KMS.NotFoundException');
    await fails(put('x', kms), 400, 'KMS.NotFoundException');
    await fails(
      put('x', { ServerSideEncryption: 'aws:kms:dsse', SSEKMSKeyId: 'key-1' }),
      501,
      'NotImplemented',
    );
  });
});

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
        CopySource: `${Bucket}/c-parts`,
        ...sourceCustomer(KEY_A),
        ...WAYS.c,
      }),
    );
    const first = (await blobsOf('c-parts')).map(({ ref }) => ref.id);
    assert.deepEqual(
      (await blobsOf(Key)).map(({ ref }) => ref.id),
      first,
    );
    const [one, two] = [await get('c-parts', WAYS.c), await get(Key, WAYS.c)];
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
