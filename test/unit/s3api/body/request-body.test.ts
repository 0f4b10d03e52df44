import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { checksumOf } from '../../../../src/base/checksums/hasher.ts';
import { systemClock } from '../../../../src/base/clock.ts';
import type { PayloadMode } from '../../../../src/identity/types.ts';
import {
  ClientDisconnected,
  openRequestBody,
  storedContentEncoding,
} from '../../../../src/s3api/body/request-body.ts';
import { readWholeBody } from '../../../../src/s3api/body/whole-body.ts';
import { authenticatedWith } from '../../identity/fixtures.ts';
import { drain, failsWith, type Headers, open, options, streamOf, UNSIGNED } from './fixtures.ts';

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
  await refused({ 'transfer-encoding': 'chunked' }, 'NotImplemented', /A header you provided/);
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
