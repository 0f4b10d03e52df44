/** The decision: whose account, which policies, what a public access block takes away; and what needs no look at the object. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccountId, BucketId, PairId } from '../../../../src/base/ids.ts';
import type { Bucket, ObjectVersion } from '../../../../src/ddm/catalog.ts';
import type { Principal } from '../../../../src/identity/types.ts';
import { type AccessQuestion, authorize } from '../../../../src/s3api/authorize.ts';
import {
  ANYBODY,
  account,
  BUCKET,
  identity,
  type Json,
  policyOf,
  statement,
  text,
} from '../../identity/policy/kit.ts';

const bucket = (settings: Json = {}): Bucket => ({
  id: 1 as BucketId,
  name: BUCKET,
  owner: 'acme' as AccountId,
  createdAt: new Date(0),
  region: 'us-east-1',
  directory: 'directory/5' as PairId,
  versioning: 'unversioned',
  objectLock: false,
  settings,
});
const withPolicy = (...statements: Json[]): Bucket => bucket({ policy: { text: text(...statements) } });

let looks = 0;
const question = (
  principal: Principal,
  of: Bucket | null,
  changes: Partial<AccessQuestion> = {},
): AccessQuestion => ({
  principal,
  action: 's3:GetObject',
  bucket: of,
  bucketName: of === null ? '' : BUCKET,
  key: of === null ? '' : 'cat.jpg',
  context: () => new Map(),
  findObject: async () => {
    looks++;
    return { tags: { kind: 'cat' } } as unknown as ObjectVersion;
  },
  ...changes,
});
const decide = async (...asked: Parameters<typeof question>): Promise<string> =>
  (await authorize(question(...asked))).decision;

const ROOT: Principal = {
  kind: 'account',
  account: { id: 'root' as AccountId, displayName: 'root', isRoot: true },
  accessKeyId: 'K',
};
const OWNER = account('acme');
const STRANGER = account('bob');
const user = (of: string, ...statements: Json[]): Principal =>
  identity(
    of,
    `arn:aws:iam::${of}:user/ann`,
    statements.length === 0 ? [] : [policyOf('identity', ...statements)],
  );
const session = (bounds: Json): Principal =>
  identity(
    'acme',
    'arn:aws:sts::acme:assumed-role/r/s',
    [policyOf('identity', statement())],
    policyOf('session', bounds),
  );
const toAll = withPolicy(statement());
const toNobody = withPolicy(statement({ Effect: 'Deny', Action: 's3:*' }));

describe('who may read an object', () => {
  const cases: [string, Principal, Bucket, 'allow' | 'deny'][] = [
    ['the store itself, whatever a policy says', ROOT, toNobody, 'allow'],
    ['the owner, without a policy', OWNER, bucket(), 'allow'],
    ['the owner, where a policy denies', OWNER, toNobody, 'deny'],
    ['another account', STRANGER, bucket(), 'deny'],
    ['another account by the policy', STRANGER, toAll, 'allow'],
    ['nobody', ANYBODY, bucket(), 'deny'],
    ['nobody, by a policy for everybody', ANYBODY, toAll, 'allow'],
    [
      'nobody, by a policy for accounts',
      ANYBODY,
      withPolicy(statement({ Principal: { AWS: 'bob' } })),
      'deny',
    ],
    ["the owner's user without a policy", user('acme'), bucket(), 'deny'],
    ["the owner's user by its own", user('acme', statement()), bucket(), 'allow'],
    ["the owner's user by the bucket's, which names all", user('acme'), toAll, 'allow'],
    [
      "the owner's user by the bucket's, which names the user",
      user('acme'),
      withPolicy(statement({ Principal: { AWS: 'arn:aws:iam::acme:user/ann' } })),
      'allow',
    ],
    [
      "the owner's user by the bucket's, which names the account alone",
      user('acme'),
      withPolicy(statement({ Principal: { AWS: 'acme' } })),
      'deny',
    ],
    ['a user whose own policy denies', user('acme', statement({ Effect: 'Deny' })), toAll, 'deny'],
    ["another account's user without a policy", user('bob'), toAll, 'deny'],
    ["another account's user by its own alone", user('bob', statement()), bucket(), 'deny'],
    ["another account's user by both", user('bob', statement()), toAll, 'allow'],
    [
      "another account's user, whose account is named",
      user('bob', statement()),
      withPolicy(statement({ Principal: { AWS: 'bob' } })),
      'allow',
    ],
    ["a session that its role's policy and its own allow", session(statement()), bucket(), 'allow'],
    ['a session whose own policy does not', session(statement({ Action: 's3:PutObject' })), toAll, 'deny'],
    [
      'anybody where the stored policy is not understood',
      STRANGER,
      bucket({ policy: { text: '{"Statement":[]}' } }),
      'deny',
    ],
    [
      'the owner where the stored policy is not understood',
      OWNER,
      bucket({ policy: { text: '{}' } }),
      'deny',
    ],
  ];
  for (const [name, principal, of, expected] of cases)
    it(`${expected}: ${name}`, async () => assert.equal(await decide(principal, of), expected));

  it('is decided for the owner without a look at the object', async () => {
    looks = 0;
    await decide(OWNER, bucket());
    await decide(OWNER, toAll);
    await decide(STRANGER, toAll);
    assert.equal(looks, 0);
  });

  it('is decided by its tags where a policy asks for them', async () => {
    const of = (kind: string) =>
      withPolicy(statement({ Condition: { StringEquals: { 's3:ExistingObjectTag/kind': kind } } }));
    looks = 0;
    assert.equal(await decide(STRANGER, of('cat')), 'allow');
    assert.equal(await decide(STRANGER, of('dog')), 'deny');
    assert.equal(looks, 2);
  });
});

describe('a public access block', () => {
  const restricted = { restrictPublicBuckets: true };
  const of = (block: Json, ...statements: Json[]): Bucket =>
    bucket({ policy: { text: text(...statements) }, publicAccessBlock: block });
  it('keeps a public policy to the account of its owner', async () => {
    const closed = of(restricted, statement(), statement({ Principal: { AWS: 'bob' } }));
    assert.equal(await decide(ANYBODY, closed), 'deny');
    assert.equal(await decide(STRANGER, closed), 'deny');
    assert.equal(await decide(OWNER, closed), 'allow');
    assert.equal(await decide(user('acme'), closed), 'allow');
  });
  it('leaves one that is not public alone', async () => {
    assert.equal(await decide(STRANGER, of(restricted, statement({ Principal: { AWS: 'bob' } }))), 'allow');
    assert.equal(
      await decide(STRANGER, of({ ...restricted, restrictPublicBuckets: false }, statement())),
      'allow',
    );
  });
});

describe('the policy itself', () => {
  const action = { action: 's3:PutBucketPolicy', key: '' };
  const locking = { text: text(statement({ Effect: 'Deny', Action: 's3:*', Resource: '*' })) };
  it('can be changed by the account of the owner, also when it denies that', async () => {
    assert.equal(await decide(OWNER, bucket({ policy: locking }), action), 'allow');
    assert.equal(
      await decide(
        user('acme', statement({ Action: 's3:*', Resource: '*' })),
        bucket({ policy: locking }),
        action,
      ),
      'deny',
    );
    assert.equal(
      await decide(OWNER, bucket({ policy: locking }), { action: 's3:PutBucketAcl', key: '' }),
      'deny',
    );
  });
  it('cannot where that was confirmed', async () => {
    const confirmed = bucket({ policy: { ...locking, ownerMayBeDenied: true } });
    assert.equal(await decide(OWNER, confirmed, action), 'deny');
    assert.equal(await decide(ROOT, confirmed, action), 'allow');
  });
});

describe('the service', () => {
  const list = { action: 's3:ListAllMyBuckets' };
  it('is open to accounts, and to users that a policy allows', async () => {
    assert.equal(await decide(STRANGER, null, list), 'allow');
    assert.equal(await decide(ANYBODY, null, list), 'deny');
    assert.equal(await decide(user('acme'), null, list), 'deny');
    for (const Resource of ['*', 'arn:aws:s3:::*'])
      assert.equal(
        await decide(user('acme', statement({ Action: list.action, Resource })), null, list),
        'allow',
      );
  });
});
