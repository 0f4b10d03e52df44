/** The MACs between gateways and nodes: right ones pass, and any single change makes them void. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  answerMac,
  clusterKey,
  newNonce,
  REQUEST_SKEW_MS,
  type RequestFacts,
  signRequest,
  trailerMac,
  verifyAnswer,
  verifyRequest,
  verifyTrailer,
} from '../../../src/nodes/request-auth.ts';

const key = clusterKey(Buffer.alloc(32, 1));
const otherKey = clusterKey(Buffer.alloc(32, 2));
const now = 1_800_000_000_000;
const facts: RequestFacts = {
  member: 'node-a11',
  method: 'PUT',
  target: '/v1/blobs/00?size=1',
  contentLength: 97,
  epoch: '4',
  intent: 'e30',
  bodyDigest: '',
};

describe('a request', () => {
  const nonce = newNonce();
  const token = signRequest(key, now, nonce, facts);

  it('is known by its MAC, within the window', () => {
    assert.equal(verifyRequest(key, now, token, facts), nonce);
    assert.equal(verifyRequest(key, now + REQUEST_SKEW_MS, token, facts), nonce);
    assert.equal(verifyRequest(key, now - REQUEST_SKEW_MS, token, facts), nonce);
  });

  it('is void outside the window, and under another secret', () => {
    assert.equal(verifyRequest(key, now + REQUEST_SKEW_MS + 1, token, facts), null);
    assert.equal(verifyRequest(key, now - REQUEST_SKEW_MS - 1, token, facts), null);
    assert.equal(verifyRequest(otherKey, now, token, facts), null);
  });

  it('is void when any fact differs', () => {
    const changed: Partial<RequestFacts>[] = [
      { member: 'node-b11' },
      { method: 'GET' },
      { target: '/v1/blobs/01?size=1' },
      { contentLength: 98 },
      { epoch: '' },
      { intent: 'e31' },
      { bodyDigest: '00' },
    ];
    for (const change of changed) {
      assert.equal(verifyRequest(key, now, token, { ...facts, ...change }), null, JSON.stringify(change));
    }
  });

  it('is void when its token is cut, padded or edited', () => {
    const [version, timestamp, n, mac] = token.split('.') as [string, string, string, string];
    const tokens = [
      undefined,
      '',
      'v1',
      token.slice(0, -1),
      `${token}A`,
      `${token} `,
      [version, String(now + 1), n, mac].join('.'),
      [version, timestamp, newNonce(), mac].join('.'),
      [version, timestamp, n, 'A'.repeat(43)].join('.'),
      ['v2', timestamp, n, mac].join('.'),
    ];
    for (const bad of tokens) assert.equal(verifyRequest(key, now, bad, facts), null, String(bad));
  });

  it('never uses a nonce twice', () => {
    const nonces = new Set(Array.from({ length: 5_000 }, newNonce));
    assert.equal(nonces.size, 5_000);
    for (const one of nonces) assert.match(one, /^[A-Za-z0-9_-]{16}$/);
  });
});

describe('an answer', () => {
  const answer = { nonce: 'n'.repeat(16), status: 200, kind: '', contentLength: 2, body: Buffer.from('{}') };
  const mac = answerMac(key, answer);

  it('is bound to nonce, status, kind, length and body', () => {
    assert.ok(verifyAnswer(key, mac, answer));
    for (const change of [
      { nonce: 'm'.repeat(16) },
      { status: 404 },
      { kind: 'full' },
      { contentLength: 3 },
      { body: Buffer.from('[]') },
      { body: null },
    ]) {
      assert.ok(!verifyAnswer(key, mac, { ...answer, ...change }), JSON.stringify(change));
    }
    assert.ok(!verifyAnswer(otherKey, mac, answer));
    assert.ok(!verifyAnswer(key, undefined, answer));
    assert.ok(!verifyAnswer(key, `${mac}A`, answer));
  });
});

describe('a trailer', () => {
  it('is bound to the nonce and the root', () => {
    const root = Buffer.alloc(32, 3);
    const mac = trailerMac(key, 'nonce', root);
    assert.ok(verifyTrailer(key, 'nonce', root, mac));
    assert.ok(!verifyTrailer(key, 'other', root, mac));
    assert.ok(!verifyTrailer(key, 'nonce', Buffer.alloc(32, 4), mac));
    assert.ok(!verifyTrailer(otherKey, 'nonce', root, mac));
    assert.ok(!verifyTrailer(key, 'nonce', root, mac.subarray(1)));
  });
});
