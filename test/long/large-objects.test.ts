/**
 * Constant memory: one PUT of 5 GiB, and an upload of 10 GiB in ten parts, come back byte for byte, while the gateway
 * and the nodes stay under 300 MiB of resident memory (issued figures: peak RSS of each, MiB/s).
 */
import assert from 'node:assert/strict';
import { createCipheriv, createHash, type Hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { clientOf } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';

const GIB = 1024 ** 3;
const RSS_BYTES_MAX = 300 * 1024 * 1024;
const STEP_BYTES = 1024 * 1024;
const BUCKET = 'large';
const EXPIRES = { expiresIn: 3_600 };

describe('objects of many GiB', () => {
  let store: Store;
  let s3: S3Client;
  let memory: MemoryWatch;
  before(async () => {
    store = await startStore({ nodesPerCenter: 1 });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    memory = watchMemory(store);
  });
  after(async () => {
    memory.stop();
    s3.destroy();
    await store.kill();
  });

  it('takes one PUT of 5 GiB and gives it back', async (t) => {
    const target = { Bucket: BUCKET, Key: 'put' };
    const sent = createHash('sha256');
    const { ms } = await put(
      await getSignedUrl(s3, new PutObjectCommand(target), EXPIRES),
      5 * GIB,
      'put',
      sent,
    );
    const received = await fetchHash(await getSignedUrl(s3, new GetObjectCommand(target), EXPIRES));
    assert.equal(received.size, 5 * GIB);
    assert.equal(received.digest, sent.digest('hex'));
    report(t, 'PUT', 5 * GIB, ms);
    report(t, 'GET', 5 * GIB, received.ms);
    memory.check(t);
  });

  it('takes 10 GiB in ten parts and gives them back as one', async (t) => {
    const target = { Bucket: BUCKET, Key: 'parts' };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
    const sent = createHash('sha256');
    const parts: { PartNumber: number; ETag: string }[] = [];
    let ms = 0;
    for (let PartNumber = 1; PartNumber <= 10; PartNumber++) {
      const command = new UploadPartCommand({ ...target, UploadId, PartNumber });
      const part = await put(await getSignedUrl(s3, command, EXPIRES), GIB, `part ${PartNumber}`, sent);
      parts.push({ PartNumber, ETag: part.etag });
      ms += part.ms;
    }
    await s3.send(
      new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: parts } }),
    );
    const received = await fetchHash(await getSignedUrl(s3, new GetObjectCommand(target), EXPIRES));
    assert.equal(received.size, 10 * GIB);
    assert.equal(received.digest, sent.digest('hex'));
    report(t, 'UploadPart', 10 * GIB, ms);
    report(t, 'GET', 10 * GIB, received.ms);
    memory.check(t);
  });
});

interface Reporter {
  diagnostic(message: string): void;
}
const report = (t: Reporter, what: string, bytes: number, ms: number) =>
  t.diagnostic(`${what} ${bytes / GIB} GiB: ${Math.round(bytes / 1024 ** 2 / (ms / 1_000))} MiB/s`);

/** Streams seeded bytes with backpressure; adds them to `sent`. */
async function put(
  url: string,
  size: number,
  seed: string,
  sent: Hash,
): Promise<{ etag: string; ms: number }> {
  const begun = performance.now();
  const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(STEP_BYTES);
  const req = request(url, { method: 'PUT', agent: false, headers: { 'content-length': size } });
  const answered = new Promise<IncomingMessage>((done, fail) =>
    req.once('response', done).once('error', fail),
  );
  answered.catch(() => {});
  for (let left = size; left > 0; left -= STEP_BYTES) {
    const bytes = cipher.update(left >= STEP_BYTES ? zeros : zeros.subarray(0, left));
    sent.update(bytes);
    if (!req.write(bytes)) await Promise.race([new Promise((done) => req.once('drain', done)), answered]);
  }
  req.end();
  const response = await answered;
  response.resume();
  assert.equal(response.statusCode, 200);
  return { etag: response.headers.etag!, ms: performance.now() - begun };
}

async function fetchHash(url: string): Promise<{ size: number; digest: string; ms: number }> {
  const begun = performance.now();
  const response = await new Promise<IncomingMessage>((done, fail) => {
    get(url, { agent: false }, done).once('error', fail);
  });
  assert.equal(response.statusCode, 200);
  const hash = createHash('sha256');
  let size = 0;
  for await (const bytes of response as AsyncIterable<Buffer>) {
    hash.update(bytes);
    size += bytes.length;
  }
  return { size, digest: hash.digest('hex'), ms: performance.now() - begun };
}

interface MemoryWatch {
  check(t: Reporter): void;
  stop(): void;
}

/** The kernel's own high-water mark of each member's resident set (VmHWM). */
function watchMemory(store: Store): MemoryWatch {
  const peaks = new Map<string, number>();
  const look = () => {
    for (const [id, pid] of Object.entries(store.pids())) {
      if (id.startsWith('directory-')) continue;
      const kib = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
      peaks.set(id, Math.max(peaks.get(id) ?? 0, kib * 1024));
    }
  };
  const timer = setInterval(look, 500);
  return {
    check(t) {
      look();
      for (const [id, bytes] of peaks) t.diagnostic(`${id}: ${Math.round(bytes / 1024 ** 2)} MiB peak RSS`);
      assert.ok((peaks.get('gateway-1') ?? Number.POSITIVE_INFINITY) < RSS_BYTES_MAX, 'gateway RSS');
    },
    stop: () => clearInterval(timer),
  };
}
