import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumOf } from '../../../../src/base/checksums/hasher.ts';
import type { PayloadMode } from '../../../../src/identity/types.ts';
import { SliceList } from '../../../../src/s3api/body/slices.ts';
import { S3Error } from '../../../../src/s3api/errors.ts';
import { chunkedHeaders, cut, drain, failsWith, type Headers, open, signedMode, wireOf } from './fixtures.ts';

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
        const pieces = cut(bad, [500, 3000, 8000, 12_000, 17_000]);
        const body = open(pieces, chunkedHeaders(payload, 'CRC32'), signedMode(true));
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

test('no input makes the decoder throw anything but an S3 error, nor give more than was declared', async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      '0',
      '0\r\n',
      '3\r\nabc\r\n',
      ';',
      'chunk-signature=',
      'x-amz-checksum-crc32:',
      ':',
    ),
    fc.constantFrom('2000\r\n', 'x'.repeat(8192), 'ffffffffffff', `;chunk-signature=${'a'.repeat(64)}\r\n`),
    fc.string({ maxLength: 20 }),
  );
  const modes: PayloadMode[] = [{ kind: 'chunked-unsigned' }, signedMode(false), signedMode(true)];
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 20 }),
      fc.nat({ max: 20_000 }),
      fc.constantFrom(...modes),
      fc.array(fc.nat({ max: 60_000 }), { maxLength: 8 }),
      async (parts, length, mode, places) => {
        const pieces = cut(Buffer.from(parts.join(''), 'latin1'), places);
        let received = 0;
        try {
          const body = open(pieces, { 'x-amz-decoded-content-length': String(length) }, mode);
          for await (const slice of body.stream()) received += slice.length;
          assert.equal(received, length);
        } catch (error) {
          assert.ok(error instanceof S3Error, String(error));
        }
        assert.ok(received <= length);
      },
    ),
    { numRuns: 1000 },
  );
});

test('slices are kept in order, small ones joined', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant(1), fc.constant(4096), fc.nat({ max: 5000 })), { maxLength: 600 }),
      (sizes) => {
        const list = new SliceList();
        let next = 0;
        const slices = sizes.map((size) => Buffer.alloc(size, next++ & 255));
        for (const slice of slices) list.add(slice);
        const taken = list.take();
        assert.deepEqual(Buffer.concat(taken), Buffer.concat(slices));
        assert.ok(taken.length <= 2 * slices.filter((slice) => slice.length >= 4096).length + 3);
        assert.deepEqual(list.take(), []);
      },
    ),
    { numRuns: 30 },
  );
});
