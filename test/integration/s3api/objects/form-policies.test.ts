/** What the policy of a form allows, and who may have signed it. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { PutBucketAclCommand, PutBucketOwnershipControlsCommand } from '@aws-sdk/client-s3';
import { deriveSigningKey } from '../../../../src/identity/sigv4/signing-key.ts';
import { type FormPart, fieldsOf, multipart, signedPolicy } from '../../../harness/post-form.ts';
import { BASE, Bucket, type FormFront, file, signed, startFormFront } from './form-kit.ts';
import { CREDENTIALS } from './sdk-front.ts';

let front: FormFront;
before(async () => {
  front = await startFormFront();
});
after(() => front.close());
const post = (parts: readonly FormPart[]) => front.post(parts);

describe('a policy', () => {
  const cases: [what: string, fields: Record<string, string>, conditions: unknown[], outcome: RegExp][] = [
    ['eq', { key: 'k', acl: 'private' }, [['eq', '$acl', 'private']], /^204$/],
    ['in any case of names', { kEy: 'k', aCl: 'private' }, [['EQ', '$ACL', 'private']], /^204$/],
    [
      'eq that fails',
      { key: 'k', acl: 'private' },
      [{ acl: 'public-read' }],
      /^403 AccessDenied: Invalid according to Policy: Policy Condition failed: \["eq", "\$acl", "public-read"\]$/,
    ],
    [
      'starts-with that fails',
      { key: 'k' },
      [['starts-with', '$key', 'user/']],
      /^403 AccessDenied: Invalid according to Policy: Policy Condition failed: \["starts-with", "\$key", "user\/"\]$/,
    ],
    ['values in their own case', { key: 'k' }, [['eq', '$key', 'K']], /^403/],
    [
      'a list of types',
      { key: 'k', 'content-type': 'image/a, image/b' },
      [['starts-with', '$Content-Type', 'image/']],
      /^204$/,
    ],
    [
      'a list with another',
      { key: 'k', 'content-type': 'image/a, text/b' },
      [['starts-with', '$Content-Type', 'image/']],
      /^403/,
    ],
    ['a field that is missing', { key: 'k' }, [['starts-with', '$x-amz-meta-a', '']], /^403/],
    [
      'a field it does not name',
      { key: 'k', 'x-amz-meta-a': '1' },
      [],
      /^403 AccessDenied: Invalid according to Policy: Extra input fields: x-amz-meta-a$/,
    ],
    ['a range', { key: 'k' }, [['content-length-range', 4, 4]], /^204$/],
    ['a range in text', { key: 'k' }, [['content-length-range', '0', '10']], /^204$/],
    [
      'a file too long',
      { key: 'k' },
      [['content-length-range', 0, 3]],
      /^400 EntityTooLarge: Your proposed upload exceeds/,
    ],
    [
      'a file too short',
      { key: 'k' },
      [['content-length-range', 5, 9]],
      /^400 EntityTooSmall: Your proposed upload is smaller/,
    ],
    [
      'a range of one end',
      { key: 'k' },
      [['content-length-range', 0]],
      /^400 InvalidPolicyDocument: Invalid Policy:/,
    ],
    ['a negative range', { key: 'k' }, [['content-length-range', -1, 0]], /^400 InvalidPolicyDocument/],
    ['an empty condition', { key: 'k' }, [{}], /^400 InvalidPolicyDocument: .*exactly one property/],
    ['two in one', { key: 'k' }, [{ acl: 'a', key: 'k' }], /^400 InvalidPolicyDocument/],
    ['an unknown operator', { key: 'k' }, [['ends-with', '$key', 'k']], /^400 InvalidPolicyDocument/],
    ['a name without $', { key: 'k' }, [['eq', 'key', 'k']], /^400 InvalidPolicyDocument/],
    ['an object as value', { key: 'k' }, [{ key: {} }], /^400 InvalidPolicyDocument/],
  ];
  for (const [what, fields, conditions, outcome] of cases)
    it(`with ${what}: ${outcome.source}`, async () =>
      assert.match((await post(signed(fields, conditions))).outcome, outcome));

  it('must name the bucket that the form goes to', async () => {
    const unnamed = signedPolicy({ ...CREDENTIALS, conditions: [{ key: 'k' }] });
    assert.match((await post(fieldsOf({ key: 'k', ...unnamed }))).outcome, /Extra input fields: bucket/);
    const other = signedPolicy({ ...CREDENTIALS, conditions: [{ key: 'k' }, { bucket: 'other' }] });
    const answer = await post(fieldsOf({ key: 'k', bucket: 'other', ...other }));
    assert.match(answer.outcome, /^403 .*Policy Condition failed: \["eq", "\$bucket", "other"\]/);
  });

  it('expires', async () => {
    const expired = signed({ key: 'k' }, [], { expiration: new Date(Date.now() - 1000).toISOString() });
    assert.equal(
      (await post(expired)).outcome,
      '403 AccessDenied: Invalid according to Policy: Policy expired.',
    );
    const unclear = signed({ key: 'k' }, [], { expiration: '2030-01-01 00:00:00+00:00' });
    assert.match((await post(unclear)).outcome, /^400 InvalidPolicyDocument/);
    const old = signed({ key: 'k' }, [], {
      now: new Date(Date.now() - 8 * 86_400_000),
      expiration: new Date(Date.now() + 60_000).toISOString(),
    });
    assert.match((await post(old)).outcome, /^403 AccessDenied: Request has expired/);
  });

  it('must be whole', async () => {
    for (const document of [
      'no json',
      '[]',
      '{}',
      '{"expiration":"2099-01-01T00:00:00Z"}',
      '{"conditions":[]}',
    ]) {
      const fields = signedPolicy({ ...CREDENTIALS, conditions: [] });
      const policy = Buffer.from(document).toString('base64');
      const scope = fields['x-amz-credential']!.split('/').slice(1).join('/');
      const key = deriveSigningKey(CREDENTIALS.secretAccessKey, scope);
      const signature = createHmac('sha256', key).update(policy).digest('hex');
      const answer = await post(fieldsOf({ key: 'k', ...fields, policy, 'x-amz-signature': signature }));
      assert.match(answer.outcome, /^400 InvalidPolicyDocument: Invalid Policy:/, document);
    }
  });
});

describe('the signature of a form', () => {
  const with1 = (name: string, value: string | undefined) => {
    const fields: Record<string, string> = {
      key: 'k',
      ...signedPolicy({ ...CREDENTIALS, conditions: BASE }),
    };
    if (value === undefined) delete fields[name];
    else fields[name] = value;
    return fieldsOf(fields);
  };
  const today = () => signedPolicy({ ...CREDENTIALS, conditions: [] })['x-amz-credential']!;
  const cases: [string, string, () => string | undefined, RegExp][] = [
    [
      'missing',
      'x-amz-signature',
      () => undefined,
      /^400 InvalidArgument: Bucket POST must contain a field named 'X-Amz-Signature'/,
    ],
    ['without a date', 'x-amz-date', () => undefined, /^400 InvalidArgument: .*'X-Amz-Date'/],
    ['without an algorithm', 'x-amz-algorithm', () => undefined, /^400 InvalidArgument/],
    ['without a policy', 'policy', () => undefined, /^400 InvalidArgument: .*'policy'/],
    ['wrong', 'x-amz-signature', () => '0'.repeat(64), /^403 SignatureDoesNotMatch/],
    ['too short', 'x-amz-signature', () => 'ab', /^403 SignatureDoesNotMatch/],
    ['of nobody', 'x-amz-credential', () => today().replace(/^[^/]+/, 'NOBODY'), /^403 InvalidAccessKeyId/],
    [
      'of another region',
      'x-amz-credential',
      () => today().replace('us-east-1', 'x'),
      /^400 InvalidArgument: .*region/,
    ],
    ['of another day', 'x-amz-date', () => '20200101T000000Z', /^400 InvalidArgument: .*credential date/],
    ['with a token of nobody', 'x-amz-security-token', () => 'abc', /^400 InvalidToken/],
    ['by another algorithm', 'x-amz-algorithm', () => 'AWS3', /^400 InvalidArgument/],
  ];
  for (const [what, name, value, outcome] of cases)
    it(`${what} is refused`, async () => assert.match((await post(with1(name, value()))).outcome, outcome));

  it('of version 2 is refused clearly, and taken only where the store was told to', async () => {
    const document = { expiration: '2099-01-01T00:00:00Z', conditions: BASE };
    const policy = Buffer.from(JSON.stringify(document)).toString('base64');
    const signature = createHmac('sha1', CREDENTIALS.secretAccessKey).update(policy).digest('base64');
    const fields = { key: 'v2', AWSAccessKeyId: CREDENTIALS.accessKeyId, policy, signature };
    const body = multipart([...fieldsOf(fields), file('x')]);
    assert.match((await front.send(body)).outcome, /^400 InvalidRequest: .*Please use AWS4-HMAC-SHA256/);
    const lenient = await startFormFront({ formSignatureV2: true });
    try {
      assert.equal((await lenient.send(body)).outcome, '204');
      const wrong = multipart([...fieldsOf({ ...fields, signature: 'AAAA' }), file('x')]);
      assert.match((await lenient.send(wrong)).outcome, /^403 SignatureDoesNotMatch/);
    } finally {
      await lenient.close();
    }
  });

  it('is not needed where everybody may write, who then may say what his object is like', async () => {
    const open = await startFormFront();
    try {
      const { s3 } = open;
      const ObjectOwnership = 'ObjectWriter';
      await s3.send(
        new PutBucketOwnershipControlsCommand({
          Bucket,
          OwnershipControls: { Rules: [{ ObjectOwnership }] },
        }),
      );
      await s3.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read-write' }));
      assert.equal((await open.post(fieldsOf({ key: 'k', acl: 'public-read' }))).outcome, '204');
      assert.equal((await fetch(`${open.url}/${Bucket}/k`)).status, 200);
    } finally {
      await open.close();
    }
  });

  it('is needed where strangers may not write', async () => {
    assert.match((await post(fieldsOf({ key: 'k' }))).outcome, /^403 AccessDenied/);
  });
});
