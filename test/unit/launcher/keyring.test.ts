/** Where a gateway's keys come from: the secrets folder, files, the environment; and what is wrong with them is said. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ConfigError } from '../../../src/config.ts';
import { openSecret, sealSecret } from '../../../src/identity/secret-box.ts';
import { addMasterKey, encryptionService, openKeyring } from '../../../src/launcher/keyring.ts';
import { settings } from '../../../src/settings.ts';

const HEX = '0123456789abcdef'.repeat(4);
const encryption = (given: object = {}) => settings.parse({ encryption: given }).encryption;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'keyring-'));
  writeFileSync(join(dir, 'master.key'), `${HEX}\n`);
});
afterEach(() => {
  delete process.env.TEST_KEYRING_KEY;
  rmSync(dir, { recursive: true, force: true });
});

describe('the keyring', () => {
  it('seals under the newest master key, or the one that is named, and opens under all', () => {
    const first = openKeyring(dir, encryption());
    assert.deepEqual([first.master.id, first.masters.length], [0, 1]);
    const sealed = sealSecret(first.master, 'secret', 'x');
    assert.equal(addMasterKey(dir), 1);
    assert.equal(addMasterKey(dir), 2);
    const next = openKeyring(dir, encryption());
    assert.equal(next.master.id, 2);
    assert.equal(openSecret(next.masters, sealed, 'x').toString(), 'secret');
    assert.equal(openKeyring(dir, encryption({ sealWith: 1 })).master.id, 1);
    rmSync(join(dir, 'master.key'));
    assert.deepEqual(
      openKeyring(dir, encryption()).masters.map(({ id }) => id),
      [1, 2],
    );
  });

  it('takes keys from files and the environment, as hex or base64', () => {
    process.env.TEST_KEYRING_KEY = HEX;
    const file = join(dir, 'declared');
    writeFileSync(file, `${Buffer.from(HEX, 'hex').toString('base64')}\n`);
    const keyring = openKeyring(
      dir,
      encryption({
        masterKeys: [{ id: 9, env: 'TEST_KEYRING_KEY' }],
        kmsKeys: [
          { id: 'one', file },
          { id: 'two', env: 'TEST_KEYRING_KEY' },
        ],
        defaultKmsKey: 'two',
      }),
    );
    assert.equal(keyring.master.id, 9);
    assert.equal(keyring.defaultKmsKeyId, 'two');
    const [one, two] = [keyring.kms.get('one')!, keyring.kms.get('two')!];
    assert.equal(openSecret(two, sealSecret(one, 'same key', 'x'), 'x').toString(), 'same key');
  });

  it('needs no master.key where the environment has number 0', () => {
    process.env.TEST_KEYRING_KEY = HEX;
    rmSync(join(dir, 'master.key'));
    const keyring = openKeyring(dir, encryption({ masterKeys: [{ id: 0, env: 'TEST_KEYRING_KEY' }] }));
    assert.equal(keyring.master.id, 0);
  });

  it('says what is wrong, and shows no key', () => {
    process.env.TEST_KEYRING_KEY = 'too short';
    const one = { id: 'one', env: 'TEST_KEYRING_KEY' };
    const wrong: readonly [object, RegExp][] = [
      [{ kmsKeys: [one] }, /one: the variable TEST_KEYRING_KEY does not hold 32 bytes/],
      [{ kmsKeys: [{ id: 'one', env: 'TEST_KEYRING_NONE' }] }, /TEST_KEYRING_NONE is not set/],
      [{ kmsKeys: [{ id: 'one', file: '/nowhere/key' }] }, /\/nowhere\/key cannot be read \(ENOENT\)/],
      [{ defaultKmsKey: 'one' }, /defaultKmsKey: one is not declared/],
      [{ sealWith: 4 }, /there is no master key 4; name one of 0/],
      [
        {
          masterKeys: [
            { id: 3, file: 'a' },
            { id: 3, file: 'b' },
          ],
        },
        /twice/,
      ],
    ];
    for (const [given, message] of wrong)
      assert.throws(
        () => openKeyring(dir, encryption(given)),
        (error) =>
          error instanceof ConfigError && message.test(error.message) && !/too short/.test(error.message),
      );
    for (const given of [{ kmsKeys: [{ id: 'one' }] }, { kmsKeys: [{ ...one, file: 'x' }] }])
      assert.throws(() => encryption(given), /needs either file or env/);
  });

  it('is the default of buckets only where the settings say so', () => {
    const keyring = openKeyring(dir, encryption());
    assert.equal(encryptionService(keyring, encryption()).byDefault, undefined);
    assert.deepEqual(encryptionService(keyring, encryption({ byDefault: 'AES256' })).byDefault, {
      byDefault: { algorithm: 'AES256' },
    });
  });
});
