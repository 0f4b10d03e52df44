import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  createMasterKey,
  generateAccessKey,
  isSealedUnder,
  openSecret,
  SecretBoxError,
  sealSecret,
} from '../../../src/identity/secret-box.ts';

const master = createMasterKey(Buffer.alloc(32, 1));

test('a sealed secret opens under its master key and for its access key alone', () => {
  const sealed = sealSecret(master, 'sécret', 'AKIA1');
  assert.equal(openSecret(master, sealed, 'AKIA1').toString(), 'sécret');
  assert.ok(!sealed.includes('cret'));
  assert.throws(() => openSecret(master, sealed, 'AKIA2'), SecretBoxError);
  assert.throws(() => openSecret(createMasterKey(randomBytes(32)), sealed, 'AKIA1'), SecretBoxError);
});

test('no changed or cut byte opens', () => {
  const sealed = sealSecret(master, 'secret', 'AKIA1');
  for (let i = 0; i < sealed.length; i++) {
    const bad = Buffer.from(sealed);
    bad[i] = bad[i]! ^ 1;
    assert.throws(() => openSecret(master, bad, 'AKIA1'), SecretBoxError);
    assert.throws(() => openSecret(master, sealed.subarray(0, i), 'AKIA1'), SecretBoxError);
  }
});

test('the same secret never seals to the same bytes', () => {
  assert.notDeepEqual(sealSecret(master, 's', 'a'), sealSecret(master, 's', 'a'));
});

test('rotation: both generations open, the old ones are told from the new', () => {
  const next = createMasterKey(Buffer.alloc(32, 2), 1);
  const [old, fresh] = [sealSecret(master, 'a', 'k'), sealSecret(next, 'b', 'k')];
  assert.equal(openSecret([next, master], old, 'k').toString(), 'a');
  assert.equal(openSecret([next, master], fresh, 'k').toString(), 'b');
  assert.deepEqual([isSealedUnder(next, old), isSealedUnder(next, fresh)], [false, true]);
  assert.throws(() => openSecret(master, fresh, 'k'), /no master key with id 1/);
});

test('a short master key is refused', () => {
  assert.throws(() => createMasterKey(Buffer.alloc(31)), SecretBoxError);
  assert.throws(() => createMasterKey(Buffer.alloc(32), 256), SecretBoxError);
});

test('generated keys have the shape of AWS ones and need no quoting', () => {
  for (let i = 0; i < 50; i++) {
    const { accessKeyId, secretAccessKey } = generateAccessKey();
    assert.match(accessKeyId, /^AKIA[A-Z2-7]{16}$/);
    assert.match(secretAccessKey, /^[A-Za-z0-9]{40}$/);
  }
});
