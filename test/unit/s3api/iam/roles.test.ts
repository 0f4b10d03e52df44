/** Roles and the sessions of roles, with real signatures over the model catalog and a clock of the test's own. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../../../src/base/clock.ts';
import type { Credentials } from '../../../../src/identity/sign.ts';
import { type Answer, type SignedFront, startSignedFront } from '../../../model/signed-front.ts';

let front: SignedFront;
let alice: Credentials;
let aheadMs = 0;
before(async () => {
  front = await startSignedFront({ ...systemClock, now: () => systemClock.now() + aheadMs });
  alice = front.keys.alice;
  for (const [path, body] of [['/data'], ['/data/a', 'a'], ['/data/b', 'b']] as const)
    assert.equal((await front.s3(alice, 'PUT', path, body)).status, 200);
});
after(() => front.close());

async function ok(who: Credentials, action: string, parameters?: Record<string, string>): Promise<Answer> {
  const answer = await front.query(who, action, parameters);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}
async function refused(
  [status, code]: readonly [number, string],
  who: Credentials,
  action: string,
  parameters?: Record<string, string>,
): Promise<string> {
  const answer = await front.query(who, action, parameters);
  assert.deepEqual([answer.status, answer.one('Code')], [status, code], answer.text);
  return answer.one('Message')!;
}
const policyOf = (...statements: object[]) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const trusting = (AWS: string | string[], more: object = {}) =>
  policyOf({ Effect: 'Allow', Principal: { AWS }, Action: 'sts:AssumeRole', ...more });
const READS = policyOf({ Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::data/*' });
const arnOf = (role: string) => `arn:aws:iam::alice:role/${role}`;

async function role(RoleName: string, AssumeRolePolicyDocument: string, more: Record<string, string> = {}) {
  await ok(alice, 'CreateRole', { RoleName, AssumeRolePolicyDocument, ...more });
  await ok(alice, 'PutRolePolicy', { RoleName, PolicyName: 'reads', PolicyDocument: READS });
}
async function user(UserName: string, policy?: string): Promise<Credentials> {
  await ok(alice, 'CreateUser', { UserName });
  if (policy) await ok(alice, 'PutUserPolicy', { UserName, PolicyName: 'p', PolicyDocument: policy });
  const made = await ok(alice, 'CreateAccessKey', { UserName });
  return { accessKeyId: made.one('AccessKeyId')!, secretAccessKey: made.one('SecretAccessKey')! };
}
const asked = (roleName: string, more: Record<string, string> = {}) => ({
  ...{ RoleArn: arnOf(roleName), RoleSessionName: 'me@host', ...more },
});
const credentialsOf = (answer: Answer): Credentials => ({
  accessKeyId: answer.one('AccessKeyId')!,
  secretAccessKey: answer.one('SecretAccessKey')!,
  sessionToken: answer.one('SessionToken')!,
});
const assume = async (who: Credentials, roleName: string, more?: Record<string, string>) =>
  credentialsOf(await ok(who, 'AssumeRole', asked(roleName, more)));
const statusOf = async (who: Credentials, method: string, path: string) =>
  (await front.s3(who, method, path, method === 'PUT' ? 'x' : undefined)).status;

describe('roles', () => {
  it('are made, read, listed, changed and deleted', async () => {
    const AssumeRolePolicyDocument = trusting('arn:aws:iam::alice:root');
    const made = await ok(alice, 'CreateRole', {
      ...{ RoleName: 'ops', Path: '/team/', Description: 'of the team', MaxSessionDuration: '7200' },
      AssumeRolePolicyDocument,
    });
    assert.match(made.one('RoleId')!, /^AROA[A-Z2-7]{17}$/);
    assert.equal(made.one('Arn'), 'arn:aws:iam::alice:role/team/ops');
    const read = await ok(alice, 'GetRole', { RoleName: 'ops' });
    assert.equal(decodeURIComponent(read.one('AssumeRolePolicyDocument')!), AssumeRolePolicyDocument);
    assert.deepEqual([read.one('Description'), read.one('MaxSessionDuration')], ['of the team', '7200']);
    const other = trusting('arn:aws:iam::bob:root');
    await ok(alice, 'UpdateAssumeRolePolicy', { RoleName: 'ops', PolicyDocument: other });
    await ok(alice, 'UpdateRole', { RoleName: 'ops', Description: '' });
    const now = await ok(alice, 'GetRole', { RoleName: 'ops' });
    assert.equal(decodeURIComponent(now.one('AssumeRolePolicyDocument')!), other);
    assert.ok((await ok(alice, 'ListRoles', { PathPrefix: '/team/' })).all('RoleName').includes('ops'));
    await ok(alice, 'PutRolePolicy', { RoleName: 'ops', PolicyName: 'x', PolicyDocument: READS });
    assert.deepEqual((await ok(alice, 'ListRolePolicies', { RoleName: 'ops' })).all('member'), ['x']);
    await refused([409, 'DeleteConflict'], alice, 'DeleteRole', { RoleName: 'ops' });
    await ok(alice, 'DeleteRolePolicy', { RoleName: 'ops', PolicyName: 'x' });
    for (const action of ['ListInstanceProfilesForRole', 'ListAttachedRolePolicies', 'ListRoleTags'])
      assert.equal((await ok(alice, action, { RoleName: 'ops' })).one('IsTruncated'), 'false');
    await ok(alice, 'DeleteRole', { RoleName: 'ops' });
    await refused([404, 'NoSuchEntity'], alice, 'GetRole', { RoleName: 'ops' });
  });

  it('with a trust policy that is none, or too large, are refused', async () => {
    const create = (AssumeRolePolicyDocument: string) => ({ RoleName: 'bad', AssumeRolePolicyDocument });
    for (const text of ['{', READS, policyOf({ Effect: 'Allow', Action: 'sts:AssumeRole' })])
      await refused([400, 'MalformedPolicyDocument'], alice, 'CreateRole', create(text));
    const many = Array.from({ length: 100 }, (_, i) => `arn:aws:iam::alice:user/u${i}`);
    const said = await refused([409, 'LimitExceeded'], alice, 'CreateRole', create(trusting(many)));
    assert.equal(said, 'Cannot exceed quota for ACLSizePerRole: 2048');
  });
});

describe('a session of a role', () => {
  it('may do what its role may, and its own policy takes away', async () => {
    await role('reader', trusting('arn:aws:iam::alice:root'));
    const answer = await ok(alice, 'AssumeRole', asked('reader'));
    assert.equal(answer.one('Arn'), 'arn:aws:sts::alice:assumed-role/reader/me@host');
    assert.match(answer.one('AssumedRoleId')!, /^AROA[A-Z2-7]{17}:me@host$/);
    const session = credentialsOf(answer);
    assert.equal((await ok(session, 'GetCallerIdentity')).one('Arn'), answer.one('Arn'));
    assert.deepEqual(
      [await statusOf(session, 'GET', '/data/a'), await statusOf(session, 'PUT', '/data/a')],
      [200, 403],
    );
    const Policy = policyOf({ Effect: 'Allow', Action: 's3:*', Resource: 'arn:aws:s3:::data/b' });
    const narrow = await assume(alice, 'reader', { Policy });
    assert.deepEqual(
      [
        await statusOf(narrow, 'GET', '/data/b'),
        await statusOf(narrow, 'GET', '/data/a'),
        await statusOf(narrow, 'PUT', '/data/b'),
      ],
      [200, 403, 403],
    );
    await refused([403, 'AccessDenied'], session, 'ListUsers');
    await refused([403, 'AccessDenied'], session, 'GetSessionToken');
    assert.ok(!front.logged().includes(session.secretAccessKey));
    assert.ok(!front.logged().includes(session.sessionToken!));
  });

  it('is had by whom the trust policy names, or to whom his account allows it', async () => {
    const sts = policyOf({ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: arnOf('*') });
    const named = await user('named');
    const allowed = await user('allowed', sts);
    const forbidden = await user('forbidden', policyOf({ Effect: 'Deny', Action: 'sts:*', Resource: '*' }));
    await role('by-account', trusting('arn:aws:iam::alice:root'));
    await role('by-name', trusting(['arn:aws:iam::alice:user/named', 'arn:aws:iam::alice:user/forbidden']));
    await role('of-bob', trusting('arn:aws:iam::bob:root'));
    await assume(allowed, 'by-account');
    await assume(named, 'by-name');
    await assume(front.keys.bob, 'of-bob');
    const denied = [403, 'AccessDenied'] as const;
    const said = await refused(denied, named, 'AssumeRole', asked('by-account'));
    assert.match(
      said,
      /^User: arn:aws:iam::alice:user\/named is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::alice:role\/by-account/,
    );
    await refused(denied, allowed, 'AssumeRole', asked('by-name'));
    await refused(denied, forbidden, 'AssumeRole', asked('by-name'));
    await refused(denied, front.keys.bob, 'AssumeRole', asked('by-account'));
    await refused(denied, alice, 'AssumeRole', asked('of-bob'));
    await refused(denied, alice, 'AssumeRole', asked('no-such-role'));
    await refused([400, 'ValidationError'], alice, 'AssumeRole', {
      ...asked('x'),
      RoleArn: 'arn:aws:iam::alice:user/named',
    });
  });

  it('needs the external id that the trust policy asks for', async () => {
    const Condition = { StringEquals: { 'sts:ExternalId': 'seven' } };
    await role('external', trusting('arn:aws:iam::bob:root', { Condition }));
    await refused([403, 'AccessDenied'], front.keys.bob, 'AssumeRole', asked('external'));
    await refused(
      [403, 'AccessDenied'],
      front.keys.bob,
      'AssumeRole',
      asked('external', { ExternalId: 'eight' }),
    );
    await assume(front.keys.bob, 'external', { ExternalId: 'seven' });
  });

  it('ends on time, and with its role', async () => {
    await role('short', trusting('arn:aws:iam::alice:root'), { MaxSessionDuration: '3600' });
    const session = await assume(alice, 'short', { DurationSeconds: '900' });
    aheadMs += 901_000;
    const late = await front.s3(session, 'GET', '/data/a');
    assert.deepEqual([late.status, late.one('Code')], [400, 'ExpiredToken']);
    await refused([403, 'ExpiredToken'], session, 'GetCallerIdentity');
    const second = await assume(alice, 'short');
    assert.equal(await statusOf(second, 'GET', '/data/a'), 200);
    await ok(alice, 'DeleteRolePolicy', { RoleName: 'short', PolicyName: 'reads' });
    assert.equal(await statusOf(second, 'GET', '/data/a'), 403);
    await ok(alice, 'DeleteRole', { RoleName: 'short' });
    assert.equal((await front.s3(second, 'GET', '/data/a')).one('Code'), 'InvalidAccessKeyId');
    const { sessionToken, ...bare } = second;
    assert.equal((await front.s3(bare, 'GET', '/data/a')).one('Code'), 'InvalidAccessKeyId');
    const forged = { ...second, sessionToken: `B${sessionToken!.slice(1)}` };
    assert.equal((await front.s3(forged, 'GET', '/data/a')).one('Code'), 'InvalidToken');
  });

  it('lasts no longer than the role allows', async () => {
    await role('long', trusting(['arn:aws:iam::alice:root', arnOf('long')]), { MaxSessionDuration: '7200' });
    const self = policyOf({ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: arnOf('long') });
    await ok(alice, 'PutRolePolicy', { RoleName: 'long', PolicyName: 'self', PolicyDocument: self });
    const invalid = [400, 'ValidationError'] as const;
    for (const DurationSeconds of ['899', '7201', '43201', 'x9'])
      await refused(
        DurationSeconds === 'x9' ? [400, 'MalformedInput'] : invalid,
        alice,
        'AssumeRole',
        asked('long', { DurationSeconds }),
      );
    const session = await assume(alice, 'long', { DurationSeconds: '7200' });
    await refused(invalid, session, 'AssumeRole', asked('long', { DurationSeconds: '7200' }));
    await assume(session, 'long');
    await refused(invalid, alice, 'AssumeRole', asked('long', { Policy: 'x'.repeat(2049) }));
    await refused([400, 'MalformedPolicyDocument'], alice, 'AssumeRole', asked('long', { Policy: '{}' }));
    await refused(
      [501, 'NotImplemented'],
      alice,
      'AssumeRole',
      asked('long', { SerialNumber: 'mfa', TokenCode: '1' }),
    );
  });
});

describe('a session token of one’s own', () => {
  it('is oneself, until the key is inactive', async () => {
    const lee = await user('lee', READS);
    const session = credentialsOf(await ok(lee, 'GetSessionToken', { DurationSeconds: '900' }));
    assert.equal((await ok(session, 'GetCallerIdentity')).one('Arn'), 'arn:aws:iam::alice:user/lee');
    assert.equal(await statusOf(session, 'GET', '/data/a'), 200);
    await refused([403, 'AccessDenied'], session, 'GetSessionToken');
    const off = { UserName: 'lee', AccessKeyId: lee.accessKeyId, Status: 'Inactive' };
    await ok(alice, 'UpdateAccessKey', off);
    assert.equal(await statusOf(session, 'GET', '/data/a'), 403);
  });
});
