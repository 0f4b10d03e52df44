/** What request headers say about an object, a copy source and checksums. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Bucket, ObjectVersion } from '../../../../src/ddm/catalog.ts';
import { uploadChecksum } from '../../../../src/s3api/objects/checksums.ts';
import { parseCopySource } from '../../../../src/s3api/objects/copy-source.ts';
import { objectAttributes } from '../../../../src/s3api/objects/metadata.ts';
import { objectHeaders, overrideHeaders } from '../../../../src/s3api/objects/response-headers.ts';

describe('metadata headers', () => {
  it('keeps what S3 keeps', () => {
    const attributes = objectAttributes({
      'content-type': 'text/plain',
      'content-encoding': 'aws-chunked, gzip',
      expires: 'never',
      'x-amz-meta-a': '1,2',
      'x-amz-tagging': 'k=v&empty&a%20b=c+d',
      'x-other': 'not kept',
    });
    assert.deepEqual(attributes, {
      system: { contentType: 'text/plain', contentEncoding: 'gzip', expires: 'never' },
      user: { a: '1,2' },
      tags: { k: 'v', empty: '', 'a b': 'c d' },
      storageClass: 'STANDARD',
    });
  });

  it('counts names and values in bytes up to 2 KiB', () => {
    objectAttributes({ 'x-amz-meta-ab': 'x'.repeat(2046) });
    assert.throws(() => objectAttributes({ 'x-amz-meta-ab': 'x'.repeat(2047) }), {
      code: 'MetadataTooLarge',
    });
  });

  it('refuses wrong tags and redirects', () => {
    const eleven = Array.from({ length: 11 }, (_, i) => `k${i}=v`).join('&');
    for (const [headers, code] of [
      [{ 'x-amz-tagging': 'a=1&a=2' }, 'InvalidTag'],
      [{ 'x-amz-tagging': 'aws:a=1' }, 'InvalidTag'],
      [{ 'x-amz-tagging': 'a=%FF' }, 'InvalidArgument'],
      [{ 'x-amz-tagging': eleven }, 'BadRequest'],
      [{ 'x-amz-website-redirect-location': 'ftp://x' }, 'InvalidArgument'],
    ] as const)
      assert.throws(() => objectAttributes(headers), { code });
  });

  it('counts metadata that no header carries', () => {
    const version = {
      system: { contentType: 'a\nb' },
      user: { fine: 'ü', broken: 'a\nb', wide: '\u4e00' },
      tags: {},
      storageClass: 'STANDARD',
      etag: 'e',
      lastModified: new Date(0),
      versionId: 'null',
    } as unknown as ObjectVersion;
    const headers = objectHeaders({ versioning: 'unversioned' } as Bucket, version);
    assert.equal(headers['x-amz-meta-fine'], 'ü');
    assert.equal(headers['x-amz-missing-meta'], 2);
    assert.equal(headers['content-type'], 'binary/octet-stream');
    assert.equal(headers['x-amz-version-id'], undefined);
  });

  it('lets no anonymous request and no line break into response headers', () => {
    const query = new Map([['response-content-type', 'text/x\r\nx-evil: 1']]);
    const anonymous = { kind: 'anonymous' } as const;
    assert.throws(() => overrideHeaders({ query, principal: anonymous }), { code: 'InvalidRequest' });
    const account = { id: 'a', displayName: 'A', isRoot: false };
    const principal = { kind: 'account', account, accessKeyId: 'k' } as unknown as Parameters<
      typeof overrideHeaders
    >[0]['principal'];
    assert.throws(() => overrideHeaders({ query, principal }), { code: 'InvalidArgument' });
  });
});

describe('x-amz-copy-source', () => {
  const table: [string, ReturnType<typeof parseCopySource>][] = [
    ['b/k', { bucketName: 'b', key: 'k' }],
    ['/b/k/l', { bucketName: 'b', key: 'k/l' }],
    ['b%2Fk', { bucketName: 'b', key: 'k' }],
    ['b/a+b%2Bc', { bucketName: 'b', key: 'a b+c' }],
    ['b/%3FversionId', { bucketName: 'b', key: '?versionId' }],
    ['b/k?versionId=v1', { bucketName: 'b', key: 'k', versionId: 'v1' }],
    ['b//k', { bucketName: 'b', key: '/k' }],
  ];
  for (const [header, source] of table) it(header, () => assert.deepEqual(parseCopySource(header), source));
  for (const header of ['', 'b', '/b', 'b/', '/', 'b/k?x=1', 'b/k?versionId=', 'b/k?versionId=%00', 'b/%FF'])
    it(`refuses ${JSON.stringify(header)}`, () =>
      assert.throws(() => parseCopySource(header), { code: 'InvalidArgument' }));

  it('reads back every key that is encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }), (key) => {
        const header = `bucket/${encodeURIComponent(key)}`;
        assert.deepEqual(parseCopySource(header), { bucketName: 'bucket', key });
      }),
    );
  });
  it('reads raw UTF-8 bytes, which node hands over as latin1', () => {
    const header = Buffer.from('b/grün').toString('latin1');
    assert.equal(parseCopySource(header).key, 'grün');
  });
});

describe('the checksum of an upload', () => {
  const of = (algorithm?: string, type?: string) =>
    uploadChecksum({ 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': type });
  it('has a type for every algorithm', () => {
    assert.deepEqual(of(), {});
    assert.equal(of('CRC32').checksumType, 'COMPOSITE');
    assert.equal(of('crc32', 'FULL_OBJECT').checksumType, 'FULL_OBJECT');
    assert.equal(of('CRC64NVME').checksumType, 'FULL_OBJECT');
    assert.equal(of('SHA1').checksumType, 'COMPOSITE');
  });
  for (const [algorithm, type] of [
    ['CRC64NVME', 'COMPOSITE'],
    ['SHA256', 'FULL_OBJECT'],
    ['MD4', undefined],
    [undefined, 'COMPOSITE'],
    ['CRC32', 'SOMETHING'],
  ] as const)
    it(`refuses ${algorithm} ${type}`, () =>
      assert.throws(() => of(algorithm, type), { code: 'InvalidRequest' }));
});
