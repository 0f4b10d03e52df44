import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { authenticate } from '../../../src/identity/authenticate.ts';
import { AUTH_STATUS } from '../../../src/identity/errors.ts';
import { encodePath, encodeQuery } from '../../../src/identity/sign.ts';
import type { SignedRequest } from '../../../src/identity/types.ts';
import { S3_ERRORS } from '../../../src/s3api/errors.ts';
import { credentials, depsAt, exampleKey } from './fixtures.ts';
import { deps, editAuthorization, NOW, presigned, refused, signed, withHeaders } from './requests.ts';

test('every refusal is an S3 error of the same status', () => {
  for (const [code, status] of Object.entries(AUTH_STATUS))
    assert.equal(S3_ERRORS[code as keyof typeof AUTH_STATUS].status, status, code);
});

test('a signed request is its account', async () => {
  const { principal, payload, presigned: inQuery } = await authenticate(signed(), deps);
  assert.deepEqual(principal, {
    kind: 'account',
    account: exampleKey.account,
    accessKeyId: credentials.accessKeyId,
  });
  assert.deepEqual([payload.kind, inQuery], ['sha256', false]);
});

test('no signature at all is anonymous; so is an empty Authorization header', async () => {
  const bare = { method: 'GET', rawPath: '/b/k', rawQuery: 'prefix=a', headers: { host: ['h'] } };
  assert.equal((await authenticate(bare, deps)).principal.kind, 'anonymous');
  assert.equal(
    (await authenticate(withHeaders(bare, { authorization: '' }), deps)).principal.kind,
    'anonymous',
  );
  const streaming = withHeaders(bare, { 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' });
  await refused(streaming, 'InvalidRequest', /Anonymous requests don't support/);
  const unsigned = withHeaders(bare, { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' });
  assert.equal((await authenticate(unsigned, deps)).payload.kind, 'chunked-unsigned');
});

test('any path, query and header values survive signing and verification', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(text, fc.dictionary(text, text, { maxKeys: 5 }), text, async (key, query, meta) => {
      const value = Buffer.from(meta.replace(/[\0-\x08\x0a-\x1f\x7f]/g, ''), 'utf8').toString('latin1');
      const changes = {
        path: `/bucket/${encodePath(key)}`,
        query: encodeQuery(query),
        headers: { host: 'h', 'x-amz-meta-a': value.trim() },
      };
      assert.equal((await authenticate(signed(changes), deps)).principal.kind, 'account');
      assert.equal((await authenticate(presigned({ ...changes, query: '' }), deps)).presigned, true);
    }),
  );
});

test('paths are neither normalised nor encoded twice; escapes in other spellings mean the same', async () => {
  const req = signed({ path: '/bucket//a/../b%20c/./%E2%82%AC%28' });
  await authenticate(req, deps);
  await authenticate({ ...req, rawPath: '/bucket//a/../b%20c/./%e2%82%ac(' }, deps);
  await refused({ ...req, rawPath: '/bucket/b%20c/%E2%82%AC%28' }, 'SignatureDoesNotMatch');
  await refused({ ...req, rawPath: '/bucket//a/../b%2520c/./%E2%82%AC%28' }, 'SignatureDoesNotMatch');
});

test('query parameters in any order, with or without "=", mean the same', async () => {
  const req = signed({ query: encodeQuery({ a: '', 'a-b': '1', b: 'x y', acl: '' }) });
  await authenticate({ ...req, rawQuery: 'b=x%20y&acl&a-b=1&a=' }, deps);
  await authenticate({ ...req, rawQuery: 'b=x+y&acl&a-b=1&a=' }, deps);
  await refused({ ...req, rawQuery: 'b=x%20y&acl&a-b=2&a=' }, 'SignatureDoesNotMatch');
});

test('header values are folded; repeated headers are joined', async () => {
  const req = signed({ headers: { host: 'h', 'x-amz-meta-a': 'one two,three' } });
  const spaced = { ...req, headers: { ...req.headers, 'x-amz-meta-a': ['  one   two ', ' three'] } };
  await authenticate(spaced, deps);
});

test('a wrong signature is told with what was signed', async () => {
  const error = await refused(
    editAuthorization(signed(), (text) => text.replace(/Signature=.*/, `Signature=${'0'.repeat(64)}`)),
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
  );
  const { fields } = error;
  assert.equal(fields.AWSAccessKeyId, credentials.accessKeyId);
  assert.equal(fields.SignatureProvided, '0'.repeat(64));
  assert.match(
    fields.StringToSign!,
    /^AWS4-HMAC-SHA256\n20130524T000000Z\n20130524\/us-east-1\/s3\/aws4_request\n/,
  );
  assert.match(fields.StringToSignBytes!, /^41 57 53 34 2d/);
  assert.match(fields.CanonicalRequest!, /^GET\n\/bucket\/key\n\nhost:h:9000\n/);
  assert.match(fields.CanonicalRequestBytes!, /^47 45 54 0a/);
});

test('a changed method, header or payload hash is a wrong signature', async () => {
  const req = signed({ headers: { host: 'h', 'x-amz-meta-a': '1' } });
  await refused({ ...req, method: 'PUT' }, 'SignatureDoesNotMatch');
  await refused(withHeaders(req, { 'x-amz-meta-a': '2' }), 'SignatureDoesNotMatch');
  await refused(withHeaders(req, { host: 'other' }), 'SignatureDoesNotMatch');
  await refused(withHeaders(req, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }), 'SignatureDoesNotMatch');
});

test('unknown and inactive keys do not exist', async () => {
  const message = 'The AWS Access Key Id you provided does not exist in our records.';
  const unknown = signed({ credentials: { ...credentials, accessKeyId: 'AKIANOBODY' } });
  const error = await refused(unknown, 'InvalidAccessKeyId', message);
  assert.equal(error.fields.AWSAccessKeyId, 'AKIANOBODY');
  const inactive = depsAt(NOW, { findAccessKey: async () => ({ ...exampleKey, status: 'inactive' }) });
  await refused(signed(), 'InvalidAccessKeyId', message, inactive);
  let asked = 0;
  const counting = depsAt(NOW, {
    findAccessKey: async () => {
      asked++;
      return null;
    },
  });
  const odd = signed({ credentials: { ...credentials, accessKeyId: 'x'.repeat(200) } });
  await refused(odd, 'InvalidAccessKeyId', message, counting);
  assert.equal(asked, 0, 'the catalog is not asked for what can be no key');
});

test('a replaced secret counts at once, an unchanged one is opened once', async () => {
  let sealed = exampleKey.sealedSecret;
  let opened = 0;
  const changing = depsAt(NOW, {
    findAccessKey: async () => ({ ...exampleKey, sealedSecret: sealed }),
    openSecret: (key) => {
      opened++;
      return key.sealedSecret;
    },
  });
  await authenticate(signed(), changing);
  await authenticate(signed(), changing);
  assert.equal(opened, 1);
  sealed = Buffer.from(credentials.secretAccessKey.replace('w', 'v'));
  await refused(signed(), 'SignatureDoesNotMatch', undefined, changing);
  assert.equal(opened, 2);
});

test('the Authorization header: what is malformed is said as AWS says it', async () => {
  const edited = (from: RegExp | string, to: string) =>
    editAuthorization(signed(), (text) => text.replace(from, to));
  const malformed = async (req: SignedRequest, detail: string) =>
    refused(req, 'AuthorizationHeaderMalformed', `The authorization header is malformed; ${detail}`);
  await malformed(
    edited(/, Signature=.*/, ''),
    'the authorization header requires three components: Credential, SignedHeaders, and Signature.',
  );
  await malformed(edited(/Signature=.*/, 'Nonsense'), 'the authorization component "Nonsense" is malformed.');
  await malformed(edited('Credential=', 'Credentials='), 'missing Credential.');
  await malformed(edited('SignedHeaders=', 'Signed='), 'missing SignedHeaders.');
  await malformed(edited(/ Signature=/, ' Sig='), 'missing Signature.');
  await malformed(
    edited('/aws4_request', ''),
    'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
  );
  await malformed(edited('/s3/', '/ec2/'), 'incorrect service "ec2". This endpoint belongs to "s3".');
  await malformed(
    edited('aws4_request', 'aws_request'),
    'incorrect terminal "aws_request". This endpoint uses "aws4_request".',
  );
  await malformed(
    edited('/20130524/', '/20131324/'),
    'incorrect date format "20131324". This date in the credential must be in the format "yyyyMMdd".',
  );
  await malformed(
    edited('/20130524/', '/20130523/'),
    'Invalid credential date "20130523". This date is not the same as X-Amz-Date: "20130524".',
  );
  const region = await malformed(
    edited('us-east-1', 'eu-west-1'),
    "the region 'eu-west-1' is wrong; expecting 'us-east-1'",
  );
  assert.equal(region.fields.Region, 'us-east-1');
});

test('other mechanisms are refused clearly', async () => {
  const use = (authorization: string) => withHeaders(signed(), { authorization });
  const unsupported =
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.';
  await refused(use('AWS AKIAIGR7ZNNBHC5BKSUB:FWeDfwojDSdS2Ztmpfeubhd9isU='), 'InvalidRequest', unsupported);
  await refused(use('AWS4-ECDSA-P256-SHA256 Credential=x'), 'InvalidRequest', unsupported);
  await refused(use('AWS HAHAHA'), 'InvalidArgument', /^AWS authorization header is invalid/);
  await refused(use('Bearer abc'), 'InvalidArgument', 'Unsupported Authorization Type');
  await refused(use('rubbish'), 'InvalidArgument', /one and only one ' ' \(space\) required/);
  const v2 = { ...signed(), headers: {}, rawQuery: 'AWSAccessKeyId=a&Signature=b&Expires=1' };
  await refused(v2, 'InvalidRequest', unsupported);
  await refused(
    withHeaders(presigned(), { authorization: 'AWS4-HMAC-SHA256 x' }),
    'InvalidArgument',
    /Only one auth mechanism/,
  );
});

test('session tokens are refused: there are no sessions', async () => {
  await refused(signed({ headers: { host: 'h', 'x-amz-security-token': 't' } }), 'InvalidToken');
  await refused(presigned({ query: 'X-Amz-Security-Token=t' }), 'InvalidToken');
});

test('dates: x-amz-date, else Date; missing, senseless or skewed ones are refused', async () => {
  const missing = 'AWS authentication requires a valid Date or x-amz-date header';
  await refused(withHeaders(signed(), { 'x-amz-date': null }), 'AccessDenied', missing);
  for (const bad of [
    '',
    'Bad Date',
    '20131324T000000Z',
    '20130524T000000',
    'Tue, 07 Jul 1950 21:53:04 GMT',
    '19500707T215304Z',
  ])
    await refused(withHeaders(signed(), { 'x-amz-date': bad }), 'AccessDenied', missing);
  await refused(
    withHeaders(signed(), { 'x-amz-date': 'Tue, 07 Jul 9999 21:53:04 GMT' }),
    'RequestTimeTooSkewed',
  );
  await authenticate(signed(), depsAt(NOW + 15 * 60_000));
  await authenticate(signed(), depsAt(NOW - 15 * 60_000));
  const error = await refused(signed(), 'RequestTimeTooSkewed', undefined, depsAt(NOW + 15 * 60_000 + 1));
  assert.deepEqual(error.fields, {
    RequestTime: '20130524T000000Z',
    ServerTime: '2013-05-24T00:15:00Z',
    MaxAllowedSkewMilliseconds: '900000',
  });
});

test('x-amz-content-sha256 is required and has one of its values', async () => {
  await refused(
    withHeaders(signed(), { 'x-amz-content-sha256': null }),
    'InvalidRequest',
    'Missing required header for this request: x-amz-content-sha256',
  );
  const value = async (hash: string) => (await authenticate(signed({ payload: { hash } }), deps)).payload;
  assert.deepEqual(await value('UNSIGNED-PAYLOAD'), { kind: 'unsigned' });
  assert.deepEqual(await value('STREAMING-UNSIGNED-PAYLOAD-TRAILER'), { kind: 'chunked-unsigned' });
  const streaming = await value('STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER');
  assert.ok(streaming.kind === 'chunked-signed' && streaming.trailer);
  assert.equal(streaming.scope, '20130524/us-east-1/s3/aws4_request');
  const bad = await refused(
    signed({ payload: { hash: 'invalid' } }),
    'InvalidArgument',
    /^x-amz-content-sha256 must be UNSIGNED/,
  );
  assert.deepEqual(bad.fields, { ArgumentName: 'x-amz-content-sha256', ArgumentValue: 'invalid' });
  await refused(signed({ payload: { hash: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' } }), 'NotImplemented');
});

test('host and x-amz-* headers must be signed, content-type need not be', async () => {
  const message = 'There were headers present in the request which were not signed';
  const extra = withHeaders(signed(), {
    'x-amz-tagging': 'a=b',
    'x-amz-copy-source': 'b/k',
    'content-type': 'text/plain',
  });
  const error = await refused(extra, 'AccessDenied', message);
  assert.equal(error.fields.HeadersNotSigned, 'x-amz-tagging, x-amz-copy-source');
  await authenticate(withHeaders(signed(), { 'content-type': 'text/plain' }), deps);
  await refused(withHeaders(presigned(), { 'x-amz-acl': 'public-read' }), 'AccessDenied', message);
  await refused(
    editAuthorization(signed(), (text) => text.replace('host;', '')),
    'AccessDenied',
    message,
  );
});

test('the admin service wants its own scope and the hash of the payload', async () => {
  const admin = depsAt(NOW, { service: 'antipode' });
  await authenticate(signed({ service: 'antipode' }), admin);
  await refused(
    signed(),
    'AuthorizationHeaderMalformed',
    /incorrect service "s3". This endpoint belongs to "antipode"/,
    admin,
  );
  await refused(
    signed({ service: 'antipode', payload: { hash: 'UNSIGNED-PAYLOAD' } }),
    'InvalidRequest',
    undefined,
    admin,
  );
});
