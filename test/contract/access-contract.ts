/** ACLs, encryption and storage classes of versions: carried by every kind of write, and changed in place. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AccountId, type BucketId, newWriteId } from '../../src/base/ids.ts';
import type { Acl, Amendment, ObjectAttributes, ObjectEncryption } from '../../src/ddm/catalog.ts';
import { ATTRIBUTES, type Kit, mustBeDone, OTHER, OWNER, reasonOf } from './contract-kit.ts';

const READERS: Acl = [
  { grantee: { account: OWNER }, permission: 'FULL_CONTROL' },
  { grantee: { group: 'AllUsers' }, permission: 'READ' },
];
const FRIEND: Acl = [{ grantee: { account: 'friend' as AccountId }, permission: 'READ_ACP' }];
const SEALED: ObjectEncryption = { algorithm: 'AES256', keyId: 'one', sealedKey: 'c2VhbGVk' };
const RESEALED: ObjectEncryption = { algorithm: 'AES256', keyId: 'two', sealedKey: 'YWdhaW4=' };
const ACCESS: ObjectAttributes = { ...ATTRIBUTES, acl: READERS, encryption: SEALED };

export function accessContract(kit: () => Kit): void {
  const row = async (bucketId: BucketId, key: string, versionId?: string) => {
    const found = await kit().catalog.findVersion(bucketId, key, versionId);
    assert.ok(found);
    const { acl, encryption, storageClass, owner } = found;
    return { acl, encryption, storageClass, owner };
  };
  const amend = (bucketId: BucketId, a: Partial<Amendment>) =>
    kit().catalog.amendVersion({ writeId: newWriteId(), bucketId, key: 'k', ...a });

  describe('ACL and encryption', () => {
    it('are those of the write, and gone with the next', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      await k.put(bucketId, 'k', { attributes: ACCESS });
      const first = { acl: READERS, encryption: SEALED, storageClass: 'STANDARD', owner: OWNER };
      assert.deepEqual(await row(bucketId, 'k'), first);
      await k.put(bucketId, 'k', { owner: OTHER });
      assert.deepEqual(await row(bucketId, 'k'), {
        ...{ acl: undefined, encryption: undefined, storageClass: 'STANDARD', owner: OTHER },
      });
      await k.put(bucketId, 'k', { attributes: { ...ACCESS, acl: [] } });
      assert.deepEqual((await row(bucketId, 'k')).acl, []);
    });

    it('of an upload become those of its object', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const named = { writeId: newWriteId(), bucketId, key: 'k', owner: OTHER, attributes: ACCESS };
      const upload = mustBeDone(await k.catalog.createUpload(named));
      assert.deepEqual((await k.catalog.findUpload(bucketId, 'k', upload.uploadId))?.attributes, ACCESS);
      await k.part(bucketId, upload.uploadId, 1, 5);
      mustBeDone(await k.complete(bucketId, upload, [1], 5));
      const { acl, encryption, owner } = await row(bucketId, 'k');
      assert.deepEqual([acl, encryption, owner], [READERS, SEALED, OTHER]);
    });
  });

  describe('changing a version in place', () => {
    it('changes what is named and nothing else', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const { versionId } = await k.put(bucketId, 'k', { attributes: ACCESS });
      await k.put(bucketId, 'k');
      const before = await k.catalog.findVersion(bucketId, 'k', versionId);
      assert.equal(mustBeDone(await amend(bucketId, { versionId, acl: FRIEND })).versionId, versionId);
      assert.deepEqual(await k.catalog.findVersion(bucketId, 'k', versionId), { ...before, acl: FRIEND });
      mustBeDone(await amend(bucketId, { versionId, storageClass: 'COLD', encryption: RESEALED }));
      assert.deepEqual(await row(bucketId, 'k', versionId), {
        ...{ acl: FRIEND, encryption: RESEALED, storageClass: 'COLD', owner: OWNER },
      });
      mustBeDone(await amend(bucketId, { versionId, acl: null, encryption: null }));
      assert.deepEqual(await row(bucketId, 'k', versionId), {
        ...{ acl: undefined, encryption: undefined, storageClass: 'COLD', owner: OWNER },
      });
      assert.equal((await row(bucketId, 'k')).storageClass, 'STANDARD');
      mustBeDone(await amend(bucketId, { acl: READERS }));
      assert.deepEqual((await row(bucketId, 'k')).acl, READERS);
    });

    it('is refused where there is nothing, or a delete marker', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      assert.equal(reasonOf(await amend(bucketId, { acl: FRIEND })), 'no-such-key');
      assert.equal(reasonOf(await amend(bucketId, { acl: FRIEND, versionId: 'null' })), 'no-such-version');
      await k.put(bucketId, 'k');
      const marker = mustBeDone(await k.delete(bucketId, 'k'));
      assert.equal(reasonOf(await amend(bucketId, { acl: FRIEND })), 'no-such-key');
      const named = { acl: FRIEND, versionId: marker.versionId! };
      assert.equal(reasonOf(await amend(bucketId, named)), 'no-such-version');
    });

    it('holds to its conditions', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const { lastModified } = await k.put(bucketId, 'k', { attributes: ACCESS, etag: 'e', size: 3 });
      const tried = async (condition: Amendment['condition']) =>
        reasonOf(await amend(bucketId, { encryption: RESEALED, ...(condition && { condition }) }));
      assert.equal(await tried({ ifEncryption: null }), 'precondition-failed');
      assert.equal(await tried({ ifEncryption: RESEALED }), 'precondition-failed');
      assert.equal(await tried({ ifMatch: 'other' }), 'precondition-failed');
      assert.equal(await tried({ ifMatch: 'e', ifMatchSize: 4 }), 'precondition-failed');
      assert.deepEqual((await row(bucketId, 'k')).encryption, SEALED);
      // Whatever order its members have.
      const { algorithm, ...rest } = SEALED;
      const same = { ...rest, algorithm };
      const held = { ifMatch: 'e', ifMatchSize: 3, ifMatchLastModified: lastModified, ifEncryption: same };
      assert.equal(await tried(held), 'done');
      assert.deepEqual((await row(bucketId, 'k')).encryption, RESEALED);
    });

    it('does not touch what locks a version', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const retention = { mode: 'COMPLIANCE', until: new Date(Date.now() + 86_400_000) } as const;
      await k.put(bucketId, 'k', { attributes: { ...ACCESS, retention, legalHold: true } });
      mustBeDone(await amend(bucketId, { acl: FRIEND }));
      const found = await k.catalog.findVersion(bucketId, 'k');
      assert.deepEqual([found?.retention, found?.legalHold], [retention, true]);
    });
  });
}
