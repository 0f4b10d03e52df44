/** Users, their keys and policies through the query API, with real signatures over the model catalog. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Credentials } from '../../../../src/identity/sign.ts';
import { type Answer, type SignedFront, startSignedFront } from '../../../model/signed-front.ts';

let front: SignedFront;
let alice: Credentials;
before(async () => {
  front = await startSignedFront();
  alice = front.keys.alice;
});
after(() => front.close());

async function ok(who: Credentials, action: string, parameters?: Record<string, string>): Promise<Answer> {
  const answer = await front.query(who, action, parameters);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}
async function refused(
  [status, code]: readonly [number, string],
  who: Credentials | null,
  action: string,
  parameters?: Record<string, string>,
): Promise<string> {
  const answer = await front.query(who, action, parameters);
  assert.deepEqual([answer.status, answer.one('Code')], [status, code], answer.text);
  assert.match(
    answer.text,
    /^<\?xml [^>]+>\s*<ErrorResponse xmlns="https:\/\/(iam|sts)\.amazonaws\.com\/doc\/[^"]+"><Error>/,
  );
  assert.equal(answer.one('Type'), 'Sender');
  return answer.one('Message')!;
}
const policyOf = (...statements: object[]) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const allow = (Action: string | string[], Resource: string | string[], more: object = {}) => ({
  ...{ Effect: 'Allow', Action, Resource },
  ...more,
});
async function userWithKey(name: string, ...statements: object[]): Promise<Credentials> {
  await ok(alice, 'CreateUser', { UserName: name });
  if (statements.length > 0)
    await ok(alice, 'PutUserPolicy', {
      UserName: name,
      PolicyName: 'p',
      PolicyDocument: policyOf(...statements),
    });
  const made = await ok(alice, 'CreateAccessKey', { UserName: name });
  return { accessKeyId: made.one('AccessKeyId')!, secretAccessKey: made.one('SecretAccessKey')! };
}

describe('users', () => {
  it('are made, read, changed and deleted', async () => {
    const made = await ok(alice, 'CreateUser', {
      UserName: 'ann',
      Path: '/eng/',
      'Tags.member.1.Key': 'team',
      'Tags.member.1.Value': 'a b',
    });
    assert.match(
      made.text,
      /^<\?xml version="1.0" encoding="UTF-8"\?>\s*<CreateUserResponse xmlns="https:\/\/iam\.amazonaws\.com\/doc\/2010-05-08\/"><CreateUserResult><User>/,
    );
    assert.match(made.one('UserId')!, /^AIDA[A-Z2-7]{17}$/);
    assert.equal(made.one('Arn'), 'arn:aws:iam::alice:user/eng/ann');
    assert.match(made.one('CreateDate')!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(made.one('RequestId'), made.headers.get('x-amzn-requestid'));
    const read = await ok(alice, 'GetUser', { UserName: 'ann' });
    assert.equal(read.one('UserId'), made.one('UserId'));
    assert.deepEqual([read.one('Key'), read.one('Value')], ['team', 'a b']);
    await ok(alice, 'TagUser', { UserName: 'ann', 'Tags.member.1.Key': 'x', 'Tags.member.1.Value': '' });
    await ok(alice, 'UntagUser', { UserName: 'ann', 'TagKeys.member.1': 'team' });
    assert.deepEqual((await ok(alice, 'ListUserTags', { UserName: 'ann' })).all('Key'), ['x']);
    await ok(alice, 'UpdateUser', { UserName: 'ann', NewUserName: 'anna', NewPath: '/' });
    assert.equal(
      (await ok(alice, 'GetUser', { UserName: 'anna' })).one('Arn'),
      'arn:aws:iam::alice:user/anna',
    );
    await ok(alice, 'DeleteUser', { UserName: 'anna' });
    const said = await refused([404, 'NoSuchEntity'], alice, 'GetUser', { UserName: 'anna' });
    assert.equal(said, 'The user with name anna cannot be found.');
  });

  it('are refused where AWS refuses them', async () => {
    await ok(alice, 'CreateUser', { UserName: 'dup' });
    const again = await refused([409, 'EntityAlreadyExists'], alice, 'CreateUser', { UserName: 'DUP' });
    assert.equal(again, 'User with name DUP already exists.');
    assert.equal((await ok(alice, 'GetUser', { UserName: 'DUP' })).one('UserName'), 'dup');
    const summary = await ok(alice, 'GetAccountSummary');
    assert.match(summary.text, /<entry><key>Users<\/key><value>\d+<\/value><\/entry>/);
    await refused([400, 'ValidationError'], alice, 'CreateUser', {});
    await refused([400, 'ValidationError'], alice, 'CreateUser', { UserName: 'a b' });
    await refused([400, 'ValidationError'], alice, 'CreateUser', { UserName: 'a'.repeat(65) });
    await refused([400, 'ValidationError'], alice, 'CreateUser', { UserName: 'x', Path: 'no' });
    await refused([501, 'NotImplemented'], alice, 'CreateUser', {
      UserName: 'x',
      PermissionsBoundary: 'arn:aws:iam::aws:policy/x',
    });
    await refused([404, 'NoSuchEntity'], front.keys.bob, 'GetUser', { UserName: 'dup' });
    await refused([501, 'InvalidAction'], alice, 'CreateGroup', { GroupName: 'g' });
    await refused([403, 'MissingAuthenticationToken'], null, 'ListUsers');
    await refused([403, 'InvalidClientTokenId'], { ...alice, accessKeyId: 'AKIANOBODY' }, 'ListUsers');
    await refused([403, 'SignatureDoesNotMatch'], { ...alice, secretAccessKey: 'x' }, 'ListUsers');
  });

  it('are listed page by page', async () => {
    for (const n of [3, 1, 2]) await ok(front.keys.bob, 'CreateUser', { UserName: `u${n}`, Path: '/p/' });
    const first = await ok(front.keys.bob, 'ListUsers', { MaxItems: '2', PathPrefix: '/p/' });
    assert.deepEqual(first.all('UserName'), ['u1', 'u2']);
    assert.equal(first.one('IsTruncated'), 'true');
    const second = await ok(front.keys.bob, 'ListUsers', { MaxItems: '2', Marker: first.one('Marker')! });
    assert.deepEqual([second.all('UserName'), second.one('IsTruncated')], [['u3'], 'false']);
    await refused([400, 'ValidationError'], alice, 'ListUsers', { MaxItems: '1001' });
    await refused([400, 'ValidationError'], alice, 'ListUsers', { Marker: '!' });
  });

  it('say nothing about groups, managed policies and devices, which are not there', async () => {
    await ok(alice, 'CreateUser', { UserName: 'lone' });
    for (const action of ['ListGroupsForUser', 'ListAttachedUserPolicies', 'ListMFADevices'])
      assert.equal((await ok(alice, action, { UserName: 'lone' })).one('IsTruncated'), 'false');
    await refused([404, 'NoSuchEntity'], alice, 'ListGroupsForUser', { UserName: 'nobody' });
    await refused([404, 'NoSuchEntity'], alice, 'DeleteLoginProfile', { UserName: 'lone' });
  });
});

describe('access keys of users', () => {
  it('sign as their user, until they are inactive or gone', async () => {
    const kim = await userWithKey('kim');
    const whoami = await ok(kim, 'GetCallerIdentity');
    assert.equal(whoami.one('Arn'), 'arn:aws:iam::alice:user/kim');
    assert.equal(whoami.one('Account'), 'alice');
    assert.ok(!front.logged().includes(kim.secretAccessKey));
    await ok(alice, 'CreateAccessKey', { UserName: 'kim' });
    await refused([409, 'LimitExceeded'], alice, 'CreateAccessKey', { UserName: 'kim' });
    const list = await ok(alice, 'ListAccessKeys', { UserName: 'kim' });
    assert.equal(list.all('AccessKeyId').length, 2);
    assert.ok(!list.text.includes('Secret'));
    assert.equal(
      (await ok(alice, 'GetAccessKeyLastUsed', { AccessKeyId: kim.accessKeyId })).one('ServiceName'),
      'N/A',
    );
    await refused([409, 'DeleteConflict'], alice, 'DeleteUser', { UserName: 'kim' });
    await ok(alice, 'UpdateAccessKey', { UserName: 'kim', AccessKeyId: kim.accessKeyId, Status: 'Inactive' });
    await refused([403, 'InvalidClientTokenId'], kim, 'GetCallerIdentity');
    await refused([404, 'NoSuchEntity'], alice, 'DeleteAccessKey', { AccessKeyId: kim.accessKeyId });
    for (const id of list.all('AccessKeyId'))
      await ok(alice, 'DeleteAccessKey', { UserName: 'kim', AccessKeyId: id });
    await ok(alice, 'DeleteUser', { UserName: 'kim' });
  });

  it('of an account are made and listed without a user name; the root key that signs stays', async () => {
    const made = await ok(front.keys.root, 'CreateAccessKey');
    assert.equal(made.one('UserName'), undefined);
    const second = { accessKeyId: made.one('AccessKeyId')!, secretAccessKey: made.one('SecretAccessKey')! };
    assert.equal((await ok(second, 'GetCallerIdentity')).one('Arn'), 'arn:aws:iam::root:root');
    await refused([400, 'UnmodifiableEntity'], second, 'DeleteAccessKey', {
      AccessKeyId: second.accessKeyId,
    });
    await ok(front.keys.root, 'DeleteAccessKey', { AccessKeyId: second.accessKeyId });
  });
});

describe('what users may do', () => {
  it('is what their policies allow, in IAM', async () => {
    const sam = await userWithKey(
      'sam',
      allow('iam:*AccessKey*', `arn:aws:iam::alice:user/${'$'}{aws:username}`),
    );
    const own = await ok(sam, 'CreateAccessKey');
    assert.equal(own.one('UserName'), 'sam');
    await ok(sam, 'ListAccessKeys', { UserName: 'sam' });
    const said = await refused([403, 'AccessDenied'], sam, 'CreateAccessKey', { UserName: 'dup' });
    assert.equal(
      said,
      'User: arn:aws:iam::alice:user/sam is not authorized to perform: iam:CreateAccessKey on resource: arn:aws:iam::alice:user/dup because no identity-based policy allows the iam:CreateAccessKey action',
    );
    await refused([403, 'AccessDenied'], sam, 'CreateUser', { UserName: 'evil' });
    await refused([403, 'AccessDenied'], sam, 'PutUserPolicy', {
      UserName: 'sam',
      PolicyName: 'p',
      PolicyDocument: policyOf(allow('*', '*')),
    });
    await refused([403, 'AccessDenied'], sam, 'GetUser', { UserName: 'nobody-knows' });
    await ok(alice, 'PutUserPolicy', {
      UserName: 'sam',
      PolicyName: 'q',
      PolicyDocument: policyOf(allow('iam:*', '*'), {
        Effect: 'Deny',
        Action: 'iam:DeleteUser',
        Resource: '*',
      }),
    });
    assert.match(
      await refused([403, 'AccessDenied'], sam, 'DeleteUser', { UserName: 'dup' }),
      /with an explicit deny/,
    );
  });

  it('is what their policies allow, in S3, also of the root account', async () => {
    assert.equal((await front.s3(alice, 'PUT', '/mine')).status, 200);
    assert.equal((await front.s3(alice, 'PUT', '/mine/in/k', 'x')).status, 200);
    const reader = await userWithKey('reader', allow('s3:GetObject', 'arn:aws:s3:::mine/in/*'));
    assert.equal((await front.s3(reader, 'GET', '/mine/in/k')).status, 200);
    assert.equal((await front.s3(reader, 'PUT', '/mine/in/k', 'y')).status, 403);
    assert.equal((await front.s3(reader, 'GET', '/mine')).status, 403);
    await ok(front.keys.root, 'CreateUser', { UserName: 'helper' });
    const made = await ok(front.keys.root, 'CreateAccessKey', { UserName: 'helper' });
    const helper = { accessKeyId: made.one('AccessKeyId')!, secretAccessKey: made.one('SecretAccessKey')! };
    assert.equal((await front.s3(helper, 'GET', '/mine/in/k')).status, 403);
    assert.equal((await front.s3(helper, 'GET', '/')).status, 403);
    await refused([403, 'AccessDenied'], helper, 'ListUsers');
  });
});

describe('inline policies', () => {
  it('are put, read, listed and deleted', async () => {
    await ok(alice, 'CreateUser', { UserName: 'pol' });
    const PolicyDocument = policyOf(
      allow('s3:Get*', 'arn:aws:s3:::b/*', { Condition: { StringLike: { 's3:prefix': 'é&<*' } } }),
    );
    for (const PolicyName of ['two', 'one'])
      await ok(alice, 'PutUserPolicy', { UserName: 'pol', PolicyName, PolicyDocument });
    const read = await ok(alice, 'GetUserPolicy', { UserName: 'pol', PolicyName: 'one' });
    assert.equal(decodeURIComponent(read.one('PolicyDocument')!), PolicyDocument);
    const list = await ok(alice, 'ListUserPolicies', { UserName: 'pol', MaxItems: '1' });
    assert.deepEqual(list.all('member'), ['one']);
    const more = await ok(alice, 'ListUserPolicies', { UserName: 'pol', Marker: list.one('Marker')! });
    assert.deepEqual(more.all('member'), ['two']);
    await refused([409, 'DeleteConflict'], alice, 'DeleteUser', { UserName: 'pol' });
    for (const PolicyName of ['one', 'two'])
      await ok(alice, 'DeleteUserPolicy', { UserName: 'pol', PolicyName });
    const gone = await refused([404, 'NoSuchEntity'], alice, 'GetUserPolicy', {
      UserName: 'pol',
      PolicyName: 'one',
    });
    assert.equal(gone, 'The user policy with name one cannot be found.');
    await ok(alice, 'DeleteUser', { UserName: 'pol' });
  });

  it('that are no policies, or too large, are refused', async () => {
    await ok(alice, 'CreateUser', { UserName: 'big' });
    const put = (PolicyDocument: string) => ({ UserName: 'big', PolicyName: 'p', PolicyDocument });
    for (const text of [
      '{',
      '{}',
      policyOf({ Effect: 'Allow', Action: 's3:*' }),
      policyOf({ ...allow('s3:*', '*'), Principal: '*' }),
    ])
      await refused([400, 'MalformedPolicyDocument'], alice, 'PutUserPolicy', put(text));
    const many = Array.from({ length: 200 }, (_, i) => `arn:aws:s3:::b${i}`);
    const said = await refused(
      [409, 'LimitExceeded'],
      alice,
      'PutUserPolicy',
      put(policyOf(allow('s3:*', many))),
    );
    assert.equal(said, 'Maximum policy size of 2048 bytes exceeded for user big');
  });
});
