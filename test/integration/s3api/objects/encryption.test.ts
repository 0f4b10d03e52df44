/** Encryption as an SDK with default settings sees it, and as it lies below: SSE-S3, SSE-KMS, SSE-C. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  HeadObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { LIMITS } from '../../../../src/base/limits.ts';
import type { MasterKey } from '../../../../src/identity/secret-box.ts';
import {
  ARN,
  BODY,
  Bucket,
  customer,
  KEY_A,
  KEY_B,
  type Kit,
  MIB,
  md5,
  readArgs,
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
const envelopeIn = (key: string) => kit.envelopeIn(key);
const blobsOf = (key: string) => kit.blobsOf(key);

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

  it('shows what is known of an object whose key is declared no more, and nothing else', async () => {
    await put('orphan', { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'key-1' });
    const kms = kit.keyring.kms as Map<string, MasterKey>;
    const key = kms.get('key-1')!;
    kms.delete('key-1');
    try {
      assert.equal(
        (await s3.send(new HeadObjectCommand({ Bucket, Key: 'orphan' }))).ContentLength,
        BODY.length,
      );
      await fails(get('orphan'), 400, 'KMS.NotFoundException');
    } finally {
      kms.set('key-1', key);
    }
    assert.ok((await get('orphan')).bytes.equals(BODY));
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
