/**
 * What every implementation of the catalog does; runs on the model and on Postgres. Each test makes its own bucket,
 * so one catalog serves them all.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type AccountId, newWriteId } from '../../src/base/ids.ts';
import { accessContract } from './access-contract.ts';
import { concurrencyContract } from './concurrency-contract.ts';
import {
  Kit,
  type MakeCatalog,
  mustBeDone,
  newName,
  OTHER,
  OWNER,
  reasonOf,
  type Subject,
} from './contract-kit.ts';
import { entitiesContract } from './entities-contract.ts';
import { listingContract } from './listing-contract.ts';
import { locksContract } from './locks-contract.ts';
import { objectsContract } from './objects-contract.ts';
import { quotasContract } from './quotas-contract.ts';
import { uploadsContract } from './uploads-contract.ts';
import { versioningContract } from './versioning-contract.ts';

export function catalogContract(name: string, makeCatalog: MakeCatalog): void {
  describe(`the catalog's contract: ${name}`, () => {
    let subject: Subject;
    let kit: Kit;
    before(async () => {
      subject = await makeCatalog();
      kit = new Kit(subject.catalog);
    });
    after(() => subject.close());

    accountsContract(() => kit);
    entitiesContract(() => kit);
    bucketsContract(() => kit);
    objectsContract(() => kit);
    versioningContract(() => kit);
    locksContract(() => kit);
    accessContract(() => kit);
    uploadsContract(() => kit);
    quotasContract(() => kit);
    listingContract(() => kit);
    concurrencyContract(() => kit);
  });
}

function accountsContract(kit: () => Kit): void {
  describe('accounts and keys', () => {
    const id = (text: string) => text as AccountId;

    it('keeps accounts, once each', async () => {
      const { catalog } = kit();
      const account = {
        id: id('alice'),
        displayName: 'Alice',
        email: 'a@example.com',
        tenant: 't',
        isRoot: false,
      };
      assert.deepEqual(mustBeDone(await catalog.createAccount(account)), account);
      assert.equal(reasonOf(await catalog.createAccount(account)), 'exists');
      assert.deepEqual(await catalog.findAccount(account.id), account);
      assert.equal(await catalog.findAccount(id('nobody')), null);
      mustBeDone(await catalog.createAccount({ id: id('Zed'), displayName: 'Z', isRoot: false }));
      const ids = (await catalog.listAccounts()).map((a) => a.id).filter((a) => a === 'alice' || a === 'Zed');
      assert.deepEqual(ids, ['Zed', 'alice']);
    });

    it('gives keys with their account, and stops giving them as they were once changed', async () => {
      const { catalog } = kit();
      mustBeDone(await catalog.createAccount({ id: id('bob'), displayName: 'Bob', isRoot: true }));
      const key = { accessKeyId: 'AKBOB', account: id('bob'), sealedSecret: Buffer.from([1, 0, 255]) };
      assert.equal(
        reasonOf(await catalog.createAccessKey({ ...key, account: id('nobody') })),
        'no-such-account',
      );
      assert.equal(await catalog.findAccessKey('AKBOB'), null);
      const made = mustBeDone(await catalog.createAccessKey(key));
      assert.equal(made.status, 'active');
      assert.equal(reasonOf(await catalog.createAccessKey(key)), 'exists');
      const found = await catalog.findAccessKey('AKBOB');
      assert.deepEqual(found?.sealedSecret, key.sealedSecret);
      assert.equal(found?.account.isRoot, true);
      mustBeDone(await catalog.setAccessKeyStatus('AKBOB', 'inactive'));
      assert.equal((await catalog.findAccessKey('AKBOB'))?.status, 'inactive');
      const anew = Buffer.from('sealed anew');
      mustBeDone(await catalog.resealAccessKey('AKBOB', key.sealedSecret, anew));
      assert.deepEqual((await catalog.findAccessKey('AKBOB'))?.sealedSecret, anew);
      assert.equal(reasonOf(await catalog.resealAccessKey('AKBOB', key.sealedSecret, anew)), 'no-such-key');
      assert.equal((await catalog.listAccessKeys(id('bob'))).length, 1);
      mustBeDone(await catalog.deleteAccessKey('AKBOB'));
      assert.equal(await catalog.findAccessKey('AKBOB'), null);
      assert.equal(reasonOf(await catalog.deleteAccessKey('AKBOB')), 'no-such-key');
      assert.equal(reasonOf(await catalog.setAccessKeyStatus('AKBOB', 'active')), 'no-such-key');
    });

    it('removes an account that nothing hangs on, and never the root account', async () => {
      const { catalog } = kit();
      mustBeDone(await catalog.createAccount({ id: id('carol'), displayName: 'Carol', isRoot: false }));
      mustBeDone(await catalog.createAccount({ id: id('root'), displayName: 'Root', isRoot: true }));
      const key = { accessKeyId: 'AKCAROL', account: id('carol'), sealedSecret: Buffer.from('s') };
      mustBeDone(await catalog.createAccessKey(key));
      assert.equal(reasonOf(await catalog.deleteAccount(id('carol'))), 'has-keys');
      mustBeDone(await catalog.deleteAccessKey('AKCAROL'));
      const bucket = { name: newName(), owner: id('carol'), region: 'r', objectLock: false };
      const { id: bucketId } = mustBeDone(await catalog.createBucket(bucket));
      assert.equal(reasonOf(await catalog.deleteAccount(id('carol'))), 'has-buckets');
      mustBeDone(await catalog.deleteBucket(bucketId));
      mustBeDone(await catalog.deleteAccount(id('carol')));
      assert.equal(reasonOf(await catalog.deleteAccount(id('carol'))), 'no-such-account');
      assert.equal(reasonOf(await catalog.deleteAccount(id('root'))), 'root');
    });
  });
}

function bucketsContract(kit: () => Kit): void {
  describe('buckets', () => {
    it('creates a bucket once, and says whose it is', async () => {
      const { catalog } = kit();
      const b = { name: newName(), owner: OWNER, region: 'eu-west-1', objectLock: false };
      const bucket = mustBeDone(await catalog.createBucket({ ...b, settings: { tagging: { a: 'b' } } }));
      assert.equal(bucket.versioning, 'unversioned');
      assert.equal(bucket.region, 'eu-west-1');
      assert.deepEqual(await catalog.findBucket(b.name), bucket);
      assert.equal(reasonOf(await catalog.createBucket(b)), 'owned-by-you');
      assert.equal(reasonOf(await catalog.createBucket({ ...b, owner: OTHER })), 'exists');
      assert.equal(await catalog.findBucket(newName()), null);
    });

    it('lists by owner, prefix and page, in byte order', async () => {
      const { catalog } = kit();
      const owner = `lister-${newName()}` as AccountId;
      for (const name of ['m-b', 'm-a', 'm-c', 'n-a'])
        mustBeDone(
          await catalog.createBucket({ name: `${owner}-${name}`, owner, region: 'r', objectLock: false }),
        );
      const names = async (prefix: string, from: string, max: number) => {
        const page = await catalog.listBuckets({ owner, prefix: `${owner}-${prefix}`, after: from, max });
        return [page.buckets.map((bucket) => bucket.name.slice(owner.length + 1)), page.truncated];
      };
      assert.deepEqual(await names('', '', 10), [['m-a', 'm-b', 'm-c', 'n-a'], false]);
      assert.deepEqual(await names('m-', '', 2), [['m-a', 'm-b'], true]);
      assert.deepEqual(await names('m-', `${owner}-m-b`, 2), [['m-c'], false]);
      const all = await catalog.listBuckets({ prefix: `${owner}-n`, after: '', max: 10 });
      assert.equal(all.buckets.length, 1);
    });

    it('deletes an empty bucket alone; versions and markers keep it, uploads do not', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const { versionId } = await k.put(bucketId, 'a');
      assert.equal(reasonOf(await k.catalog.deleteBucket(bucketId)), 'not-empty');
      const marker = mustBeDone(await k.delete(bucketId, 'a'));
      mustBeDone(await k.delete(bucketId, 'a', { versionId }));
      assert.equal(reasonOf(await k.catalog.deleteBucket(bucketId)), 'not-empty');
      mustBeDone(await k.delete(bucketId, 'a', { versionId: marker.versionId! }));
      const upload = await k.upload(bucketId, 'u');
      const blob = await k.part(bucketId, upload.uploadId, 1, 5);
      mustBeDone(await k.catalog.deleteBucket(bucketId));
      assert.ok((await k.dying()).has(blob.id));
      assert.equal(reasonOf(await k.catalog.deleteBucket(bucketId)), 'no-such-bucket');
      assert.equal(reasonOf(await k.tryPut(bucketId, 'a')), 'bucket-gone');
      assert.equal(reasonOf(await k.delete(bucketId, 'a')), 'bucket-gone');
    });

    it('gives a name away again, with another id', async () => {
      const k = kit();
      const b = { name: newName(), owner: OWNER, region: 'r', objectLock: false };
      const first = mustBeDone(await k.catalog.createBucket(b));
      mustBeDone(await k.catalog.deleteBucket(first.id));
      assert.equal(await k.catalog.findBucket(b.name), null);
      const second = mustBeDone(await k.catalog.createBucket({ ...b, owner: OTHER }));
      assert.notEqual(second.id, first.id);
      assert.equal((await k.catalog.findBucket(b.name))?.owner, OTHER);
    });

    it('keeps settings and versioning, and shows changes at once', async () => {
      const { catalog } = kit();
      const b = { name: newName(), owner: OWNER, region: 'r', objectLock: false };
      const { id } = mustBeDone(await catalog.createBucket(b));
      await catalog.findBucket(b.name);
      mustBeDone(await catalog.setBucketSetting(id, 'cors', [{ origin: 'é"\\' }]));
      mustBeDone(await catalog.setBucketSetting(id, 'policy', 'text'));
      assert.deepEqual((await catalog.findBucket(b.name))?.settings, {
        cors: [{ origin: 'é"\\' }],
        policy: 'text',
      });
      mustBeDone(await catalog.setBucketSetting(id, 'cors', null));
      mustBeDone(await catalog.setVersioning(id, 'enabled'));
      const found = await catalog.findBucket(b.name);
      assert.deepEqual(found?.settings, { policy: 'text' });
      assert.equal(found?.versioning, 'enabled');
      mustBeDone(await catalog.deleteBucket(id));
      assert.equal(reasonOf(await catalog.setBucketSetting(id, 'cors', 1)), 'no-such-bucket');
      assert.equal(reasonOf(await catalog.setVersioning(id, 'enabled')), 'no-such-bucket');
    });

    it('keeps versioning on where object lock is', async () => {
      const { catalog } = kit();
      const b = { name: newName(), owner: OWNER, region: 'r', objectLock: true };
      const bucket = mustBeDone(await catalog.createBucket(b));
      assert.equal(bucket.versioning, 'enabled');
      assert.equal(reasonOf(await catalog.setVersioning(bucket.id, 'suspended')), 'locked');
    });

    it('answers for its directories', async () => {
      const [status] = await kit().catalog.status();
      assert.equal(status?.writable, true);
    });

    it('refuses writes into what never was', async () => {
      const k = kit();
      const bucketId = 987_654_321 as Awaited<ReturnType<Kit['bucket']>>;
      assert.equal(reasonOf(await k.tryPut(bucketId, 'a')), 'bucket-gone');
      const tags = { writeId: newWriteId(), bucketId, key: 'a', tags: {} };
      assert.equal(reasonOf(await k.catalog.setTags(tags)), 'bucket-gone');
    });
  });
}
