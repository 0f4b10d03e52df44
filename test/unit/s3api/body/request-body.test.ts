import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChecksumName, checksumOf } from '../../../../src/base/checksums/hasher.ts';
import { systemClock } from '../../../../src/base/clock.ts';
import { encodeAwsChunked } from '../../../../src/identity/aws-chunked.ts';
import { signRequest } from '../../../../src/identity/sign.ts';
import type { PayloadMode } from '../../../../src/identity/types.ts';
import {
  ClientDisconnected,
  openRequestBody,
  storedContentEncoding,
} from '../../../../src/s3api/body/request-body.ts';
import { readWholeBody } from '../../../../src/s3api/body/whole-body.ts';
import { S3Error } from '../../../../src/s3api/errors.ts';
import type { RequestBody } from '../../../../src/s3api/operation.ts';
import { authenticatedWith, credentials, EXAMPLE_TIME_MS } from '../../identity/fixtures.ts';

const options = { clock: systemClock, stallMs: 5_000 };
const UNSIGNED = { kind: 'unsigned' } as PayloadMode;

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
const signedMode = (trailer: boolean): PayloadMode => ({ kind: 'chunked-signed', trailer, ...seed });

type Headers = Record<string, string>;
const streamOf = (pieces: Buffer[]): Readable => Readable.from(pieces, { objectMode: false });

function open(pieces: Buffer[], headers: Headers, payload: PayloadMode): RequestBody {
  return openRequestBody(streamOf(pieces), headers, authenticatedWith(payload), options);
}

async function drain(body: RequestBody, extra: ChecksumName[] = []): Promise<Buffer> {
  const slices: Buffer[] = [];
  for await (const slice of body.stream(extra)) slices.push(slice);
  return Buffer.concat(slices);
}

async function failsWith(code: string, run: () => Promise<unknown>, message?: RegExp): Promise<S3Error> {
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
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const sorted = [...places].map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const place of [...sorted, bytes.length]) {
    if (place > from) pieces.push(bytes.subarray(from, place));
    from = place;
  }
  return pieces;
}

function wireOf(
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

const chunkedHeaders = (payload: Buffer, algorithm?: string): Headers => ({
  'x-amz-decoded-content-length': String(payload.length),
  ...(algorithm ? { 'x-amz-trailer': `x-amz-checksum-${algorithm.toLowerCase()}` } : {}),
});

// ------------------------------------------------------------------------------------------------ plain

test('a plain body gives its bytes, its MD5 and the checksums asked for', async () => {
  const payload = Buffer.from('hello world');
  const body = open(
    [payload],
    { 'content-length': '11', 'x-amz-checksum-crc32': checksumOf('CRC32', payload) },
    UNSIGNED,
  );
  assert.deepEqual([body.length, body.declaredChecksum], [11, 'CRC32']);
  assert.deepEqual(await drain(body, ['CRC64NVME']), payload);
  assert.deepEqual(body.result(), {
    md5: createHash('md5').update(payload).digest('hex'),
    checksums: { CRC32: checksumOf('CRC32', payload), CRC64NVME: checksumOf('CRC64NVME', payload) },
  });
});

test('an empty body is a body', async () => {
  const body = open([], { 'content-length': '0' }, UNSIGNED);
  assert.equal((await drain(body)).length, 0);
  assert.equal(body.result().md5, 'd41d8cd98f00b204e9800998ecf8427e');
});

test('declarations that are wrong are refused before a byte is read', async () => {
  const refused = (headers: Headers, code: string, message?: RegExp, payload = UNSIGNED) =>
    failsWith(code, async () => open([], headers, payload), message);
  const length = { 'content-length': '3' };
  await refused({}, 'MissingContentLength');
  await refused({ 'content-length': 'x' }, 'MissingContentLength');
  await refused({ 'content-length': String(5 * 2 ** 30 + 1) }, 'EntityTooLarge');
  await refused(length, 'MissingContentLength', undefined, { kind: 'chunked-unsigned' });
  for (const md5 of ['', 'rubbish', 'AAAA', 'rL0Y20zC+Fzt72VPzMSk2A'])
    await refused({ ...length, 'content-md5': md5 }, 'InvalidDigest');
  await refused(
    { ...length, 'x-amz-checksum-crc32': 'AAAA' },
    'InvalidRequest',
    /Value for x-amz-checksum-crc32 header/,
  );
  await refused(
    { ...length, 'x-amz-checksum-nope': 'AAAA' },
    'InvalidRequest',
    /algorithm type you specified/,
  );
  await refused({ ...length, 'x-amz-checksum-sha512': 'AAAA' }, 'NotImplemented');
  await refused(
    { ...length, 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' },
    'InvalidRequest',
    /Multiple checksum/,
  );
  await refused({ ...length, 'x-amz-sdk-checksum-algorithm': 'CRC32' }, 'InvalidRequest', /no corresponding/);
  await refused({ ...length, 'x-amz-sdk-checksum-algorithm': 'CRC31' }, 'InvalidRequest', /unsupported/);
  await refused(
    { ...length, 'x-amz-sdk-checksum-algorithm': 'SHA1', 'x-amz-checksum-crc32': 'AAAAAA==' },
    'InvalidRequest',
    /x-amz-sdk-checksum-algorithm header is invalid/,
  );
  await refused({ ...length, 'x-amz-trailer': 'x-amz-checksum-crc32' }, 'InvalidRequest', /x-amz-trailer/);
  const decoded = { 'x-amz-decoded-content-length': '3', 'x-amz-trailer': 'x-amz-meta-a' };
  await refused(decoded, 'InvalidRequest', /x-amz-trailer/, { kind: 'chunked-unsigned' });
});

test('x-amz-checksum-algorithm, -type and -mode are no checksum values', async () => {
  const headers = {
    'content-length': '0',
    'x-amz-checksum-algorithm': 'CRC32',
    'x-amz-checksum-type': 'FULL_OBJECT',
  };
  assert.equal(open([], headers, UNSIGNED).declaredChecksum, null);
});

test('digests that do not match end the stream with their error', async () => {
  const bytes = [Buffer.from('abc')];
  const length = { 'content-length': '3' };
  const fails = (headers: Headers, code: string, message?: RegExp, payload = UNSIGNED) =>
    failsWith(code, () => drain(open(bytes, { ...length, ...headers }, payload)), message);
  const md5 = await fails({ 'content-md5': checksumOf('MD5', Buffer.from('x')) }, 'BadDigest');
  assert.equal(md5.fields.CalculatedDigest, checksumOf('MD5', bytes[0]!));
  await fails(
    { 'x-amz-checksum-sha1': checksumOf('SHA1', Buffer.from('x')) },
    'BadDigest',
    /The SHA1 you specified/,
  );
  const hex = createHash('sha256').update('x').digest('hex');
  const sha = await fails({}, 'XAmzContentSHA256Mismatch', undefined, { kind: 'sha256', hex });
  assert.equal(sha.fields.ClientComputedContentSHA256, hex);
  await fails({ 'content-length': '4' }, 'IncompleteBody');
  await fails({ 'content-length': '2' }, 'IncompleteBody');
});

test('digests that match pass, the right x-amz-content-sha256 too', async () => {
  const payload = Buffer.from('abc');
  const hex = createHash('sha256').update(payload).digest('hex');
  const headers = { 'content-length': '3', 'content-md5': checksumOf('MD5', payload) };
  const body = open([payload], headers, { kind: 'sha256', hex });
  assert.deepEqual(await drain(body), payload);
  assert.deepEqual(body.result().checksums, {});
});

// ---------------------------------------------------------------------------------------------- chunked

test('every form of aws-chunked, cut anywhere, gives the same payload and digests', async () => {
  const algorithms = [undefined, 'CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 40_000 }),
      fc.boolean(),
      fc.constantFrom(...algorithms),
      fc.array(fc.nat({ max: 60_000 }), { maxLength: 30 }),
      async (size, signed, algorithm, places) => {
        const payload = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + size) & 255));
        const pieces = cut(wireOf(payload, { signed, ...(algorithm ? { algorithm } : {}) }), places);
        const mode = signed ? signedMode(algorithm !== undefined) : ({ kind: 'chunked-unsigned' } as const);
        const body = open(pieces, chunkedHeaders(payload, algorithm), mode);
        assert.deepEqual(await drain(body, ['CRC64NVME']), payload);
        const { md5, checksums } = body.result();
        assert.equal(md5, createHash('md5').update(payload).digest('hex'));
        assert.equal(checksums.CRC64NVME, checksumOf('CRC64NVME', payload));
        if (algorithm) assert.equal(checksums[algorithm], checksumOf(algorithm, payload));
      },
    ),
    { numRuns: 150 },
  );
});

test('one byte at a time', async () => {
  const payload = Buffer.alloc(9000, 'z');
  const wire = wireOf(payload, { signed: true, algorithm: 'CRC32' });
  const body = open(
    [...wire].map((byte) => Buffer.from([byte])),
    chunkedHeaders(payload, 'CRC32'),
    signedMode(true),
  );
  assert.deepEqual(await drain(body), payload);
});

test('no flipped byte of a signed body passes, nor does a byte of a bad chunk come out', async () => {
  const payload = Buffer.alloc(20_000, 'q');
  const wire = wireOf(payload, { signed: true, algorithm: 'CRC32' });
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: wire.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const bad = Buffer.from(wire);
      bad[at] = bad[at]! ^ flip;
      // Case of hex digits and blanks around trailers carry no meaning.
      if (bad.toString('latin1').toLowerCase() === wire.toString('latin1').toLowerCase()) return;
      const out: Buffer[] = [];
      await assert.rejects(async () => {
        const body = open([bad], chunkedHeaders(payload, 'CRC32'), signedMode(true));
        for await (const slice of body.stream()) out.push(slice);
      }, S3Error);
      const seen = Buffer.concat(out);
      assert.ok(seen.equals(payload.subarray(0, seen.length)), 'only verified bytes come out');
    }),
    { numRuns: 400 },
  );
});

test('a signed chunk too large to be held is verified before the body ends', async () => {
  const payload = Buffer.alloc(3 * 1024 * 1024, 'L');
  const wire = wireOf(payload, { signed: true, chunkBytes: payload.length });
  assert.equal(
    (await drain(open([wire], chunkedHeaders(payload), signedMode(false)))).length,
    payload.length,
  );
  wire[2_000_000] = 0;
  await failsWith('SignatureDoesNotMatch', () =>
    drain(open([wire], chunkedHeaders(payload), signedMode(false))),
  );
});

test('a body cut off anywhere is incomplete', async () => {
  const payload = Buffer.alloc(10_000, 'c');
  for (const signed of [true, false]) {
    const wire = wireOf(payload, { signed, algorithm: 'CRC32' });
    const mode = signed ? signedMode(true) : ({ kind: 'chunked-unsigned' } as const);
    for (const length of [0, 1, 50, 5000, wire.length - 30, wire.length - 2, wire.length - 1])
      await failsWith('IncompleteBody', () =>
        drain(open(cut(wire.subarray(0, length), [7]), chunkedHeaders(payload, 'CRC32'), mode)),
      );
  }
});

test('what contradicts x-amz-decoded-content-length, or follows the end, is incomplete', async () => {
  const unsigned: PayloadMode = { kind: 'chunked-unsigned' };
  const wire = Buffer.from('3\r\nabc\r\n0\r\n\r\n');
  for (const length of ['2', '4'])
    await failsWith('IncompleteBody', () =>
      drain(open([wire], { 'x-amz-decoded-content-length': length }, unsigned)),
    );
  const more = Buffer.concat([wire, Buffer.from('x')]);
  await failsWith('IncompleteBody', () =>
    drain(open([more], { 'x-amz-decoded-content-length': '3' }, unsigned)),
  );
});

const raw = (text: string, headers: Headers = {}, mode: PayloadMode = { kind: 'chunked-unsigned' }) =>
  drain(open([Buffer.from(text, 'latin1')], { 'x-amz-decoded-content-length': '3', ...headers }, mode));

test('chunk headers: extensions are allowed, rubbish and endless lines are not', async () => {
  assert.equal(String(await raw('3;name=value\r\nabc\r\n0\r\n\r\n')), 'abc');
  for (const text of [
    '\r\n',
    '-3\r\nabc',
    '0x3\r\nabc',
    '3 3\r\nabc',
    '3\nabc\n0\n\n',
    'z\r\n',
    '3\r\nabcX\r\n0\r\n\r\n',
  ])
    await failsWith('IncompleteBody', () => raw(text));
  await failsWith('IncompleteBody', () => raw(`3;${'x'.repeat(2000)}`));
  await failsWith('IncompleteBody', () => raw('ffffffffffffff\r\n'));
});

test('a signed chunk without a signature is refused', async () => {
  await failsWith('IncompleteBody', () => raw('3\r\nabc\r\n0\r\n\r\n', {}, signedMode(false)));
});

test('only the last chunk may be small', async () => {
  const error = await failsWith('InvalidChunkSizeError', () => raw('1\r\na\r\n2\r\nbc\r\n0\r\n\r\n'));
  assert.deepEqual(error.fields, { Chunk: '1', BadChunkSize: '1' });
});

test('trailers: declared and sent must agree', async () => {
  const declared = { 'x-amz-trailer': 'x-amz-checksum-crc32' };
  const crc = checksumOf('CRC32', Buffer.from('abc'));
  const body = (trailer: string) => `3\r\nabc\r\n0\r\n${trailer}\r\n`;
  assert.equal(String(await raw(body(`x-amz-checksum-crc32:${crc}\r\n`), declared)), 'abc');
  assert.equal(String(await raw(body(`X-Amz-Checksum-Crc32: ${crc} \r\n`), declared)), 'abc');
  await failsWith('MalformedTrailerError', () => raw(body(''), declared));
  await failsWith('MalformedTrailerError', () => raw(body(`x-amz-checksum-crc32:${crc}\r\n`)));
  await failsWith('MalformedTrailerError', () => raw(body('x-amz-checksum-sha1:AAAA\r\n'), declared));
  await failsWith('MalformedTrailerError', () => raw(body('nonsense\r\n'), declared));
  await failsWith(
    'InvalidRequest',
    () => raw(body('x-amz-checksum-crc32:AA\r\n'), declared),
    /trailing header/,
  );
  await failsWith('BadDigest', () => raw(body('x-amz-checksum-crc32:AAAAAA==\r\n'), declared), /CRC32/);
  const many = Array.from({ length: 500 }, (_, i) => `x-${i}:${'v'.repeat(50)}\r\n`).join('');
  await failsWith('MalformedTrailerError', () => raw(body(many), declared));
});

test("minio-go's signed trailer, which ends in LF CRLF, is understood", async () => {
  const payload = Buffer.from('abc');
  const wire = wireOf(payload, { signed: true, algorithm: 'CRC32C' }).toString('latin1');
  const variant = wire.replace(/(x-amz-checksum-crc32c:[^\r]*)\r\n/, '$1\n\r\n');
  assert.notEqual(variant, wire);
  assert.equal(
    String(await raw(variant, { 'x-amz-trailer': 'x-amz-checksum-crc32c' }, signedMode(true))),
    'abc',
  );
});

test('a signed trailer needs its signature', async () => {
  const wire = wireOf(Buffer.from('abc'), { signed: true, algorithm: 'CRC32' }).toString('latin1');
  const trailer = { 'x-amz-trailer': 'x-amz-checksum-crc32' };
  await failsWith('MalformedTrailerError', () =>
    raw(wire.replace(/x-amz-trailer-signature.*\r\n/, ''), trailer, signedMode(true)),
  );
  await failsWith('SignatureDoesNotMatch', () =>
    raw(wire.replace(/(trailer-signature:)[0-9a-f]{64}/, `$1${'0'.repeat(64)}`), trailer, signedMode(true)),
  );
});

// ------------------------------------------------------------------------------------------ the client

test('a client that stalls gets RequestTimeout', async () => {
  const stalled = new Readable({ read() {} });
  stalled.push(Buffer.from('ab'));
  const body = openRequestBody(stalled, { 'content-length': '3' }, authenticatedWith(UNSIGNED), {
    clock: systemClock,
    stallMs: 30,
  });
  await failsWith('RequestTimeout', () => drain(body));
});

test('a slow reader is not a stalled client', async () => {
  const body = openRequestBody(
    streamOf([Buffer.from('ab'), Buffer.from('c')]),
    { 'content-length': '3' },
    authenticatedWith(UNSIGNED),
    {
      clock: systemClock,
      stallMs: 20,
    },
  );
  let text = '';
  for await (const slice of body.stream()) {
    await systemClock.sleep(60);
    text += slice;
  }
  assert.equal(text, 'abc');
});

test('a client that goes away gives ClientDisconnected', async () => {
  const gone = new Readable({ read() {} });
  gone.push(Buffer.from('ab'));
  setImmediate(() => gone.destroy());
  const body = openRequestBody(gone, { 'content-length': '3' }, authenticatedWith(UNSIGNED), options);
  await assert.rejects(drain(body), ClientDisconnected);
});

test("the request's signal ends the wait with its reason", async () => {
  const controller = new AbortController();
  const reason = new Error('deadline');
  const body = openRequestBody(
    new Readable({ read() {} }),
    { 'content-length': '3' },
    authenticatedWith(UNSIGNED),
    {
      ...options,
      signal: controller.signal,
    },
  );
  setImmediate(() => controller.abort(reason));
  await assert.rejects(drain(body), (error) => error === reason);
});

test('100 Continue is asked for once, at the first read', async () => {
  let asked = 0;
  const body = openRequestBody(
    streamOf([Buffer.from('abc')]),
    { 'content-length': '3' },
    authenticatedWith(UNSIGNED),
    {
      ...options,
      onFirstRead: () => {
        asked++;
      },
    },
  );
  assert.equal(asked, 0);
  await drain(body);
  assert.equal(asked, 1);
  await assert.rejects(drain(body), TypeError);
});

test('a reader that stops early leaves the stream paused, with no listeners', async () => {
  const stream = new Readable({ read: () => stream.push(Buffer.alloc(1000)) });
  const before = stream.eventNames().length;
  const body = openRequestBody(stream, { 'content-length': '2000000' }, authenticatedWith(UNSIGNED), options);
  for await (const _ of body.stream()) break;
  assert.equal(stream.eventNames().length, before);
  assert.ok(stream.isPaused());
  assert.throws(() => body.result(), TypeError);
});

// ------------------------------------------------------------------------------------------ whole bodies

test('a whole body is bounded, verified, and may be empty', async () => {
  const read = (text: string, headers: Headers, more = {}, payload: PayloadMode = UNSIGNED) =>
    readWholeBody(streamOf(text ? [Buffer.from(text)] : []), headers, authenticatedWith(payload), {
      ...options,
      ...more,
    });
  assert.equal(String(await read('<a/>', { 'content-length': '4' })), '<a/>');
  assert.equal(String(await read('', {})), '');
  await failsWith('MaxMessageLengthExceeded', () =>
    read('<abc/>', { 'content-length': '6' }, { bytesMax: 5 }),
  );
  await failsWith('MaxMessageLengthExceeded', () => read('<abc/>', {}, { bytesMax: 5 }));
  await failsWith(
    'InvalidRequest',
    () => read('<a/>', { 'content-length': '4' }, { checksumRequired: true }),
    /Content-MD5 OR/,
  );
  await failsWith('BadDigest', () =>
    read('<a/>', { 'content-length': '4', 'x-amz-checksum-crc32': 'AAAAAA==' }),
  );
  await failsWith(
    'InvalidRequest',
    () => read('', {}, {}, { kind: 'chunked-unsigned' }),
    /x-amz-content-sha256/,
  );
});

test('aws-chunked is no part of the stored Content-Encoding', () => {
  const cases: [string | undefined, string | undefined][] = [
    [undefined, undefined],
    ['gzip', 'gzip'],
    ['deflate, gzip', 'deflate, gzip'],
    ['gzip, aws-chunked', 'gzip'],
    ['aws-chunked, gzip', 'gzip'],
    ['aws-chunked', undefined],
    ['aws-chunked, aws-chunked', undefined],
    ['aws-chunked,deflate, gzip', 'deflate, gzip'],
    ['AWS-Chunked', undefined],
  ];
  for (const [sent, stored] of cases) assert.equal(storedContentEncoding(sent), stored);
});
