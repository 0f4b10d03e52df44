/** What a completed upload is, and which claims about it are refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checksumOf } from '../../../../src/base/checksums/hasher.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import type { Upload, UploadPart } from '../../../../src/ddm/catalog.ts';
import {
  checkClaims,
  checksumOfParts,
  chooseParts,
  etagOfParts,
  inOrder,
} from '../../../../src/s3api/objects/assembly.ts';

const upload = (checksumAlgorithm?: Upload['checksumAlgorithm'], checksumType?: Upload['checksumType']) =>
  ({
    uploadId: 'u',
    ...(checksumAlgorithm && { checksumAlgorithm }),
    ...(checksumType && { checksumType }),
  }) as Upload;
const part = (partNumber: number, size: number, checksum?: string): UploadPart => ({
  partNumber,
  size,
  etag: `${partNumber}`.padStart(32, '0'),
  lastModified: new Date(0),
  ...(checksum !== undefined && { checksum }),
  blob: null,
});
const named = (...parts: readonly UploadPart[]) =>
  parts.map(({ partNumber, etag }) => ({ partNumber, etag, checksums: {} }));
const uploaded = (...parts: readonly UploadPart[]) => new Map(parts.map((p) => [p.partNumber, p]));

describe('chooseParts', () => {
  const [big, small, last] = [part(1, LIMITS.partBytesMin), part(2, 10), part(9, 0)];
  it('takes what is named, sparse numbers and a short last part too', () => {
    assert.deepEqual(chooseParts(upload(), named(big, last), uploaded(big, small, last)), [big, last]);
  });
  it('refuses a short part before the last', () => {
    assert.throws(() => chooseParts(upload(), named(small, last), uploaded(small, last)), {
      code: 'EntityTooSmall',
      fields: {
        ProposedSize: '10',
        MinSizeAllowed: String(LIMITS.partBytesMin),
        PartNumber: '2',
        ETag: small.etag,
      },
    });
  });
  it('refuses parts that are not there, of another ETag or of another checksum', () => {
    const wrongSum = [{ partNumber: 1, etag: big.etag, checksums: { CRC64NVME: 'AAAAAAAAAAA=' } }];
    const summed = { ...big, checksum: 'BBBBBBBBBBA=' };
    for (const [list, there] of [
      [named(big), uploaded()],
      [[{ partNumber: 1, etag: 'x', checksums: {} }], uploaded(big)],
      [wrongSum, uploaded(summed)],
    ] as const)
      assert.throws(() => chooseParts(upload(), list, there), { code: 'InvalidPart' });
  });
  it('refuses more than 5 TiB', () => {
    const parts = Array.from({ length: 1_025 }, (_, i) => part(i + 1, LIMITS.partBytesMax));
    assert.throws(() => chooseParts(upload(), named(...parts), uploaded(...parts)), {
      code: 'EntityTooLarge',
    });
  });
  it('wants ascending numbers', () => {
    assert.deepEqual(inOrder(named(part(1, 1), part(3, 1))), named(part(1, 1), part(3, 1)));
    assert.throws(() => inOrder(named(part(3, 1), part(1, 1))), { code: 'InvalidPartOrder' });
    const [first, again] = [part(1, 1), { ...part(1, 1), etag: 'again' }];
    assert.deepEqual(inOrder(named(first, again, part(2, 1))), named(again, part(2, 1)));
  });
});

describe('the whole object', () => {
  it('has the ETag of S3: MD5 of the MD5s', () => {
    // Three parts of 5 MiB of A, B and C; the figure is the one that RGW's tests hold.
    const etags = ['A', 'B', 'C'].map((letter) =>
      Buffer.from(checksumOf('MD5', Buffer.alloc(5 * 1024 * 1024, letter)), 'base64').toString('hex'),
    );
    assert.equal(etagOfParts(etags.map((etag) => ({ etag }))), 'b2add96cc9702bbf4efb0ccdfc6b7747-3');
  });

  const texts = ['first, ', 'second, ', 'third'];
  const partsOf = (algorithm: 'CRC32' | 'CRC64NVME' | 'SHA256') =>
    texts.map((text, i) => part(i + 1, text.length, checksumOf(algorithm, Buffer.from(text))));
  it('has the checksum of its bytes when that is FULL_OBJECT', () => {
    for (const algorithm of ['CRC32', 'CRC64NVME'] as const)
      assert.deepEqual(checksumOfParts(upload(algorithm, 'FULL_OBJECT'), partsOf(algorithm)), {
        algorithm,
        type: 'FULL_OBJECT',
        value: checksumOf(algorithm, Buffer.from(texts.join(''))),
      });
  });
  it('has a checksum of checksums when that is COMPOSITE', () => {
    const parts = partsOf('SHA256');
    const joined = Buffer.concat(parts.map(({ checksum }) => Buffer.from(checksum!, 'base64')));
    assert.equal(
      checksumOfParts(upload('SHA256', 'COMPOSITE'), parts)!.value,
      `${checksumOf('SHA256', joined)}-3`,
    );
  });
  it('has CRC64NVME when the upload named nothing, and none when a part has none', () => {
    assert.equal(checksumOfParts(upload(), partsOf('CRC64NVME'))!.algorithm, 'CRC64NVME');
    assert.equal(checksumOfParts(upload(), [part(1, 1)]), undefined);
  });

  it('refuses claims that do not hold', () => {
    const sha = upload('SHA256', 'COMPOSITE');
    const parts = partsOf('SHA256');
    const checksum = checksumOfParts(sha, parts)!;
    const object = { size: 20, checksum };
    const check = (headers: Record<string, string>) => checkClaims(headers, object);
    check({ 'x-amz-checksum-sha256': checksum.value, 'x-amz-mp-object-size': '20' });
    check({ 'x-amz-checksum-sha256': checksum.value.replace('-3', '') });
    for (const [headers, code] of [
      [{ 'x-amz-checksum-sha256': 'bad' }, 'BadDigest'],
      [{ 'x-amz-checksum-crc32': 'AAAAAA==' }, 'InvalidRequest'],
      [{ 'x-amz-checksum-type': 'FULL_OBJECT' }, 'InvalidRequest'],
      [{ 'x-amz-mp-object-size': '21' }, 'InvalidRequest'],
    ] as const)
      assert.throws(() => check(headers), { code });
  });
});
