import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalPath, canonicalQuery, canonicalRequest } from '../../../src/identity/sigv4/canonical.ts';

test('query parameters are sorted by name, then by value, not as texts', () => {
  assert.equal(canonicalQuery('a-b=1&a=2&a=1&A=3&b&&a.b=4'), 'A=3&a=1&a=2&a-b=1&a.b=4&b=');
});

test('query: "+" is a blank, escapes are written anew, the signature is left out', () => {
  assert.equal(canonicalQuery('x=a+b%2b%2F%7e=&X-Amz-Signature=s', 'X-Amz-Signature'), 'x=a%20b%2B%2F~%3D');
});

test('paths: every byte but the unreserved ones and "/" is escaped, "+" is a plus', () => {
  assert.equal(canonicalPath(''), '/');
  assert.equal(canonicalPath('/a+b/%2b/%7Ec/(d)/%2F'), '/a%2Bb/%2B/~c/%28d%29//');
  assert.equal(canonicalPath('/%zz%4'), '/%25zz%254');
  assert.equal(canonicalPath('/\xe2\x82\xac'), '/%E2%82%AC');
});

test('the whole text', () => {
  const text = canonicalRequest({
    method: 'GET',
    rawPath: '/b/k',
    rawQuery: 'b=1&a=2',
    headers: { host: ['h'], 'x-amz-meta-a': [' 1  2', '3\t4 '], unsigned: ['x'] },
    signedHeaders: ['host', 'missing', 'x-amz-meta-a'],
    payloadHash: 'UNSIGNED-PAYLOAD',
  });
  assert.equal(
    text,
    'GET\n/b/k\na=2&b=1\nhost:h\nmissing:\nx-amz-meta-a:1 2,3 4\n\nhost;missing;x-amz-meta-a\nUNSIGNED-PAYLOAD',
  );
});
