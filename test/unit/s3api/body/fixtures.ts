/** Bodies as clients send them, and what the tests of this folder ask of them. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type ChecksumName, checksumOf } from '../../../../src/base/checksums/hasher.ts';
import { systemClock } from '../../../../src/base/clock.ts';
import { encodeAwsChunked } from '../../../../src/identity/aws-chunked.ts';
import { signRequest } from '../../../../src/identity/sign.ts';
import type { PayloadMode } from '../../../../src/identity/types.ts';
import { openRequestBody } from '../../../../src/s3api/body/request-body.ts';
import { S3Error } from '../../../../src/s3api/errors.ts';
import type { RequestBody } from '../../../../src/s3api/operation.ts';
import { authenticatedWith, credentials, EXAMPLE_TIME_MS } from '../../identity/fixtures.ts';

export const options = { clock: systemClock, stallMs: 5_000 };
export const UNSIGNED = { kind: 'unsigned' } as PayloadMode;

const { seed } = signRequest({
  method: 'PUT',
  path: '/b/k',
  headers: { host: 'h' },
  payload: { hash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' },
  credentials,
  region: 'us-east-1',
  service: 's3',
  nowMs: EXAMPLE_TIME_MS,
});
export const signedMode = (trailer: boolean): PayloadMode => ({ kind: 'chunked-signed', trailer, ...seed });

export type Headers = Record<string, string>;
export const streamOf = (pieces: Buffer[]): Readable => Readable.from(pieces, { objectMode: false });

export function open(pieces: Buffer[], headers: Headers, payload: PayloadMode): RequestBody {
  return openRequestBody(streamOf(pieces), headers, authenticatedWith(payload), options);
}

export async function drain(body: RequestBody, extra: ChecksumName[] = []): Promise<Buffer> {
  const slices: Buffer[] = [];
  for await (const slice of body.stream(extra)) slices.push(slice);
  return Buffer.concat(slices);
}

export async function failsWith(
  code: string,
  run: () => Promise<unknown>,
  message?: RegExp,
): Promise<S3Error> {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof S3Error, String(error));
    assert.equal(error.code, code);
    if (message) assert.match(error.message, message);
    return error;
  }
  return assert.fail(`${code} expected`);
}

/** Cuts `bytes` at the given places. */
export function cut(bytes: Buffer, places: number[]): Buffer[] {
  const sorted = [...places].map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const place of [...sorted, bytes.length]) {
    if (place > from) pieces.push(bytes.subarray(from, place));
    from = place;
  }
  return pieces;
}

export function wireOf(
  payload: Buffer,
  o: { signed: boolean; algorithm?: ChecksumName; chunkBytes?: number },
): Buffer {
  return Buffer.concat([
    ...encodeAwsChunked([payload], {
      chunkBytes: o.chunkBytes ?? 8192,
      ...(o.signed ? { seed } : {}),
      ...(o.algorithm
        ? {
            trailers: () => ({
              [`x-amz-checksum-${o.algorithm!.toLowerCase()}`]: checksumOf(o.algorithm!, payload),
            }),
          }
        : {}),
    }),
  ]);
}

export const chunkedHeaders = (payload: Buffer, algorithm?: string): Headers => ({
  'x-amz-decoded-content-length': String(payload.length),
  ...(algorithm ? { 'x-amz-trailer': `x-amz-checksum-${algorithm.toLowerCase()}` } : {}),
});
