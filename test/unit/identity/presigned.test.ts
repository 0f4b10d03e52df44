import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { authenticate } from '../../../src/identity/authenticate.ts';
import { AuthError } from '../../../src/identity/errors.ts';
import { encodeComponent } from '../../../src/identity/sign.ts';
import type { SignedRequest } from '../../../src/identity/types.ts';
import { depsAt } from './fixtures.ts';
import { deps, NOW, presigned, refused } from './requests.ts';

test('presigned URLs: each wrong parameter has its message', async () => {
  const edited = (from: RegExp | string, to: string) => {
    const req = presigned();
    return { ...req, rawQuery: req.rawQuery.replace(from, to) };
  };
  const wrong = (req: SignedRequest, message: RegExp | string) =>
    refused(req, 'AuthorizationQueryParametersError', message);
  for (const name of ['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature'])
    await wrong(
      edited(new RegExp(`&?X-Amz-${name}=[^&]*`), ''),
      /^Query-string authentication version 4 requires/,
    );
  await wrong(edited('AWS4-HMAC-SHA256', 'AWS4-SHA1'), 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  await wrong(edited('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'), /^X-Amz-Algorithm only supports/);
  await wrong(
    edited('%2Fs3%2F', '%2Fs3'),
    /^Error parsing the X-Amz-Credential parameter; the Credential is mal-formed/,
  );
  await wrong(edited('%2Fs3%2F', '%2Fsqs%2F'), /parameter; incorrect service "sqs"/);
  await wrong(edited('us-east-1', 'mars'), /parameter; the region 'mars' is wrong; expecting 'us-east-1'/);
  await wrong(edited('20130524T000000Z', 'yesterday'), /^X-Amz-Date must be in the ISO8601 Long Format/);
  await wrong(edited('20130524T000000Z', '20130525T000000Z'), /^Invalid credential date "20130524"/);
  await wrong(edited('Expires=60', 'Expires=1.5'), 'X-Amz-Expires should be a number');
  await wrong(edited('Expires=60', 'Expires=-7'), 'X-Amz-Expires must be non-negative');
  await wrong(edited('Expires=60', 'Expires=604801'), /^X-Amz-Expires must be less than a week/);
  await refused(edited('Expires=60', 'Expires=61'), 'SignatureDoesNotMatch');
});

test('presigned URLs expire, and are not valid too early', async () => {
  await authenticate(presigned(), depsAt(NOW + 59_999));
  const error = await refused(presigned(), 'AccessDenied', 'Request has expired', depsAt(NOW + 60_000));
  assert.deepEqual(error.fields, {
    'X-Amz-Expires': '60',
    Expires: '2013-05-24T00:01:00Z',
    ServerTime: '2013-05-24T00:01:00Z',
  });
  await authenticate(presigned({ expiresSeconds: 604_800 }), depsAt(NOW + 604_799_000));
  await refused(presigned({ expiresSeconds: 0 }), 'AccessDenied', 'Request has expired');
  await refused(presigned(), 'AccessDenied', 'Request is not valid yet', depsAt(NOW - 16 * 60_000));
});

test('a presigned URL may bind the payload', async () => {
  const payload = { hash: 'a'.repeat(64) };
  assert.deepEqual((await authenticate(presigned({ payload }), deps)).payload, {
    kind: 'sha256',
    hex: payload.hash,
  });
  const inHeader = presigned({ headers: { host: 'h', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } });
  assert.equal((await authenticate(inHeader, deps)).payload.kind, 'unsigned');
});

test('rubbish of any kind is refused or anonymous, never a fault of ours', async () => {
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.constantFrom('', 'AWS4-HMAC-SHA256 ', '=', ',', '//', ';'),
  );
  const authorization = fc.array(text, { maxLength: 6 }).map((parts) => parts.join(''));
  const query = fc
    .array(
      fc.tuple(
        fc.constantFrom('X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Expires', 'Signature'),
        text,
      ),
    )
    .map((pairs) => pairs.map(([name, value]) => `${name}=${encodeComponent(value)}`).join('&'));
  await fc.assert(
    fc.asyncProperty(authorization, query, text, text, async (header, rawQuery, date, hash) => {
      const headers = {
        host: ['h'],
        authorization: [header],
        'x-amz-date': [date],
        'x-amz-content-sha256': [hash],
      };
      try {
        const { principal } = await authenticate({ method: 'GET', rawPath: '/%', rawQuery, headers }, deps);
        assert.equal(principal.kind, 'anonymous');
      } catch (error) {
        assert.ok(error instanceof AuthError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
