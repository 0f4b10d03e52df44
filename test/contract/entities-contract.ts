/** The contract of users, roles and their keys. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { AccountId } from '../../src/base/ids.ts';
import type { Account, EntityName, NewEntity } from '../../src/ddm/catalog.ts';
import { type Kit, mustBeDone, reasonOf } from './contract-kit.ts';

const ACME: Account = { id: 'acme' as AccountId, displayName: 'Acme', isRoot: false };
const OTHER: Account = { id: 'acme-2' as AccountId, displayName: 'Acme 2', isRoot: false };
const TRUST = '{"Version":"2012-10-17","Statement":[]}';
const ISSUED = Buffer.from([7]);
const MAX = 100;

let ids = 0;
const user = (name: string, more: Partial<NewEntity> = {}): NewEntity => {
  const id = `AIDA${++ids}`;
  return { kind: 'user', id, account: ACME, name, path: '/', tags: {}, ...more };
};
const role = (name: string): NewEntity => ({
  ...user(name),
  ...{ kind: 'role', id: `AROA${++ids}`, trust: TRUST, sessionSeconds: 3600, description: 'd' },
});
const userName = (name: string): EntityName => ({ account: ACME.id, kind: 'user', name });

export function entitiesContract(kit: () => Kit): void {
  describe('users and roles', () => {
    before(async () => {
      for (const account of [ACME, OTHER]) mustBeDone(await kit().catalog.createAccount(account));
    });

    it('are kept as they were made, under names that differ in more than case', async () => {
      const { catalog } = kit();
      const made = mustBeDone(
        await catalog.createEntity(user('Ann', { path: '/eng/', tags: { a: 'b' } }), MAX),
      );
      assert.deepEqual(made.policies, {});
      assert.ok(made.createdAt instanceof Date);
      assert.deepEqual(await catalog.findEntity(userName('Ann')), made);
      assert.deepEqual(await catalog.findEntityById(made.id), made);
      assert.deepEqual(await catalog.findEntity(userName('ANN')), made);
      assert.equal(reasonOf(await catalog.createEntity(user('ANN'), MAX)), 'exists');
      const asRole = mustBeDone(await catalog.createEntity(role('Ann'), MAX));
      assert.deepEqual(await catalog.findEntity({ account: ACME.id, kind: 'role', name: 'Ann' }), asRole);
      assert.equal(asRole.sessionSeconds, 3600);
      mustBeDone(await catalog.createEntity(user('Ann', { account: OTHER }), MAX));
      const nobody = { ...ACME, id: 'nobody' as AccountId };
      assert.equal(
        reasonOf(await catalog.createEntity(user('X', { account: nobody }), MAX)),
        'no-such-account',
      );
      assert.equal(reasonOf(await catalog.createEntity(user('Y', { account: OTHER }), 1)), 'too-many');
    });

    it('are listed by name, page by page, those below a path', async () => {
      const { catalog } = kit();
      for (const name of ['l-3', 'L-1', 'l-2'])
        mustBeDone(await catalog.createEntity(user(name, { path: '/l/' }), MAX));
      const query = { account: ACME.id, kind: 'user', pathPrefix: '/l/', after: '', max: 2 } as const;
      const first = await catalog.listEntities(query);
      assert.deepEqual([first.entities.map((e) => e.name), first.truncated], [['L-1', 'l-2'], true]);
      const second = await catalog.listEntities({ ...query, after: 'l-2' });
      assert.deepEqual([second.entities.map((e) => e.name), second.truncated], [['l-3'], false]);
    });

    it('change in place, and their policies are bounded together', async () => {
      const { catalog } = kit();
      mustBeDone(await catalog.createEntity(user('bo'), MAX));
      const change = (c: Parameters<typeof catalog.changeEntity>[1]) =>
        catalog.changeEntity(userName('bo'), c);
      const put = (name: string, text: string) => change({ putPolicy: { name, text, charactersMax: 10 } });
      mustBeDone(await put('one', '{ "a": 1 }'));
      mustBeDone(await put('one', '{"b":2}'));
      assert.equal(reasonOf(await put('two', '{"c":3}')), 'too-large');
      assert.deepEqual((await catalog.findEntity(userName('bo')))?.policies, { one: '{"b":2}' });
      assert.equal(reasonOf(await change({ dropPolicy: 'two' })), 'no-such-policy');
      assert.equal(reasonOf(await catalog.deleteEntity(userName('bo'))), 'has-policies');
      mustBeDone(await change({ dropPolicy: 'one' }));
      assert.equal(reasonOf(await change({ name: 'ANN' })), 'exists');
      mustBeDone(await change({ name: 'Bo', path: '/x/', tags: { k: 'v' } }));
      const now = await catalog.findEntity(userName('Bo'));
      assert.deepEqual([now?.path, now?.tags, now?.policies], ['/x/', { k: 'v' }, {}]);
      assert.equal(reasonOf(await change({ path: '/' })), 'no-such-entity');
    });

    it('hold keys, which know what their user is now', async () => {
      const { catalog } = kit();
      const made = mustBeDone(await catalog.createEntity(user('kim'), MAX));
      const give = (accessKeyId: string, id = made.id, account = ACME.id) =>
        catalog.createAccessKey({ accessKeyId, account, sealedSecret: ISSUED, user: { id, max: 2 } });
      assert.equal(mustBeDone(await give('AKIM1')).user?.name, 'kim');
      assert.equal(reasonOf(await give('AKIM1')), 'exists');
      mustBeDone(await give('AKIM2'));
      assert.equal(reasonOf(await give('AKIM3')), 'too-many');
      assert.equal(reasonOf(await give('AKIM4', 'AIDANOBODY')), 'no-such-user');
      assert.equal(reasonOf(await give('AKIM5', made.id, OTHER.id)), 'no-such-user');
      assert.deepEqual((await catalog.findAccessKey('AKIM1'))?.user?.policies, {});
      const putPolicy = { name: 'p', text: '{}', charactersMax: 100 };
      mustBeDone(await catalog.changeEntity(userName('kim'), { putPolicy }));
      assert.deepEqual((await catalog.findAccessKey('AKIM1'))?.user?.policies, { p: '{}' });
      mustBeDone(await catalog.changeEntity(userName('kim'), { dropPolicy: 'p' }));
      assert.equal(reasonOf(await catalog.deleteEntity(userName('kim'))), 'has-keys');
      for (const key of ['AKIM1', 'AKIM2']) mustBeDone(await catalog.deleteAccessKey(key));
      mustBeDone(await catalog.deleteEntity(userName('kim')));
      assert.equal(await catalog.findEntityById(made.id), null);
      assert.equal(reasonOf(await catalog.deleteEntity(userName('kim'))), 'no-such-entity');
    });

    it('keep their account', async () => {
      assert.equal(reasonOf(await kit().catalog.deleteAccount(OTHER.id)), 'has-entities');
    });
  });
}
