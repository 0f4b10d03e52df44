/** Root's key opens the admin API while the catalog is away, as it was known last. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { type AccessKey, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { createMasterKey, openSecret } from '../../../src/identity/secret-box.ts';
import { adminKeys } from '../../../src/launcher/admin-keys.ts';
import { ROOT_ACCOUNT } from '../../../src/launcher/root-account.ts';

const master = createMasterKey(randomBytes(32));
const ROOT_KEY = 'ROOTKEY0000000000000';

function rig() {
  let rows: ReadonlyMap<string, AccessKey> | 'away' | 'silent' = 'away';
  let asked = 0;
  const find = adminKeys({
    catalog: {
      findAccessKey: async (id) => {
        asked += 1;
        if (typeof rows === 'string') throw new CatalogUnavailable('nobody answers');
        return rows.get(id) ?? null;
      },
    },
    isAway: () => rows === 'away',
    credentials: { accessKeyId: ROOT_KEY, secretKey: 'the secret' },
    master,
  });
  const say = (now: typeof rows) => {
    rows = now;
  };
  return { find, say, asked: () => asked };
}
const keyOf = (accessKeyId: string, isRoot: boolean, status: AccessKey['status'] = 'active'): AccessKey => ({
  ...{ accessKeyId, status, sealedSecret: Buffer.alloc(0), createdAt: new Date(0) },
  account: { id: (isRoot ? ROOT_ACCOUNT : 'alice') as never, displayName: '', isRoot },
});

describe('keys of the admin API', () => {
  it('root as in the files, when the catalog has never answered; it is not waited for', async () => {
    const { find, asked } = rig();
    const key = await find(ROOT_KEY);
    assert.equal(key?.account.isRoot, true);
    assert.equal(openSecret(master, key!.sealedSecret, ROOT_KEY).toString(), 'the secret');
    assert.equal(asked(), 0);
    await assert.rejects(find('ANOTHERKEY0000000000'), CatalogUnavailable);
  });
  it('as the catalog said last, when it goes away or does not answer', async () => {
    const { find, say } = rig();
    const second = keyOf('SECONDROOT0000000000', true);
    say(
      new Map([
        [ROOT_KEY, keyOf(ROOT_KEY, true, 'inactive')],
        [second.accessKeyId, second],
      ]),
    );
    for (const id of [ROOT_KEY, second.accessKeyId]) await find(id);
    for (const now of ['away', 'silent'] as const) {
      say(now);
      assert.equal((await find(ROOT_KEY))?.status, 'inactive');
      assert.equal(await find(second.accessKeyId), second);
    }
    say(new Map());
    assert.equal(await find(ROOT_KEY), null);
    say('away');
    assert.equal(await find(ROOT_KEY), null);
  });
  it('nobody else', async () => {
    const { find, say } = rig();
    const alice = keyOf('ALICE000000000000000', false);
    say(new Map([[alice.accessKeyId, alice]]));
    assert.equal(await find(alice.accessKeyId), alice);
    say('away');
    await assert.rejects(find(alice.accessKeyId), CatalogUnavailable);
  });
});
