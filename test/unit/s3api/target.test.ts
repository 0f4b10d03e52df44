import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import { S3Error, type S3ErrorCode } from '../../../src/s3api/errors.ts';
import { bucketOfHost, parseQuery, parseTarget, percentDecode } from '../../../src/s3api/target.ts';

const DOMAINS = ['localhost', 's3.example.org', 'example.org'];
const at = (url: string, host = '127.0.0.1:9000') => {
  const { kind, bucket, key, style } = parseTarget(url, host, DOMAINS);
  return { kind, bucket, key, style };
};
const refused = (url: string, code: S3ErrorCode, host?: string) =>
  assert.throws(
    () => at(url, host),
    (error) => error instanceof S3Error && error.code === code,
    url.slice(0, 80),
  );

describe('path style', () => {
  it('tells service, bucket and object', () => {
    assert.deepEqual(at('/'), { kind: 'service', bucket: '', key: '', style: 'path' });
    assert.deepEqual(at('/b'), { kind: 'bucket', bucket: 'b', key: '', style: 'path' });
    assert.deepEqual(at('/b/'), { kind: 'bucket', bucket: 'b', key: '', style: 'path' });
    assert.deepEqual(at('/b/k?acl'), { kind: 'object', bucket: 'b', key: 'k', style: 'path' });
    assert.deepEqual(at('/?x=1'), { kind: 'service', bucket: '', key: '', style: 'path' });
  });

  it('keeps every key as it was sent', () => {
    const keys: [string, string][] = [
      ['/b//', '/'],
      ['/b//k', '/k'],
      ['/b/a//b/', 'a//b/'],
      ['/b/../x', '../x'],
      ['/b/./x/..', './x/..'],
      ['/b/a+b', 'a+b'],
      ['/b/a%2Bb%20c', 'a+b c'],
      ['/b/a%2Fb', 'a/b'],
      ['/b/%2F', '/'],
      ['/b/%2e%2E', '..'],
      ['/b/100%2525', '100%25'],
      ['/b/%ED%95%9C', '한'],
      ['/b/\xed\x95\x9c', '한'],
      ['/b/k%3Fx', 'k?x'],
      ['/b/k#x', 'k#x'],
      ['/b/%01', '\x01'],
    ];
    for (const [url, key] of keys) assert.equal(at(url).key, key, url);
  });

  it('refuses what is no UTF-8, broken escapes, NUL and an empty bucket', () => {
    for (const url of [
      '/b/%ff',
      '/b/%C0%80',
      '/b/%ED%A0%80',
      '/b/%',
      '/b/%4',
      '/b/%zz',
      '/b/%-1',
      '/b/a%00b',
    ])
      refused(url, 'InvalidURI');
    for (const url of ['//k', '/%ff/k', 'b/k', '']) refused(url, 'InvalidURI');
  });

  it('measures keys in bytes', () => {
    const most = 'é'.repeat(512);
    assert.equal(at(`/b/${encodeURIComponent(most)}`).key, most);
    refused(`/b/${encodeURIComponent(`${most}a`)}`, 'KeyTooLongError');
    refused(`/b/${'a'.repeat(1025)}`, 'KeyTooLongError');
    refused(`/b/${'a'.repeat(LIMITS.keyBytesMax * 4)}`, 'KeyTooLongError');
  });

  it('gives any key back that was percent-encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }), (key) => {
        fc.pre(!key.includes('\0'));
        assert.equal(at(`/b/${encodeURIComponent(key)}`).key, key);
        assert.equal(at(`/${encodeURIComponent(key)}`, 'b.localhost').key, key);
      }),
    );
  });
});

describe('virtual-host style', () => {
  it('takes the bucket from the Host', () => {
    assert.deepEqual(at('/', 'b.localhost:9000'), { kind: 'bucket', bucket: 'b', key: '', style: 'virtual' });
    assert.deepEqual(at('/x/y', 'my.b.localhost'), {
      kind: 'object',
      bucket: 'my.b',
      key: 'x/y',
      style: 'virtual',
    });
    assert.equal(at('//x', 'b.localhost').key, '/x');
  });

  it('lets the longest domain decide, and leaves other hosts to path style', () => {
    assert.equal(bucketOfHost('b.s3.example.org', DOMAINS), 'b');
    assert.equal(bucketOfHost('S3.Example.org:80', DOMAINS), null);
    assert.equal(bucketOfHost('b.example.org.', DOMAINS), 'b');
    assert.equal(bucketOfHost('.localhost', DOMAINS), null);
    assert.equal(bucketOfHost('[::1]:9000', DOMAINS), null);
    assert.equal(bucketOfHost('other.host', DOMAINS), null);
    assert.equal(bucketOfHost('', DOMAINS), null);
  });
});

describe('other forms of the request target', () => {
  it('reads the absolute form, whose authority must be the Host', () => {
    assert.deepEqual(at('http://127.0.0.1:9000/b/k?x'), {
      kind: 'object',
      bucket: 'b',
      key: 'k',
      style: 'path',
    });
    assert.equal(at('HTTP://b.localhost', 'b.localhost').bucket, 'b');
    refused('http://b.localhost/k', 'InvalidURI', 'c.localhost');
    const { rawPath, rawQuery } = parseTarget('http://h/b/%6b?x=%20', 'h', []);
    assert.deepEqual([rawPath, rawQuery], ['/b/%6b', 'x=%20']);
  });

  it('takes * for the service', () => assert.equal(at('*').kind, 'service'));
});

describe('queries', () => {
  it('are decoded once, the first of repeated keys wins, + is a space', () => {
    const query = parseQuery('a=1&a=2&b&c=x%2By+z&d=%2541&=e&&f=g=h');
    assert.deepEqual(Object.fromEntries(query), { a: '1', b: '', c: 'x+y z', d: '%41', '': 'e', f: 'g=h' });
  });

  it('are bounded and must be UTF-8', () => {
    refused('/b?x=%ff', 'InvalidURI');
    refused(`/b?${'x&'.repeat(101)}`, 'InvalidURI');
    refused(`/b?x=${'y'.repeat(LIMITS.uriBytesMax)}`, 'InvalidURI');
  });

  it('decode the way URLSearchParams does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const text = new URLSearchParams({ value }).toString();
        assert.equal(parseQuery(text).get('value'), value);
      }),
    );
  });
});

describe('percentDecode', () => {
  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const raw = Buffer.from(bytes).toString('latin1');
        const decoded = percentDecode(raw);
        assert.ok(decoded === null || typeof decoded === 'string');
      }),
    );
  });
});
