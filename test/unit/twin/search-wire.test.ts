/** Questions and answers survive the wire, and nothing else does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Epoch, MemberId } from '../../../src/base/ids.ts';
import { groupOf } from '../../../src/twin/search-multicast.ts';
import {
  answeredNonce,
  DATAGRAM_BYTES_MAX,
  openAnswer,
  openQuestion,
  sealAnswer,
  sealQuestion,
  searchKey,
  type WireAnswer,
  type WireQuestion,
} from '../../../src/twin/search-wire.ts';

const key = searchKey(Buffer.alloc(32, 1));
const otherKey = searchKey(Buffer.alloc(32, 2));
const QUESTION: WireQuestion = {
  kind: 'blob',
  subject: 'ab'.repeat(16),
  center: 'b',
  leftOut: ['node-b12'],
  epoch: 7 as Epoch,
  at: 1_700_000_000_000,
  windowMs: 2.2,
  replyPort: 40_000,
};
const ANSWER: WireAnswer = {
  member: 'node-b11' as MemberId,
  epoch: 5 as Epoch,
  has: true,
  stale: false,
  detail: { size: 3, root: 'ff', state: 'confirmed' },
};

describe('a question on the wire', () => {
  it('says the same at the other end', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            kind: fc.constantFrom('blob' as const, 'bucket' as const),
            subject: fc.string({ minLength: 1, maxLength: 32, unit: 'grapheme' }),
            center: fc.string({ minLength: 1, maxLength: 20 }),
            leftOut: fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 8 }),
            epoch: fc.nat().map((n) => n as Epoch),
            at: fc.nat(),
            windowMs: fc.nat(100),
            replyPort: fc.nat(65_535),
          },
          { noNullPrototype: true },
        ),
        (question) => {
          fc.pre(Buffer.byteLength(question.subject) <= 128);
          const sealed = sealQuestion(key, question)!;
          assert.ok(sealed.bytes.length <= DATAGRAM_BYTES_MAX);
          assert.deepEqual(openQuestion(key, sealed.bytes)?.question, question);
          assert.equal(openQuestion(key, sealed.bytes)?.nonce, sealed.nonce);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('does not open under another secret, changed anywhere, cut, prolonged, or as an answer', () => {
    const { bytes } = sealQuestion(key, QUESTION)!;
    assert.equal(openQuestion(otherKey, bytes), null);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      assert.equal(openQuestion(key, changed), null, `byte ${at}`);
      assert.equal(openQuestion(key, bytes.subarray(0, at)), null, `cut at ${at}`);
    }
    assert.equal(openQuestion(key, Buffer.concat([bytes, Buffer.alloc(1)])), null);
    assert.equal(openQuestion(key, Buffer.alloc(2_000, 0x11)), null);
    assert.equal(answeredNonce(bytes), null);
  });

  it('is not sealed when it does not fit into a datagram', () => {
    const leftOut = Array.from({ length: 100 }, (_, i) => `node-b${i + 100}`);
    assert.equal(sealQuestion(key, { ...QUESTION, leftOut }), null);
    assert.ok(sealQuestion(key, { ...QUESTION, leftOut: leftOut.slice(0, 80) }));
  });

  it('has a fresh nonce each time', () => {
    assert.notEqual(sealQuestion(key, QUESTION)!.nonce, sealQuestion(key, QUESTION)!.nonce);
  });
});

describe('an answer on the wire', () => {
  const question = sealQuestion(key, QUESTION)!;

  it('says the same to who asked', () => {
    const sealed = sealAnswer(key, question, ANSWER)!;
    assert.equal(answeredNonce(sealed.bytes), question.nonce);
    assert.deepEqual(openAnswer(key, question, sealed.bytes), ANSWER);
    const { detail: _, ...bare } = ANSWER;
    assert.deepEqual(openAnswer(key, question, sealAnswer(key, question, bare)!.bytes), bare);
  });

  it('answers that question alone, even under the same nonce', () => {
    const { bytes } = sealAnswer(key, question, ANSWER)!;
    assert.equal(openAnswer(key, sealQuestion(key, QUESTION)!, bytes), null);
    const nonce = Buffer.from(question.nonce, 'base64url');
    const twisted = sealQuestion(key, { ...QUESTION, subject: 'cd'.repeat(16) }, nonce)!;
    assert.equal(twisted.nonce, question.nonce);
    assert.equal(openAnswer(key, twisted, bytes), null);
  });

  it('does not open under another secret or changed anywhere', () => {
    const { bytes } = sealAnswer(key, question, ANSWER)!;
    assert.equal(openAnswer(otherKey, question, bytes), null);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      assert.equal(openAnswer(key, question, changed), null, `byte ${at}`);
    }
  });
});

describe('the group of a center', () => {
  it('is multicast, of the family of its members, and another one for each center and secret', () => {
    const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    assert.match(groupOf(one, 'a', '127.1.0.11'), /^239\.255\.\d{1,3}\.\d{1,3}$/);
    assert.match(groupOf(one, 'a', 'fd00::11'), /^ff15:/);
    assert.equal(groupOf(one, 'a', '127.1.0.11'), groupOf(one, 'a', '10.0.0.1'));
    const groups = [groupOf(one, 'a', 'fd00::1'), groupOf(one, 'b', 'fd00::1'), groupOf(two, 'a', 'fd00::1')];
    assert.equal(new Set(groups).size, 3);
  });
});
