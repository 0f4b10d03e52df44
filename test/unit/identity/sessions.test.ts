/** Temporary credentials: what a token opens, for whom, until when, and what ends it before. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { AccessKey, Entity } from '../../../src/ddm/catalog.ts';
import { type AuthenticateDeps, authenticate } from '../../../src/identity/authenticate.ts';
import { openSessions, type SessionOf } from '../../../src/identity/sessions.ts';
import { clockAt, depsAt, exampleKey } from './fixtures.ts';
import { NOW, presigned, refused, signed, withHeaders } from './requests.ts';

const master = { id: 3, key: createSecretKey(randomBytes(32)) };
const role: Entity = {
  ...{ kind: 'role', id: 'AROAEXAMPLE', account: exampleKey.account, name: 'reader', path: '/ops/' },
  ...{ createdAt: new Date(0), policies: {}, tags: {}, trust: '{}', sessionSeconds: 3600 },
};
const roles = new Map([[role.id, role]]);
const keys = new Map<string, AccessKey>([[exampleKey.accessKeyId, exampleKey]]);
const catalog = {
  findAccessKey: async (id: string) => keys.get(id) ?? null,
  findEntityById: async (id: string) => roles.get(id) ?? null,
};
const sessionsAt = (nowMs: number) => openSessions({ catalog, master, clock: clockAt(nowMs) });
const depsWith = (nowMs: number): AuthenticateDeps =>
  depsAt(nowMs, { findAccessKey: catalog.findAccessKey, sessions: sessionsAt(nowMs) });

const ofRole: SessionOf = { kind: 'role', role, name: 'me' };
const issue = (of: SessionOf = ofRole, seconds = 900) => {
  const { token: sessionToken, ...made } = sessionsAt(NOW).issue(of, seconds);
  return { ...made, sessionToken };
};

describe('temporary credentials', () => {
  it('are their role, in the header and in a presigned URL', async () => {
    const credentials = issue();
    assert.match(credentials.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    assert.equal(credentials.expiresAt.getTime(), NOW + 900_000);
    assert.ok(!credentials.sessionToken.includes(credentials.secretAccessKey));
    for (const request of [signed({ credentials }), presigned({ credentials })]) {
      const { principal } = await authenticate(request, depsWith(NOW));
      assert.ok(principal.kind === 'account');
      assert.equal(principal.account, exampleKey.account);
      assert.equal(principal.accessKeyId, credentials.accessKeyId);
      assert.deepEqual(principal.identity, {
        kind: 'assumed-role',
        arn: 'arn:aws:sts::owner:assumed-role/reader/me',
        userId: 'AROAEXAMPLE:me',
        name: 'reader',
        path: '/ops/',
        policies: [],
      });
    }
  });

  it('are nothing without their token, or with another one', async () => {
    const { sessionToken, ...bare } = issue();
    const deps = depsWith(NOW);
    await refused(signed({ credentials: bare }), 'InvalidAccessKeyId', undefined, deps);
    for (const token of [issue().sessionToken, sessionToken.slice(4), 'x', '', 'A'.repeat(20_000)]) {
      const request = withHeaders(signed({ credentials: { ...bare, sessionToken } }), {
        'x-amz-security-token': token,
      });
      await refused(request, 'InvalidToken', undefined, deps);
    }
    const permanent = signed({ credentials: { ...exampleCredentials(), sessionToken } });
    await refused(permanent, 'InvalidToken', undefined, deps);
    await refused(signed({ credentials: { ...bare, sessionToken } }), 'InvalidToken', undefined, depsAt(NOW));
    const wrongSecret = { ...bare, sessionToken, secretAccessKey: 'x'.repeat(40) };
    await refused(signed({ credentials: wrongSecret }), 'SignatureDoesNotMatch', undefined, deps);
  });

  it('end on time', async () => {
    const request = signed({ credentials: issue(ofRole, 60) });
    await authenticate(request, depsWith(NOW + 59_000));
    await refused(request, 'ExpiredToken', 'The provided token has expired.', depsWith(NOW + 60_000));
  });

  it('end with their role, and with the key they stand on', async () => {
    const asRole = signed({ credentials: issue() });
    roles.delete(role.id);
    await refused(asRole, 'InvalidAccessKeyId', undefined, depsWith(NOW));
    roles.set(role.id, role);
    const asKey = signed({ credentials: issue({ kind: 'key', accessKeyId: exampleKey.accessKeyId }) });
    const { principal } = await authenticate(asKey, depsWith(NOW));
    assert.ok(principal.kind === 'account' && principal.identity === undefined);
    assert.notEqual(principal.accessKeyId, exampleKey.accessKeyId);
    keys.set(exampleKey.accessKeyId, { ...exampleKey, status: 'inactive' });
    await refused(asKey, 'InvalidAccessKeyId', undefined, depsWith(NOW));
    keys.set(exampleKey.accessKeyId, exampleKey);
  });
});

describe('keys of users', () => {
  it('are their user; a policy that cannot be read denies everything', async () => {
    const user: Entity = { ...role, kind: 'user', id: 'AIDA1', name: 'ann', policies: { p: 'no policy' } };
    const deps = depsAt(NOW, { findAccessKey: async () => ({ ...exampleKey, user }) });
    const { principal } = await authenticate(signed(), deps);
    assert.ok(principal.kind === 'account' && principal.identity);
    assert.equal(principal.identity.arn, 'arn:aws:iam::owner:user/ops/ann');
    assert.deepEqual(
      principal.identity.policies.map((policy) => policy.statements.map((s) => s.effect)),
      [['Deny']],
    );
  });
});

function exampleCredentials() {
  return { accessKeyId: exampleKey.accessKeyId, secretAccessKey: exampleKey.sealedSecret.toString() };
}
