// What @aws-sdk/client-s3 really sends, with its default settings and others, is understood and verified.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { credentials } from '../../unit/identity/fixtures.ts';
import { type Captured, type CaptureServer, startCaptureServer } from './capture-server.ts';

let server: CaptureServer;
const clients: S3Client[] = [];

before(async () => {
  server = await startCaptureServer();
});
after(async () => {
  for (const client of clients) client.destroy();
  await server.close();
});

function client(config: S3ClientConfig = {}): S3Client {
  const made = new S3Client({
    endpoint: `http://127.0.0.1:${server.port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
    ...config,
  });
  clients.push(made);
  return made;
}

function last(): Captured {
  assert.deepEqual(server.refused, []);
  const captured = server.captured.at(-1);
  assert.ok(captured);
  assert.equal(captured.authenticated.principal.kind, 'account');
  return captured;
}

const Bucket = 'bucket';
const odd = "ключ/a b+c/(1)!*'~_-.&=?#%€.txt";
const body = randomBytes(300_000);

test('PutObject of a buffer, default settings', async () => {
  await client().send(new PutObjectCommand({ Bucket, Key: odd, Body: body, Metadata: { a: 'x  y' } }));
  const captured = last();
  assert.deepEqual(captured.payload, body);
  assert.equal(captured.declaredChecksum, 'CRC32');
  assert.equal(captured.md5, createHash('md5').update(body).digest('hex'));
});

test('PutObject of a stream: aws-chunked with a trailer', async () => {
  const Body = Readable.from([body.subarray(0, 100_000), body.subarray(100_000)]);
  await client().send(
    new PutObjectCommand({ Bucket, Key: odd, Body, ContentLength: body.length, ContentEncoding: 'gzip' }),
  );
  const captured = last();
  assert.deepEqual(captured.payload, body);
  assert.match(captured.headers['x-amz-content-sha256']!, /^STREAMING-/);
  assert.equal(captured.declaredChecksum, 'CRC32');
  assert.equal(captured.contentEncoding?.trim(), 'gzip');
});

for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
  test(`PutObject and UploadPart with ${ChecksumAlgorithm}, as header and as trailer`, async () => {
    const s3 = client();
    await s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: body, ChecksumAlgorithm }));
    assert.equal(last().declaredChecksum, ChecksumAlgorithm);
    const part = {
      Bucket,
      Key: 'k',
      UploadId: 'u',
      PartNumber: 1,
      ContentLength: body.length,
      ChecksumAlgorithm,
    };
    await s3.send(new UploadPartCommand({ ...part, Body: Readable.from([body]) }));
    assert.deepEqual([last().declaredChecksum, last().payload.length], [ChecksumAlgorithm, body.length]);
  });
}

test('no checksums and an unsigned payload, when the client is told so', async () => {
  const s3 = client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  await s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: body }));
  const captured = last();
  assert.equal(captured.declaredChecksum, null);
  assert.deepEqual(captured.payload, body);
});

test('an empty object', async () => {
  await client().send(new PutObjectCommand({ Bucket, Key: 'k', Body: '' }));
  assert.equal(last().payload.length, 0);
});

test('DeleteObjects, lists, copies and reads with odd names', async () => {
  const s3 = client();
  await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: odd }] } })).catch(() => {});
  assert.match(last().payload.toString(), /<Delete/);
  await s3
    .send(new ListObjectsV2Command({ Bucket, Prefix: odd, Delimiter: '/', StartAfter: ' +' }))
    .catch(() => {});
  last();
  await s3
    .send(new CopyObjectCommand({ Bucket, Key: odd, CopySource: `b/${encodeURIComponent(odd)}` }))
    .catch(() => {});
  last();
  await s3.send(
    new GetObjectCommand({ Bucket, Key: odd, Range: 'bytes=0-9', ResponseContentType: 'a/b; c="d e"' }),
  );
  last();
});

test('presigned PUT and GET', async () => {
  const put = await getSignedUrl(client(), new PutObjectCommand({ Bucket, Key: odd }), { expiresIn: 60 });
  const answer = await fetch(put, { method: 'PUT', body });
  assert.equal(answer.status, 200, server.refused.join());
  assert.deepEqual(last().payload, body);
  assert.ok(last().authenticated.presigned);
  const get = await getSignedUrl(
    client(),
    new GetObjectCommand({ Bucket, Key: odd, ResponseContentDisposition: 'attachment; filename="a b.txt"' }),
  );
  assert.equal((await fetch(get)).status, 200, server.refused.join());
});

test('a client with the wrong secret is refused', async () => {
  const s3 = client({ credentials: { ...credentials, secretAccessKey: 'wrong' } });
  await assert.rejects(s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' })), {
    name: 'SignatureDoesNotMatch',
  });
  assert.match(server.refused.pop()!, /^SignatureDoesNotMatch/);
});
