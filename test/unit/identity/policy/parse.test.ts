/** What is a policy and what is not, in AWS's words. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PolicyError, parsePolicy } from '../../../../src/identity/policy/parse.ts';
import type { PolicyKind } from '../../../../src/identity/policy/types.ts';
import { BUCKET, type Json, OBJECTS, statement, text } from './kit.ts';

function complaint(policy: string, kind: PolicyKind = 'bucket'): string | null {
  try {
    parsePolicy(policy, kind, kind === 'bucket' ? BUCKET : undefined);
    return null;
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    return error.message;
  }
}
const of = (changes: Json, without: readonly string[] = []): string =>
  text(Object.fromEntries(Object.entries(statement(changes)).filter(([name]) => !without.includes(name))));
const conditions = (Condition: unknown): string => of({ Condition });
const BUCKET_ARN = `arn:aws:s3:::${BUCKET}`;

describe('a bucket policy is refused', () => {
  const JSON_FIRST = "Policies must be valid JSON and the first byte must be '{'";
  const NO_FIT = 'Action does not apply to any resource(s) in statement';
  const cases: [string, string, string][] = [
    ['that is empty', '', JSON_FIRST],
    ['that is no JSON', '{"Version":', JSON_FIRST],
    ['that is a list', '[]', JSON_FIRST],
    ['that begins with a blank', ` ${text(statement())}`, JSON_FIRST],
    ['without statements', '{"Version":"2012-10-17"}', 'Missing required field Statement'],
    ['with an empty list of them', text(), 'Missing required field Statement'],
    [
      'of another version',
      text(statement()).replace('2012', '2013'),
      'The policy must contain a valid version string',
    ],
    [
      'with an unknown field',
      text(statement()).replace('"Version"', '"Extra":1,"Version"'),
      'Unknown field Extra',
    ],
    ['with an unknown field of a statement', of({ Resources: '*' }), 'Unknown field Resources'],
    ['with a field in the wrong case', of({ effect: 'Allow' }, ['Effect']), 'Unknown field effect'],
    ['without Effect', of({}, ['Effect']), 'Missing required field Effect'],
    ['with another Effect', of({ Effect: 'allow' }), 'Invalid effect: allow'],
    ['without Principal', of({}, ['Principal']), 'Missing required field Principal'],
    ['without Action', of({}, ['Action']), 'Missing required field Action'],
    ['without Resource', of({}, ['Resource']), 'Missing required field Resource'],
    [
      'with Action and NotAction',
      of({ NotAction: 's3:PutObject' }),
      'Statement has both Action and NotAction',
    ],
    [
      'that allows to all but some',
      of({ NotPrincipal: { AWS: '1' } }, ['Principal']),
      'Allow with NotPrincipal is not allowed',
    ],
    [
      'with one Sid twice',
      text(statement({ Sid: 'a' }), statement({ Sid: 'a' })),
      'Statement IDs (SID) in a single policy must be unique.',
    ],
    ['with an action that S3 has not', of({ Action: 's3:GetObjects' }), 'Policy has invalid action'],
    ['with an action of another service', of({ Action: 'iam:GetUser' }), 'Policy has invalid action'],
    ['with an empty list of actions', of({ Action: [] }), 'Policy has invalid action'],
    ['with an action that is no text', of({ Action: ['s3:GetObject', 1] }), 'Policy has invalid action'],
    [
      'with a resource of another bucket',
      of({ Resource: 'arn:aws:s3:::others/*' }),
      'Policy has invalid resource',
    ],
    [
      'with a bucket whose name begins alike',
      of({ Resource: `arn:aws:s3:::${BUCKET}-2/*` }),
      'Policy has invalid resource',
    ],
    ['with a resource that is no ARN', of({ Resource: `${BUCKET}/*` }), 'Policy has invalid resource'],
    ['with an object action for the bucket alone', of({ Resource: BUCKET_ARN }), NO_FIT],
    ['with a bucket action for objects alone', of({ Action: 's3:ListBucket' }), NO_FIT],
    ['with one action too many', of({ Action: ['s3:GetObject', 's3:ListBucket'] }), NO_FIT],
    ['with an action about the service', of({ Action: 's3:ListAllMyBuckets', Resource: '*' }), NO_FIT],
    [
      'with an unknown operator',
      conditions({ StringMatches: { 'aws:Referer': 'a' } }),
      'Invalid Condition type : StringMatches',
    ],
    [
      'with an unknown set',
      conditions({ 'ForSome:StringLike': { 'aws:Referer': 'a' } }),
      'Invalid Condition type : ForSome:StringLike',
    ],
    [
      'with NullIfExists',
      conditions({ NullIfExists: { 'aws:Referer': 'true' } }),
      'Invalid Condition type : NullIfExists',
    ],
    [
      'with an unknown condition key',
      conditions({ StringEquals: { 's3:colour': 'red' } }),
      'Policy has an invalid condition key',
    ],
    [
      'with a key without a service',
      conditions({ StringEquals: { colour: 'red' } }),
      'Policy has an invalid condition key',
    ],
    [
      'with a tag key without a tag',
      conditions({ StringEquals: { 's3:ExistingObjectTag/': 'red' } }),
      'Policy has an invalid condition key',
    ],
    ['with a condition that is a list', conditions([]), 'Invalid Condition in policy'],
    [
      'with a value that is an object',
      conditions({ StringEquals: { 's3:prefix': {} } }),
      'Invalid Condition in policy',
    ],
    [
      'with no value at all',
      conditions({ StringEquals: { 's3:prefix': [] } }),
      'Invalid Condition in policy',
    ],
    [
      'with a wrong number',
      conditions({ NumericEquals: { 's3:max-keys': 'ten' } }),
      'Invalid number in policy: ten',
    ],
    [
      'with a wrong date',
      conditions({ DateLessThan: { 'aws:CurrentTime': 'soon' } }),
      'Invalid date in policy: soon',
    ],
    [
      'with a wrong boolean',
      conditions({ Bool: { 'aws:SecureTransport': 'yes' } }),
      'Invalid boolean in policy: yes',
    ],
    [
      'with a wrong address',
      conditions({ IpAddress: { 'aws:SourceIp': '10.0.0.0/33' } }),
      'Invalid IP address in policy: 10.0.0.0/33',
    ],
  ];
  for (const [name, policy, message] of cases) it(name, () => assert.equal(complaint(policy), message));

  for (const principal of [
    'bob',
    '',
    { AWS: '' },
    { AWS: 'arn:aws:iam::1:root*' },
    { AWS: 'arn:aws:iam::1:group/g' },
    {},
    { AWS: [] },
    { Other: '*' },
    7,
    { CanonicalUser: '*' },
    { AWS: 'arn:aws:s3:::b' },
    { AWS: 'b*' },
  ] as const)
    it(`with the principal ${JSON.stringify(principal)}`, () =>
      assert.equal(complaint(of({ Principal: principal })), 'Invalid principal in policy'));

  it('above 20 KB', () => {
    const long = (bytes: number) => `${text(statement())}${' '.repeat(bytes - text(statement()).length)}`;
    assert.equal(complaint(long(20_480)), null);
    assert.match(complaint(long(20_481))!, /exceeds the maximum allowed size of 20480 bytes/);
  });
});

describe('a bucket policy is understood', () => {
  const fine: [string, string][] = [
    ['with one statement, without a list and a version', JSON.stringify({ Statement: statement() })],
    [
      'with wildcards for bucket and objects',
      of({ Action: ['s3:ListBucket', 's3:Get*'], Resource: ['arn:aws:s3:::*', 'arn:aws:s3:::*/*'] }),
    ],
    [
      'whose one resource is both',
      of({ Action: ['s3:ListBucket', 's3:GetObject'], Resource: `${BUCKET_ARN}*` }),
    ],
    ['for every action', of({ Action: '*', Resource: '*' })],
    ['with an account that is a wildcard in the ARN', of({ Resource: `arn:aws:s3::*:${BUCKET}/*` })],
    ['with a variable in the resource', of({ Resource: `${BUCKET_ARN}/\${aws:username}/*` })],
    [
      'with all kinds of principals',
      of({
        Principal: {
          AWS: [
            'acme',
            'arn:aws:iam::acme:root',
            'arn:aws:iam::acme:user/a/b',
            'arn:aws:iam::acme:role/r',
            'arn:aws:sts::acme:assumed-role/r/s',
            'arn:aws:iam:::user/acme',
          ],
          CanonicalUser: '79a5',
          Service: 's3.amazonaws.com',
        },
      }),
    ],
    ['with an empty Sid twice', text(statement({ Sid: '' }), statement({ Sid: '' }))],
    ['with operators in any case', conditions({ 'forallvalues:stringlikeifexists': { 'AWS:referer': 'a' } })],
    [
      'with booleans and numbers that are no texts',
      conditions({ Bool: { 'aws:SecureTransport': true }, NumericLessThan: { 's3:max-keys': [10, '20'] } }),
    ],
    [
      'with keys of other services',
      conditions({ StringEquals: { 'saml:sub': 'a', 'accounts.google.com:aud': 'b' } }),
    ],
    ['that denies to all but some', of({ Effect: 'Deny', NotPrincipal: { AWS: 'acme' } }, ['Principal'])],
  ];
  for (const [name, policy] of fine) it(name, () => assert.equal(complaint(policy), null));

  it('with the keys that it asks about, also by variables', () => {
    const policy = of({
      Resource: `${OBJECTS}\${aws:username}`,
      Condition: { StringLike: { 's3:ExistingObjectTag/Kind': `\${aws:PrincipalTag/kind, 'none'}\${*}` } },
    });
    assert.deepEqual([...parsePolicy(policy, 'bucket', BUCKET).keys].sort(), [
      'aws:principaltag/kind',
      'aws:username',
      's3:existingobjecttag/kind',
    ]);
  });
});

describe('policies of identities and roles', () => {
  const bare = (changes: Json): string => of(changes, ['Principal']);
  it('name no principal', () => {
    assert.equal(complaint(bare({}), 'identity'), null);
    assert.equal(complaint(of({}), 'identity'), 'Policy document should not specify a principal.');
  });
  it('may speak of any service, in ARNs', () => {
    assert.equal(
      complaint(
        bare({ Action: ['iam:*', 'sts:AssumeRole'], Resource: ['*', 'arn:aws:iam::1:role/r'] }),
        'session',
      ),
      null,
    );
    assert.equal(
      complaint(bare({ Action: 'GetObject' }), 'identity'),
      'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
    );
    assert.equal(
      complaint(bare({ Resource: 'b/*' }), 'identity'),
      'Resource b/* must be in ARN format or "*".',
    );
    assert.equal(
      complaint(of({}, ['Principal', 'Action']), 'identity'),
      'Policy statement must contain actions.',
    );
    assert.equal(
      complaint(of({}, ['Principal', 'Resource']), 'identity'),
      'Policy statement must contain resources.',
    );
  });
  it('that trust name principals and no resource', () => {
    const trust = of({ Action: 'sts:AssumeRole' }, ['Resource']);
    assert.equal(complaint(trust, 'trust'), null);
    assert.equal(complaint(of({ Action: 'sts:AssumeRole' }), 'trust'), 'Has prohibited field Resource');
  });
});
