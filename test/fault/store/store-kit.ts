/** What the tests of a whole store under faults share: a client without retries, GETs read in steps, seeded bytes. */
import { createCipheriv, createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Store } from '../../harness/store.ts';

export const MIB = 1024 * 1024;
export const BUCKET = 'faults';

export const clientOf = (store: Store, maxAttempts = 1): S3Client =>
  new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    credentials: { ...store.credentials },
    forcePathStyle: true,
    maxAttempts,
  });

/** The same bytes for the same seed, which no compression or repetition makes alike by accident. */
export function bytesOf(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export interface Got {
  readonly status: number;
  readonly bytes: Buffer;
  readonly retryAfter: string | undefined;
  /** The body ended before Content-Length was reached, by a cut connection. */
  readonly cut: boolean;
}

/** A GET whose body waits after `stopAfter` bytes until `meanwhile` has been done. */
export async function getInSteps(
  s3: S3Client,
  key: string,
  options: { stopAfter?: number; meanwhile?: () => Promise<void> } = {},
): Promise<Got> {
  const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket: BUCKET, Key: key }), { expiresIn: 900 });
  const response = await new Promise<IncomingMessage>((done, fail) => {
    get(url, { agent: false, timeout: 60_000 }, done).once('error', fail);
  });
  const parts: Buffer[] = [];
  let received = 0;
  let waited = options.meanwhile === undefined;
  let cut = false;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part);
      received += part.length;
      if (!waited && received >= (options.stopAfter ?? 0)) {
        waited = true;
        await options.meanwhile!();
      }
    }
  } catch {
    cut = true;
  }
  return {
    status: response.statusCode!,
    bytes: Buffer.concat(parts),
    retryAfter: response.headers['retry-after'],
    cut,
  };
}

/** A PUT that sends `head` of `size` bytes and then waits; the caller ends it. */
export async function putHalf(s3: S3Client, key: string, head: Buffer, size: number) {
  const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket: BUCKET, Key: key }), { expiresIn: 900 });
  const req = request(url, { method: 'PUT', agent: false, headers: { 'content-length': size } });
  const ended = new Promise<number | 'cut'>((done) => {
    req.once('response', (response) => {
      response.resume();
      done(response.statusCode!);
    });
    req.once('error', () => done('cut'));
  });
  req.write(head);
  return { ended, finish: (rest: Buffer) => req.end(rest), destroy: () => req.destroy() };
}

/** Polls until `holds` says so. @throws when `ms` have passed */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  ms = 30_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(100);
  }
}

/** Every file below the folder. */
export function filesOf(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
