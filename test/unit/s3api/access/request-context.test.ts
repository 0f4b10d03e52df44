/** What requests say to conditions: the names and values that AWS documents for each key. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Principal } from '../../../../src/identity/types.ts';
import { type RequestFacts, requestContext } from '../../../../src/s3api/access/request-context.ts';
import { ANYBODY, account, identity } from '../../identity/policy/kit.ts';

const NOW = Date.UTC(2026, 0, 1);
const FACTS: RequestFacts = {
  operation: 'GetObject',
  headers: {},
  query: new Map(),
  authenticated: { presigned: false },
  origin: { ip: '203.0.113.7', secure: true, tlsVersion: '1.3', scheme: 'https', host: 'h', hosts: [] },
  now: NOW,
  region: 'us-east-1',
};
const of = (
  facts: Partial<RequestFacts>,
  principal: Principal = account('acme'),
): Record<string, string | undefined> =>
  Object.fromEntries(
    [...requestContext({ ...FACTS, ...facts }, principal, null)].map(([key, values]) => [
      key,
      values.join('|'),
    ]),
  );
const query = (text: string): ReadonlyMap<string, string> => new Map(new URLSearchParams(text));

describe('the context of a request', () => {
  const cases: [string, Partial<RequestFacts>, Record<string, string | undefined>][] = [
    [
      'where it came from',
      {},
      { 'aws:sourceip': '203.0.113.7', 'aws:securetransport': 'true', 's3:tlsversion': '1.3' },
    ],
    ['when', {}, { 'aws:currenttime': '2026-01-01T00:00:00.000Z', 'aws:epochtime': '1767225600' }],
    [
      'a signature in the head',
      { authenticated: { presigned: false, signedAt: NOW - 5_000 } },
      { 's3:authtype': 'REST-HEADER', 's3:signatureversion': 'AWS4-HMAC-SHA256', 's3:signatureage': '5000' },
    ],
    [
      'a signature in the query',
      { authenticated: { presigned: true, signedAt: NOW } },
      { 's3:authtype': 'REST-QUERY-STRING', 's3:signatureage': '0' },
    ],
    [
      'a signature in a form',
      { form: true, authenticated: { presigned: false, signedAt: NOW } },
      { 's3:authtype': 'POST' },
    ],
    ['no signature', {}, { 's3:authtype': undefined, 's3:signatureage': undefined }],
    [
      'a listing',
      { operation: 'ListObjectsV2', query: query('prefix=a/&delimiter=/&max-keys=5') },
      { 's3:prefix': 'a/', 's3:delimiter': '/', 's3:max-keys': '5' },
    ],
    [
      'what is no listing',
      { query: query('prefix=a/&versionId=v1') },
      { 's3:prefix': undefined, 's3:versionid': 'v1' },
    ],
    [
      'headers',
      {
        headers: {
          'x-amz-acl': 'public-read',
          'x-amz-grant-read': 'id=1',
          'x-amz-storage-class': 'STANDARD_IA',
          'x-amz-server-side-encryption': 'aws:kms',
          'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
          'if-none-match': '*',
          'user-agent': 'me',
          referer: 'http://r',
        },
      },
      {
        's3:x-amz-acl': 'public-read',
        's3:x-amz-grant-read': 'id=1',
        's3:x-amz-storage-class': 'STANDARD_IA',
        's3:x-amz-server-side-encryption': 'aws:kms',
        's3:x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
        's3:if-none-match': '*',
        'aws:useragent': 'me',
        'aws:referer': 'http://r',
      },
    ],
    [
      'a copy',
      { operation: 'CopyObject', headers: { 'x-amz-copy-source': '/b/a%20b?versionId=3' } },
      { 's3:x-amz-copy-source': 'b/a b|/b/a b', 's3:objectcreationoperation': 'true' },
    ],
    ['a part', { operation: 'UploadPart' }, { 's3:objectcreationoperation': 'false' }],
    [
      'tags',
      { headers: { 'x-amz-tagging': 'Colour=red&b=' } },
      {
        's3:requestobjecttagkeys': 'Colour|b',
        's3:requestobjecttag/colour': 'red',
        's3:requestobjecttag/b': '',
      },
    ],
    [
      'tags of the body',
      { tags: { a: '1' }, headers: { 'x-amz-tagging': 'b=2' } },
      { 's3:requestobjecttagkeys': 'a' },
    ],
    [
      'locks',
      {
        headers: {
          'x-amz-object-lock-mode': 'GOVERNANCE',
          'x-amz-object-lock-retain-until-date': '2026-01-02T12:00:00Z',
        },
      },
      { 's3:object-lock-mode': 'GOVERNANCE', 's3:object-lock-remaining-retention-days': '2' },
    ],
    [
      'what the body says',
      { body: { 's3:object-lock-legal-hold': 'ON' } },
      { 's3:object-lock-legal-hold': 'ON' },
    ],
  ];
  for (const [name, facts, expected] of cases)
    it(`says ${name}`, () => {
      const context = of(facts);
      for (const [key, value] of Object.entries(expected)) assert.equal(context[key], value, key);
    });

  const ann = identity('acme', 'arn:aws:iam::acme:user/staff/ann');
  const session = identity('acme', 'arn:aws:sts::acme:assumed-role/reader/s1');
  const who: [Principal, string | undefined, string, string | undefined][] = [
    [ANYBODY, undefined, 'Anonymous', undefined],
    [account('acme'), 'arn:aws:iam::acme:root', 'Account', undefined],
    [ann, 'arn:aws:iam::acme:user/staff/ann', 'User', 'ann'],
    [session, 'arn:aws:iam::acme:role/reader', 'AssumedRole', undefined],
  ];
  for (const [principal, arn, type, name] of who)
    it(`says that ${type} asks`, () => {
      const context = of({}, principal);
      assert.deepEqual(
        [context['aws:principalarn'], context['aws:principaltype'], context['aws:username']],
        [arn, type, name],
      );
    });
});
