/** Versions, the null version, delete markers and object lock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newWriteId } from '../../src/base/ids.ts';
import { ATTRIBUTES, blobOf, type Kit, mustBeDone, reasonOf } from './contract-kit.ts';

export function versioningContract(kit: () => Kit): void {
  describe('versions', () => {
    it('keeps every version, the latest first', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const first = await k.put(bucketId, 'k', { etag: '1' });
      const second = await k.put(bucketId, 'k', { etag: '2' });
      assert.notEqual(first.versionId, second.versionId);
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.etag, '2');
      const old = await k.catalog.findVersion(bucketId, 'k', first.versionId);
      assert.deepEqual([old?.etag, old?.isLatest], ['1', false]);
      assert.equal(await k.catalog.findVersion(bucketId, 'other', first.versionId), null);
      assert.deepEqual(await k.versions(bucketId), [`k@${second.versionId}*`, `k@${first.versionId}`]);
      assert.deepEqual(await k.keys(bucketId), ['k']);
    });

    it('hides a key behind a delete marker, and shows it again without', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const { versionId } = await k.put(bucketId, 'k');
      const marker = mustBeDone(await k.delete(bucketId, 'k'));
      assert.equal(marker.deleteMarker, true);
      const latest = await k.catalog.findVersion(bucketId, 'k');
      assert.deepEqual([latest?.isDeleteMarker, latest?.size, latest?.etag], [true, 0, '']);
      assert.deepEqual(await k.keys(bucketId), []);
      assert.equal(reasonOf(await k.tryPut(bucketId, 'k', { condition: { ifMatch: '*' } })), 'no-such-key');
      const removed = mustBeDone(await k.delete(bucketId, 'k', { versionId: marker.versionId! }));
      assert.deepEqual(removed, { existed: true, versionId: marker.versionId, deleteMarker: true });
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.versionId, versionId);
      assert.deepEqual(await k.keys(bucketId), ['k']);
      assert.equal(mustBeDone(await k.delete(bucketId, 'nothing')).deleteMarker, true);
    });

    it('promotes the next version when the latest is removed, and lets its bytes die', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const blob = blobOf(3);
      const first = await k.put(bucketId, 'k');
      const second = await k.put(bucketId, 'k', { content: { kind: 'blob', blob, intentAt: Date.now() } });
      mustBeDone(await k.delete(bucketId, 'k', { versionId: second.versionId }));
      assert.deepEqual(await k.versions(bucketId), [`k@${first.versionId}*`]);
      assert.ok((await k.dying()).has(blob.id));
      mustBeDone(await k.delete(bucketId, 'k', { versionId: first.versionId }));
      assert.deepEqual(await k.versions(bucketId), []);
    });

    it('keeps the null version from before, and replaces it alone once suspended', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      await k.put(bucketId, 'k', { etag: 'old' });
      mustBeDone(await k.catalog.setVersioning(bucketId, 'enabled'));
      const { versionId } = await k.put(bucketId, 'k', { etag: 'versioned' });
      assert.deepEqual(await k.versions(bucketId), [`k@${versionId}*`, 'k@null']);
      assert.equal((await k.catalog.findVersion(bucketId, 'k', 'null'))?.etag, 'old');
      mustBeDone(await k.catalog.setVersioning(bucketId, 'suspended'));
      assert.equal((await k.put(bucketId, 'k', { etag: 'new null' })).versionId, 'null');
      assert.deepEqual(await k.versions(bucketId), ['k@null*', `k@${versionId}`]);
      assert.equal((await k.put(bucketId, 'k', { etag: 'newer null' })).versionId, 'null');
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.etag, 'newer null');
      const marker = mustBeDone(await k.delete(bucketId, 'k'));
      assert.deepEqual(marker, { existed: true, versionId: 'null', deleteMarker: true });
      assert.deepEqual(await k.versions(bucketId), ['k@null!*', `k@${versionId}`]);
      assert.deepEqual(await k.keys(bucketId), []);
      await k.put(bucketId, 'k', { etag: 'over the marker' });
      assert.deepEqual(await k.keys(bucketId), ['k']);
      mustBeDone(await k.delete(bucketId, 'k', { versionId: 'null' }));
      assert.deepEqual(await k.versions(bucketId), [`k@${versionId}*`]);
    });

    it('tags and conditions reach the version that they name', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const first = await k.put(bucketId, 'k', { etag: '1' });
      const second = await k.put(bucketId, 'k', { etag: '2' });
      const tags = { t: '1' };
      const { versionId } = first;
      mustBeDone(await k.catalog.setTags({ writeId: newWriteId(), bucketId, key: 'k', versionId, tags }));
      assert.deepEqual((await k.catalog.findVersion(bucketId, 'k', versionId))?.tags, tags);
      assert.deepEqual((await k.catalog.findVersion(bucketId, 'k'))?.tags, {});
      const wrong = await k.delete(bucketId, 'k', { versionId, condition: { ifMatch: '2' } });
      assert.equal(reasonOf(wrong), 'precondition-failed');
      mustBeDone(await k.delete(bucketId, 'k', { versionId, condition: { ifMatch: '1' } }));
      const marker = mustBeDone(await k.delete(bucketId, 'k'));
      const onMarker = { writeId: newWriteId(), bucketId, key: 'k', tags };
      assert.equal(reasonOf(await k.catalog.setTags(onMarker)), 'no-such-key');
      const named = await k.catalog.setTags({ ...onMarker, versionId: marker.versionId! });
      assert.equal(reasonOf(named), 'no-such-version');
      assert.equal((await k.catalog.findVersion(bucketId, 'k', second.versionId))?.isLatest, false);
    });

    it('holds object lock against the removal of a version, not against a delete marker', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const until = new Date(Date.now() + 3_600_000);
      const put = async (key: string, more: object) =>
        (await k.put(bucketId, key, { attributes: { ...ATTRIBUTES, ...more } })).versionId;
      const governed = await put('governed', { retention: { mode: 'GOVERNANCE', until } });
      const complied = await put('complied', { retention: { mode: 'COMPLIANCE', until } });
      const held = await put('held', { legalHold: true });
      const past = await put('past', {
        retention: { mode: 'COMPLIANCE', until: new Date(Date.now() - 1000) },
      });
      const remove = async (key: string, versionId: string, bypassGovernance = false) =>
        reasonOf(await k.delete(bucketId, key, { versionId, bypassGovernance }));
      assert.equal(await remove('governed', governed), 'locked');
      assert.equal(await remove('complied', complied, true), 'locked');
      assert.equal(await remove('held', held, true), 'locked');
      assert.equal(await remove('past', past), 'done');
      assert.equal(mustBeDone(await k.delete(bucketId, 'governed')).deleteMarker, true);
      assert.equal(await remove('governed', governed, true), 'done');
    });
  });
}
