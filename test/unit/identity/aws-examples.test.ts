// The signatures that AWS publishes in the S3 API Reference ("Examples: Signature Calculations", "… Multiple Chunks",
// "… Including Trailing Headers", "… Using Query Parameters"), all with the credentials and the date of those pages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticate } from '../../../src/identity/authenticate.ts';
import { encodeAwsChunked } from '../../../src/identity/aws-chunked.ts';
import { presignRequest, type SigningInput, signRequest } from '../../../src/identity/sign.ts';
import { credentials, depsAt, EXAMPLE_TIME_MS } from './fixtures.ts';

const base = {
  credentials,
  region: 'us-east-1',
  service: 's3' as const,
  nowMs: EXAMPLE_TIME_MS,
  headers: { host: 'examplebucket.s3.amazonaws.com' },
};

const cases: { name: string; input: SigningInput; signature: string }[] = [
  {
    name: 'GET object with a range',
    input: {
      ...base,
      method: 'GET',
      path: '/test.txt',
      headers: { ...base.headers, range: 'bytes=0-9' },
    },
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    name: 'PUT object',
    input: {
      ...base,
      method: 'PUT',
      path: '/test%24file.text',
      headers: {
        ...base.headers,
        date: 'Fri, 24 May 2013 00:00:00 GMT',
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      },
      payload: Buffer.from('Welcome to Amazon S3.'),
    },
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    name: 'GET bucket lifecycle',
    input: { ...base, method: 'GET', path: '/', query: 'lifecycle' },
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    name: 'list objects',
    input: { ...base, method: 'GET', path: '/', query: 'max-keys=2&prefix=J' },
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
];

for (const { name, input, signature } of cases) {
  test(`AWS's example: ${name}`, async () => {
    const { headers } = signRequest(input);
    assert.equal(/Signature=(.*)$/.exec(headers.authorization!)?.[1], signature);
    const lists = Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, [value]]));
    const authenticated = await authenticate(
      { method: input.method, rawPath: input.path, rawQuery: input.query ?? '', headers: lists },
      depsAt(EXAMPLE_TIME_MS + 60_000),
    );
    assert.equal(authenticated.principal.kind, 'account');
  });
}

test("AWS's example: presigned GET", async () => {
  const url = presignRequest({ ...base, method: 'GET', path: '/test.txt', expiresSeconds: 86_400 });
  assert.match(url, /X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404$/);
  const [rawPath, rawQuery] = url.split('?') as [string, string];
  const authenticated = await authenticate(
    { method: 'GET', rawPath, rawQuery, headers: { host: [base.headers.host] } },
    depsAt(EXAMPLE_TIME_MS + 86_399_000),
  );
  assert.deepEqual([authenticated.presigned, authenticated.payload.kind], [true, 'unsigned']);
});

const chunked = (hash: string, extra: Record<string, string>) =>
  signRequest({
    ...base,
    method: 'PUT',
    path: '/examplebucket/chunkObject.txt',
    headers: {
      host: 's3.amazonaws.com',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '66560',
      'content-length': '66824',
      ...extra,
    },
    payload: { hash },
  });

const signaturesIn = (wire: string): string[] =>
  [...wire.matchAll(/signature[=:]([0-9a-f]{64})/g)].map((match) => match[1]!);

test("AWS's example: 66,560 bytes in signed chunks", () => {
  const { seed } = chunked('STREAMING-AWS4-HMAC-SHA256-PAYLOAD', {});
  assert.equal(seed.seedSignature, '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9');
  const wire = Buffer.concat([
    ...encodeAwsChunked([Buffer.alloc(66_560, 'a')], { chunkBytes: 65_536, seed }),
  ]);
  assert.equal(wire.length, 66_824);
  assert.deepEqual(signaturesIn(wire.toString('latin1')), [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ]);
});

test("AWS's example: 66,560 bytes in signed chunks with a signed trailer", () => {
  const { seed } = signRequest({
    ...base,
    method: 'PUT',
    path: '/examplebucket/chunkObject.txt',
    headers: {
      host: 's3.amazonaws.com',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '66560',
      'x-amz-trailer': 'x-amz-checksum-crc32c',
    },
    payload: { hash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER' },
  });
  assert.equal(seed.seedSignature, '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e');
  const wire = Buffer.concat([
    ...encodeAwsChunked([Buffer.alloc(66_560, 'a')], {
      chunkBytes: 65_536,
      seed,
      trailers: () => ({ 'x-amz-checksum-crc32c': 'sOO8/Q==' }),
    }),
  ]);
  assert.deepEqual(signaturesIn(wire.toString('latin1')), [
    'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    // The page once printed 63bddb24…; this is what its own string to sign gives, and what AWS's SDKs send.
    'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435',
  ]);
});
