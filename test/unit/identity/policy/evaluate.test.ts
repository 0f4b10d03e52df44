/** Who is meant, what is asked, and every operator of conditions: a table for each. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluate } from '../../../../src/identity/policy/evaluate.ts';
import { isPublic } from '../../../../src/identity/policy/public.ts';
import type { Principal } from '../../../../src/identity/types.ts';
import { ANYBODY, account, ask, bucketPolicy, identity, type Json, policyOf, statement } from './kit.ts';

const ANN = identity('acme', 'arn:aws:iam::acme:user/staff/ann');
const SESSION = identity('acme', 'arn:aws:sts::acme:assumed-role/reader/s1');

describe('a principal', () => {
  const cases: [unknown, Principal, 'direct' | 'account' | 'no'][] = [
    ['*', ANYBODY, 'direct'],
    [{ AWS: '*' }, ANYBODY, 'direct'],
    [{ AWS: 'acme' }, ANYBODY, 'no'],
    [{ AWS: 'acme' }, account('acme'), 'direct'],
    [{ AWS: 'arn:aws:iam::acme:root' }, account('acme'), 'direct'],
    [{ AWS: 'arn:aws:iam::acme:root' }, ANN, 'account'],
    [{ AWS: 'arn:aws:iam::acme:root' }, account('bob'), 'no'],
    [{ CanonicalUser: 'acme' }, account('acme'), 'direct'],
    [{ AWS: 'arn:aws:iam::acme:user/staff/ann' }, ANN, 'direct'],
    [{ AWS: ['acme', 'arn:aws:iam::acme:user/staff/ann'] }, ANN, 'direct'],
    [{ AWS: 'arn:aws:iam::acme:user/ann' }, ANN, 'no'],
    [{ AWS: 'arn:aws:iam::acme:user/staff/ann' }, account('acme'), 'no'],
    [{ AWS: 'arn:aws:iam:::user/acme' }, account('acme'), 'direct'],
    [{ AWS: 'arn:aws:iam:::user/acme' }, ANN, 'account'],
    [{ AWS: 'arn:aws:iam::t1:user/acme' }, account('acme', 't1'), 'direct'],
    [{ AWS: 'arn:aws:iam::t1:user/acme' }, account('t1$acme'), 'direct'],
    [{ AWS: 'arn:aws:iam::t2:user/acme' }, account('acme', 't1'), 'no'],
    [{ AWS: 'arn:aws:iam::acme:role/path/reader' }, SESSION, 'direct'],
    [{ AWS: 'arn:aws:iam::acme:role/read' }, SESSION, 'no'],
    [{ AWS: 'arn:aws:sts::acme:assumed-role/reader/s1' }, SESSION, 'direct'],
    [{ AWS: 'arn:aws:sts::acme:assumed-role/reader/s2' }, SESSION, 'no'],
    [{ Service: 's3.amazonaws.com' }, account('acme'), 'no'],
  ];
  for (const [named, who, expected] of cases)
    it(`${JSON.stringify(named)} is ${expected} for ${JSON.stringify(who).slice(0, 200)}`, () => {
      const found = ask(bucketPolicy(statement({ Principal: named })), { principal: who });
      assert.deepEqual(
        [found.effect, found.direct],
        [expected === 'no' ? 'none' : 'allow', expected === 'direct'],
      );
    });

  it('that is not named is denied by NotPrincipal', () => {
    const { Principal: _, ...rest } = statement({ Effect: 'Deny' });
    const policy = bucketPolicy({ ...rest, NotPrincipal: { AWS: 'acme' } });
    assert.equal(ask(policy, { principal: account('bob') }).effect, 'deny');
    assert.equal(ask(policy, { principal: ANYBODY }).effect, 'deny');
    assert.equal(ask(policy, { principal: account('acme') }).effect, 'none');
    assert.equal(ask(policy, { principal: ANN }).effect, 'none');
  });
});

describe('actions and resources', () => {
  const cases: [Json, string, string, boolean][] = [
    [{ Action: 's3:Get*' }, 's3:GetObjectAcl', 'cat.jpg', true],
    [{ Action: 'S3:getobject' }, 's3:GetObject', 'cat.jpg', true],
    [{ Action: 's3:GetObject' }, 's3:GetObjectAcl', 'cat.jpg', false],
    [{ Action: 's3:?etObject' }, 's3:GetObject', 'cat.jpg', true],
    [{ Action: '*' }, 's3:DeleteObject', 'cat.jpg', true],
    [{ Resource: 'arn:aws:s3:::pictures/a/*' }, 's3:GetObject', 'a/b/c', true],
    [{ Resource: 'arn:aws:s3:::pictures/a/*' }, 's3:GetObject', 'A/b', false],
    [{ Resource: 'arn:aws:s3:::pictures/?.jpg' }, 's3:GetObject', '😀.jpg', true],
    [{ Resource: 'arn:aws:s3:::pictures/?.jpg' }, 's3:GetObject', 'ab.jpg', false],
    [{ Resource: 'arn:aws:s3:::pictures/*.jpg' }, 's3:GetObject', 'a\nb.jpg', true],
    [{ Resource: 'arn:aws:s3:::pictures/*a*b*c' }, 's3:GetObject', 'xaxbxbxc', true],
    [{ Resource: 'arn:aws:s3:::pictures/*a*b*c' }, 's3:GetObject', 'xaxcxbx', false],
  ];
  for (const [changes, action, key, expected] of cases)
    it(`${JSON.stringify(changes)} ${expected ? 'covers' : 'does not cover'} ${action} of ${JSON.stringify(key)}`, () => {
      const { effect } = ask(bucketPolicy(statement(changes)), {
        action,
        resource: `arn:aws:s3:::pictures/${key}`,
      });
      assert.equal(effect, expected ? 'allow' : 'none');
    });

  it('NotAction and NotResource are all others', () => {
    const { Action: _a, Resource: _r, ...rest } = statement();
    const others = bucketPolicy({
      ...rest,
      NotAction: 's3:Put*',
      NotResource: 'arn:aws:s3:::pictures/secret/*',
    });
    assert.equal(ask(others).effect, 'allow');
    assert.equal(ask(others, { action: 's3:PutObject' }).effect, 'none');
    assert.equal(ask(others, { resource: 'arn:aws:s3:::pictures/secret/a' }).effect, 'none');
  });

  it('a denial wins, whichever document and place it stands in', () => {
    const yes = bucketPolicy(statement());
    const no = policyOf('identity', statement({ Effect: 'Deny', Action: 's3:*' }));
    const request = {
      principal: account('bob'),
      action: 's3:GetObject',
      resource: 'arn:aws:s3:::pictures/a',
      context: new Map(),
    };
    assert.equal(evaluate([yes, no], request), 'deny');
    assert.equal(evaluate([no, yes], request), 'deny');
    assert.equal(evaluate([], request), 'none');
    assert.equal(
      ask(bucketPolicy(statement({ Sid: 'one' }), statement({ Sid: 'two', Effect: 'Deny' }))).statement,
      'two',
    );
  });
});

describe('variables', () => {
  const home = (resource: string, version = '2012-10-17'): ReturnType<typeof bucketPolicy> => ({
    ...bucketPolicy(statement({ Resource: resource })),
    version: version as '2012-10-17',
  });
  const at = (policy: ReturnType<typeof bucketPolicy>, key: string, name?: string) =>
    ask(policy, {
      resource: `arn:aws:s3:::pictures/${key}`,
      context: name === undefined ? {} : { 'aws:username': name },
    }).effect;
  it('stand for the value of the request', () => {
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username}/*`), 'ann/a', 'ann'), 'allow');
    assert.equal(at(home(`arn:aws:s3:::pictures/\${AWS:UserName}/*`), 'bob/a', 'ann'), 'none');
  });
  it('without a value match nothing, or their default', () => {
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username}*`), 'a'), 'none');
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username, 'guest'}/*`), 'guest/a'), 'allow');
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username, 'guest'}/*`), 'guest/a', 'ann'), 'none');
  });
  it('hold wildcards that are only characters', () => {
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username}/*`), 'bob/a', '*'), 'none');
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username}/*`), '*/a', '*'), 'allow');
    assert.equal(at(home(`arn:aws:s3:::pictures/a\${*}\${?}\${$}`), 'a*?$'), 'allow');
    assert.equal(at(home(`arn:aws:s3:::pictures/a\${*}`), 'ab'), 'none');
  });
  it('of several values match nothing', () => {
    const policy = home(`arn:aws:s3:::pictures/\${s3:RequestObjectTagKeys}`);
    assert.equal(
      ask(policy, { resource: 'arn:aws:s3:::pictures/a', context: { 's3:RequestObjectTagKeys': ['a', 'b'] } })
        .effect,
      'none',
    );
  });
  it('are no variables in the older version', () => {
    assert.equal(at(home(`arn:aws:s3:::pictures/\${aws:username}`, '2008-10-17'), 'ann', 'ann'), 'none');
    assert.equal(
      at(home(`arn:aws:s3:::pictures/\${aws:username}`, '2008-10-17'), `\${aws:username}`, 'ann'),
      'allow',
    );
  });
});

/** [operator, wanted, the request's value (null: the key is not there), holds] */
const CONDITIONS: [string, unknown, string | readonly string[] | null, boolean][] = [
  ['StringEquals', 'a', 'a', true],
  ['StringEquals', ['a', 'b'], 'b', true],
  ['StringEquals', 'a', 'A', false],
  ['StringEquals', 'a*', 'ab', false],
  ['StringEquals', 'a', null, false],
  ['StringEquals', 'a', ['x', 'a'], true],
  ['StringEquals', `\${aws:username}`, 'ann', true],
  ['StringNotEquals', 'a', 'b', true],
  ['StringNotEquals', ['a', 'b'], 'b', false],
  ['StringNotEquals', 'a', null, true],
  ['StringNotEquals', 'a', ['x', 'a'], false],
  ['StringEqualsIgnoreCase', 'a', 'A', true],
  ['StringNotEqualsIgnoreCase', 'a', 'A', false],
  ['StringLike', 'http://*.example.com/?', 'http://www.example.com/x', true],
  ['StringLike', 'a?', 'a', false],
  ['StringNotLike', 'a*', 'b', true],
  ['StringNotLike', 'a*', 'ab', false],
  ['StringEqualsIfExists', 'a', null, true],
  ['StringEqualsIfExists', 'a', 'b', false],
  ['StringNotEqualsIfExists', 'a', 'a', false],
  ['NumericEquals', 10, '10.0', true],
  ['NumericEquals', 10, 'ten', false],
  ['NumericNotEquals', 10, '11', true],
  ['NumericLessThan', '10', '9', true],
  ['NumericLessThan', '10', '10', false],
  ['NumericLessThanEquals', '10', '10', true],
  ['NumericGreaterThan', '10', '9', false],
  ['NumericGreaterThanEquals', '10', '10', true],
  ['NumericGreaterThanEquals', '10', null, false],
  ['DateEquals', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', true],
  ['DateEquals', '2026-01-01T00:00:00Z', '1767225600', true],
  ['DateNotEquals', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', true],
  ['DateLessThan', '2026-01-01', '2025-12-31T23:59:59Z', true],
  ['DateLessThanEquals', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', false],
  ['DateGreaterThan', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', true],
  ['DateGreaterThanEquals', '2026-01-01T00:00:00Z', 'never', false],
  ['Bool', 'true', 'true', true],
  ['Bool', false, 'true', false],
  ['Bool', 'false', null, false],
  ['BoolIfExists', 'false', null, true],
  ['BinaryEquals', 'QmluYXJ5', 'QmluYXJ5', true],
  ['BinaryEquals', 'QmluYXJ5', 'QmluYXJz', false],
  ['IpAddress', '203.0.113.0/24', '203.0.113.7', true],
  ['IpAddress', '203.0.113.0/24', '203.0.114.7', false],
  ['IpAddress', '203.0.113.7', '203.0.113.7', true],
  ['IpAddress', ['10.0.0.0/8', '2001:db8::/32'], '2001:db8::1', true],
  ['IpAddress', '2001:db8::/32', '10.0.0.1', false],
  ['IpAddress', '10.0.0.0/8', '::ffff:10.1.2.3', true],
  ['NotIpAddress', '203.0.113.0/24', '203.0.113.7', false],
  ['NotIpAddress', '203.0.113.0/24', null, true],
  ['ArnEquals', 'arn:aws:iam::acme:user/*', 'arn:aws:iam::acme:user/staff/ann', true],
  ['ArnLike', 'arn:aws:*:*:acme:user/ann', 'arn:aws:iam::acme:user/ann', true],
  ['ArnLike', 'arn:aws:iam:*:user/ann', 'arn:aws:iam::acme:user/ann', false],
  ['ArnLike', `arn:aws:iam::acme:user/\${aws:username}`, 'arn:aws:iam::acme:user/ann', true],
  ['ArnLike', '*', 'arn:aws:iam::acme:user/ann', false],
  ['ArnNotEquals', 'arn:aws:iam::acme:user/*', 'arn:aws:iam::acme:role/r', true],
  ['ArnNotLike', 'arn:aws:iam::acme:user/*', null, true],
  ['Null', 'true', null, true],
  ['Null', 'true', 'a', false],
  ['Null', 'false', 'a', true],
  ['Null', 'false', null, false],
  ['Null', 'true', [], true],
  ['ForAnyValue:StringEquals', ['a', 'b'], ['x', 'b'], true],
  ['ForAnyValue:StringEquals', 'a', ['x', 'y'], false],
  ['ForAnyValue:StringEquals', 'a', null, false],
  ['ForAnyValue:StringNotEquals', 'a', ['a', 'x'], true],
  ['ForAnyValue:StringNotEquals', 'a', ['a', 'a'], false],
  ['ForAnyValue:StringNotEquals', 'a', null, false],
  ['ForAnyValue:StringEqualsIfExists', 'a', null, true],
  ['ForAllValues:StringLike', ['a*', 'b*'], ['ab', 'ba'], true],
  ['ForAllValues:StringLike', ['a*', 'b*'], ['ab', 'c'], false],
  ['ForAllValues:StringLike', 'a', null, true],
  ['ForAllValues:StringNotEquals', 'a', ['b', 'c'], true],
  ['ForAllValues:StringNotEquals', 'a', ['b', 'a'], false],
];

describe('conditions', () => {
  for (const [operator, wanted, value, expected] of CONDITIONS)
    it(`${operator} ${JSON.stringify(wanted)} ${expected ? 'holds' : 'fails'} for ${JSON.stringify(value)}`, () => {
      const policy = bucketPolicy(statement({ Condition: { [operator]: { 'aws:PrincipalTag/x': wanted } } }));
      const context = { 'aws:username': 'ann', ...(value !== null && { 'aws:PrincipalTag/x': value }) };
      assert.equal(ask(policy, { context }).effect, expected ? 'allow' : 'none');
    });

  it('must all hold', () => {
    const policy = bucketPolicy(
      statement({
        Condition: {
          StringEquals: { 's3:prefix': 'a', 's3:delimiter': '/' },
          NumericLessThan: { 's3:max-keys': 10 },
        },
      }),
    );
    const all = { 's3:prefix': 'a', 's3:delimiter': '/', 's3:max-keys': '9' };
    assert.equal(ask(policy, { context: all }).effect, 'allow');
    for (const key of Object.keys(all))
      assert.equal(ask(policy, { context: { ...all, [key]: '50' } }).effect, 'none');
  });
});

describe('a policy is public', () => {
  const cases: [Json, boolean][] = [
    [{}, true],
    [{ Principal: { AWS: '*' } }, true],
    [{ Principal: { AWS: 'arn:aws:iam::acme:root' } }, false],
    [{ Effect: 'Deny' }, false],
    [{ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/32' } } }, false],
    [{ Condition: { IpAddress: { 'aws:SourceIp': ['10.0.0.0/32', '0.0.0.0/1'] } } }, true],
    [{ Condition: { IpAddress: { 'aws:SourceIp': '::/0' } } }, true],
    [{ Condition: { NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }, true],
    [{ Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } } }, false],
    [{ Condition: { StringLike: { 'aws:PrincipalOrgID': 'o-*' } } }, true],
    [{ Condition: { StringEquals: { 'aws:SourceVpc': `\${aws:username}` } } }, true],
    [{ Condition: { StringEqualsIfExists: { 'aws:SourceVpc': 'vpc-1' } } }, true],
    [{ Condition: { StringLike: { 'aws:Referer': 'https://example.com/*' } } }, true],
  ];
  for (const [changes, expected] of cases)
    it(`${expected} for ${JSON.stringify(changes)}`, () =>
      assert.equal(isPublic(bucketPolicy(statement(changes))), expected));
});
