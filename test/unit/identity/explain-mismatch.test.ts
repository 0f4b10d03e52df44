/** What the log says of a signature that does not match: each change that clients and proxies are known to make is named. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { authenticate } from '../../../src/identity/authenticate.ts';
import { SignatureMismatch } from '../../../src/identity/errors.ts';
import type { SigningInput } from '../../../src/identity/sign.ts';
import type { SignedRequest } from '../../../src/identity/types.ts';
import { credentials } from './fixtures.ts';
import { deps, presigned, refused, signed, withHeaders } from './requests.ts';

async function explain(req: SignedRequest) {
  const error = await refused(req, 'SignatureDoesNotMatch');
  assert.ok(error instanceof SignatureMismatch);
  return error.explain();
}
const named = async (req: SignedRequest) => {
  const { line, received, signed: client, why } = await explain(req);
  return [line, received, client, why];
};

describe('a signature that does not match', () => {
  it('because of the Host', async () => {
    const line = async (host: string, headers: Record<string, string> = {}) => {
      const changed = withHeaders(signed({ headers: { host } }), { host: '10.0.0.7', ...headers });
      return (await named(changed)).slice(0, 3);
    };
    const told = (host: string) => ['host', '10.0.0.7', host];
    assert.deepEqual(await line('10.0.0.7:9000'), told('10.0.0.7:9000'), 'the port is gone');
    assert.deepEqual(await line('s3.test', { 'x-forwarded-host': 's3.test' }), told('s3.test'));
    assert.deepEqual(
      await line('s3.test:8443', { forwarded: 'for=1.2.3.4;host="s3.test"' }),
      told('s3.test:8443'),
    );
    const known = {
      ...withHeaders(signed({ headers: { host: 'b.s3.test' } }), { host: 'x' }),
      hosts: ['s3.test'],
    };
    assert.equal((await explain(known)).line, undefined, 'another one is not guessed');
  });

  it('because of the path', async () => {
    const why = async (signedPath: string, path: string) => {
      const changed = { ...signed({ path: signedPath }), rawPath: path };
      const [line, , , reason] = await named(changed);
      return `${line}: ${reason}`;
    };
    assert.match(await why('/b/a%2520b', '/b/a%20b'), /^path: the client encoded the path twice/);
    assert.match(await why('/b/a%2Bb', '/b/a%20b'), /^path: a space in the path was signed as "\+"/);
    assert.match(await why('/b/a%20b', '/b/a+b'), /^path: a "\+" in the path was signed as a space/);
    assert.match(await why('/b/c', '/b/./x/..//c'), /^path: the client removed/);
    assert.match(await why('/b/c', '/b/c/'), /without its "\/"/);
    assert.match(await why('/b/c', '/s3/b/c'), /a proxy adds one/);
  });

  it('because of the query', async () => {
    const why = async (signedQuery: string, rawQuery: string) =>
      (await named({ ...signed({ query: signedQuery }), rawQuery }))[3];
    assert.match((await why('prefix=a%2Bb', 'prefix=a+b'))!, /signed as itself/);
    assert.match((await why('prefix=x', 'prefix=x&utm=1'))!, /the parameter utm was added/);
    assert.match((await why('prefix=a%2520b', 'prefix=a%20b'))!, /encoded the query twice/);
  });

  it('because of a header', async () => {
    const headers = { host: 'h:9000', 'content-type': 'text/plain', 'accept-encoding': 'identity' };
    const req = signed({ headers });
    assert.deepEqual(await named(withHeaders(req, { 'content-type': 'text/plain; charset=utf-8' })), [
      'content-type',
      'text/plain; charset=utf-8',
      'text/plain',
      'the header came with another value than was signed',
    ]);
    assert.deepEqual(await named(withHeaders(req, { 'accept-encoding': null })), [
      'accept-encoding',
      '',
      'identity',
      'the header was signed and did not come (a proxy removes it)',
    ]);
  });

  it('because of two things, one of them the Host', async () => {
    const req = signed({ path: '/b/c', headers: { host: 'h:9000' } });
    const { line, why } = await explain({ ...withHeaders(req, { host: 'h' }), rawPath: '/b//c' });
    assert.equal(line, 'path');
    assert.match(why, /and host: the client signed h:9000, h came$/);
  });

  it('because of the payload or the method', async () => {
    const payload = { hash: 'UNSIGNED-PAYLOAD' };
    const req = signed({ payload });
    const other = withHeaders(req, { 'x-amz-content-sha256': '0'.repeat(64) });
    assert.deepEqual((await named(other)).slice(0, 3), [
      'x-amz-content-sha256',
      '0'.repeat(64),
      'UNSIGNED-PAYLOAD',
    ]);
    assert.deepEqual((await named({ ...presigned(), method: 'HEAD' })).slice(0, 3), [
      'method',
      'HEAD',
      'GET',
    ]);
  });

  it('for no known reason: only names and a digest are told', async () => {
    const secrets = { 'x-amz-meta-secret': 'very-private', 'x-amz-security-token': '' };
    const headers = { host: 'h:9000', 'x-amz-meta-secret': secrets['x-amz-meta-secret'] };
    const input: Partial<SigningInput> = {
      headers,
      query: 'token=also-private',
      credentials: { ...credentials, secretAccessKey: 'another' },
    };
    const told = await explain(signed(input));
    assert.equal(told.line, undefined);
    assert.match(told.why, /the secret key is another one/);
    assert.deepEqual(told.lines, [
      'method',
      'path',
      'query',
      'host',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-meta-secret',
      'signed headers',
      'payload',
    ]);
    assert.match(told.canonicalSha256, /^[0-9a-f]{64}$/);
    assert.ok(told.tried <= 400);
    assert.ok(!/private/.test(JSON.stringify(told)));
  });
});

describe('a Host that a proxy changes', () => {
  it('holds under each name that clients are known to use, and under no other', async () => {
    const req = withHeaders(signed({ headers: { host: 's3.test:8443' } }), { host: '10.0.0.7' });
    await refused(req, 'SignatureDoesNotMatch');
    await refused({ ...req, hosts: ['s3.test'] }, 'SignatureDoesNotMatch');
    const { principal } = await authenticate({ ...req, hosts: ['s3.test', 's3.test:8443'] }, deps);
    assert.equal(principal.kind, 'account');
  });
});
