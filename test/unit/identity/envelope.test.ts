/** Envelopes open for their own object under their own key, and for nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  DataKey,
  type Envelope,
  EnvelopeRefused,
  envelopeOf,
  isStale,
  KeyMissing,
  type Keyring,
  openEnvelope,
  resealEnvelope,
  type SealUnder,
  sealEnvelope,
} from '../../../src/identity/envelope.ts';
import { createMasterKey } from '../../../src/identity/secret-box.ts';

const old = createMasterKey(Buffer.alloc(32, 1), 0);
const newest = createMasterKey(Buffer.alloc(32, 2), 1);
const kms = new Map([
  ['one', createMasterKey(Buffer.alloc(32, 3))],
  ['two', createMasterKey(Buffer.alloc(32, 4))],
]);
const keyring: Keyring = { master: old, masters: [old], kms };
const rotated: Keyring = { master: newest, masters: [old, newest], kms };
const owner = { bucket: 'b', key: 'k' };
const customerKey = Buffer.alloc(32, 5);

const UNDER: readonly SealUnder[] = [
  { algorithm: 'AES256' },
  { algorithm: 'aws:kms', keyId: 'one', shownKeyId: 'one', bucketKey: true, context: { a: '1', b: '2' } },
  { algorithm: 'SSE-C', customerKey },
];
/** As it comes back from the catalog. */
const stored = (envelope: Envelope): Envelope => envelopeOf(JSON.parse(JSON.stringify(envelope)))!;

describe('an envelope', () => {
  it('opens for its object, and shows no key', () => {
    for (const under of UNDER) {
      const key = DataKey.random();
      const envelope = stored(sealEnvelope(keyring, under, owner, key));
      assert.equal(openEnvelope(keyring, envelope, owner, customerKey).etag('x'), key.etag('x'));
      assert.ok(!JSON.stringify(envelope).includes(customerKey.toString('base64').slice(0, 8)));
    }
  });

  it('does not open for another object, context, algorithm, or with other bytes', () => {
    for (const under of UNDER) {
      const envelope = sealEnvelope(keyring, under, owner, DataKey.random());
      const changed = Buffer.from(envelope.sealedKey, 'base64');
      changed[40]! ^= 1;
      const wrong: readonly [Envelope, typeof owner][] = [
        [envelope, { bucket: 'b', key: 'other' }],
        [envelope, { bucket: 'other', key: 'k' }],
        [{ ...envelope, context: { a: '1', b: '3' } }, owner],
        [{ ...envelope, sealedKey: changed.toString('base64') }, owner],
      ];
      for (const [given, of] of wrong)
        assert.throws(() => openEnvelope(keyring, given, of, customerKey), EnvelopeRefused);
    }
    const [first, second] = [sealEnvelope(keyring, UNDER[0]!, owner, DataKey.random()), UNDER[1]!];
    assert.throws(
      () => openEnvelope(keyring, { ...first, algorithm: second.algorithm, keyId: 'one' }, owner),
      EnvelopeRefused,
    );
  });

  it('does not open under another key, and says when the key is not there', () => {
    const mine = sealEnvelope(keyring, UNDER[2]!, owner, DataKey.random());
    assert.throws(() => openEnvelope(keyring, mine, owner, Buffer.alloc(32, 6)), EnvelopeRefused);
    assert.throws(() => openEnvelope(keyring, mine, owner), KeyMissing);
    const declared = sealEnvelope(keyring, UNDER[1]!, owner, DataKey.random());
    assert.throws(() => openEnvelope(keyring, { ...declared, keyId: 'two' }, owner), EnvelopeRefused);
    assert.throws(() => openEnvelope({ ...keyring, kms: new Map() }, declared, owner), KeyMissing);
    assert.throws(
      () => sealEnvelope({ ...keyring, kms: new Map() }, UNDER[1]!, owner, DataKey.random()),
      KeyMissing,
    );
    const under = sealEnvelope(rotated, UNDER[0]!, owner, DataKey.random());
    assert.throws(() => openEnvelope(keyring, under, owner), KeyMissing);
  });

  it('is sealed anew under the newest master key, with the data key that it had', () => {
    const key = DataKey.random();
    const envelope = sealEnvelope(keyring, UNDER[0]!, owner, key);
    assert.ok(isStale(rotated, envelope) && !isStale(keyring, envelope));
    const again = resealEnvelope(rotated, envelope, owner)!;
    assert.equal(again.keyId, '1');
    const onlyNewest: Keyring = { master: newest, masters: [newest], kms };
    assert.equal(openEnvelope(onlyNewest, again, owner).etag('x'), key.etag('x'));
    assert.equal(resealEnvelope(rotated, again, owner), null);
    assert.equal(resealEnvelope(rotated, sealEnvelope(keyring, UNDER[1]!, owner, key), owner), null);
  });

  it('of a form that is not known is refused', () => {
    assert.equal(envelopeOf(undefined), null);
    assert.equal(envelopeOf(null), null);
    for (const value of [
      {},
      { format: 2, algorithm: 'AES256', sealedKey: '' },
      { format: 1, algorithm: 'ROT13' },
    ])
      assert.throws(() => envelopeOf(value), EnvelopeRefused);
  });
});

describe('a data key', () => {
  it('makes ETags that are the same for the same bytes, and no MD5', () => {
    const key = DataKey.random();
    const md5 = 'd41d8cd98f00b204e9800998ecf8427e';
    assert.match(key.etag(md5), /^[0-9a-f]{32}$/);
    assert.notEqual(key.etag(md5), md5);
    assert.equal(key.etag(md5), key.etag(md5));
    assert.notEqual(DataKey.random().etag(md5), key.etag(md5));
  });
});
