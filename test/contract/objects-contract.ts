/** Puts, lookups, deletes, conditions, tags and shared blobs, in a bucket without versioning. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newWriteId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { ObjectAttributes } from '../../src/ddm/catalog.ts';
import { ATTRIBUTES, blobOf, type Kit, mustBeDone, reasonOf } from './contract-kit.ts';

export function objectsContract(kit: () => Kit): void {
  describe('objects', () => {
    it('gives back what was put, whatever the text', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const attributes: ObjectAttributes = {
        system: { contentType: 'text/plain', cacheControl: 'no-cache', contentLanguage: 'de' },
        user: { name: 'Ünïcode "quoted" \\u0000 \\ud800', empty: '' },
        tags: { 'a b': 'c=d', ü: '𝒳' },
        storageClass: 'STANDARD_IA',
      };
      const checksum = { algorithm: 'CRC32', type: 'FULL_OBJECT', value: 'AAAAAA==' } as const;
      const blob = blobOf(7);
      const content = { kind: 'blob', blob, intentAt: Date.now() } as const;
      const key = 'dir/ü 𝒳 %_\\"\'{},\u{10ffff}\u0001';
      const { versionId, lastModified } = await k.put(bucketId, key, {
        size: 7,
        etag: 'e',
        attributes,
        checksum,
        content,
      });
      assert.equal(versionId, 'null');
      const found = await k.catalog.findVersion(bucketId, key);
      assert.partialDeepStrictEqual(found, {
        ...{
          bucketId,
          key,
          versionId,
          isLatest: true,
          isDeleteMarker: false,
          lastModified,
          owner: 'owner-1',
        },
        ...{ size: 7, etag: 'e', checksum, content: { kind: 'blob', blob }, ...attributes },
      });
      assert.deepEqual(await k.catalog.findVersion(bucketId, key, 'null'), found);
      assert.equal(await k.catalog.findVersion(bucketId, key, 'no-id-of-ours'), null);
      assert.equal(await k.catalog.findVersion(bucketId, `${key}x`), null);
      const page = await k.catalog.listObjects({
        bucketId,
        prefix: 'dir/',
        delimiter: '',
        after: '',
        maxKeys: 2,
      });
      assert.equal(page.entries.length, 1);
      assert.equal(page.truncated, false);
      const entry = page.entries[0];
      assert.partialDeepStrictEqual(found, entry?.kind === 'item' ? entry.item : null);
    });

    it('keeps empty objects, off-map replicas, retention and holds', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      await k.put(bucketId, 'empty', { size: 0, content: { kind: 'empty' } });
      assert.deepEqual((await k.catalog.findVersion(bucketId, 'empty'))?.content, { kind: 'empty' });
      const blob = { ...blobOf(3), offMap: ['node-b12', 'node-b13'] as never[] };
      const until = new Date(Date.now() + 60_000);
      const attributes = {
        ...ATTRIBUTES,
        retention: { mode: 'GOVERNANCE', until },
        legalHold: true,
      } as const;
      await k.put(bucketId, 'held', { attributes, content: { kind: 'blob', blob, intentAt: Date.now() } });
      const found = await k.catalog.findVersion(bucketId, 'held');
      assert.deepEqual(found?.content, { kind: 'blob', blob });
      assert.deepEqual(found?.retention, { mode: 'GOVERNANCE', until });
      assert.equal(found?.legalHold, true);
    });

    it('overwrites in place and lets the old bytes die', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const old = blobOf(3);
      await k.put(bucketId, 'k', { content: { kind: 'blob', blob: old, intentAt: Date.now() } });
      await k.put(bucketId, 'k', { etag: 'new' });
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.etag, 'new');
      assert.deepEqual(await k.versions(bucketId), ['k@null*']);
      assert.equal(await k.known(old), 1);
      assert.ok((await k.dying()).has(old.id));
      await k.catalog.forgetBlobs([old.id]);
      assert.equal(await k.known(old), 0);
    });

    it('deletes, and says whether there was anything', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      assert.deepEqual(mustBeDone(await k.delete(bucketId, 'k')), { existed: false });
      await k.put(bucketId, 'k');
      assert.deepEqual(mustBeDone(await k.delete(bucketId, 'k')), { existed: true });
      assert.equal(await k.catalog.findVersion(bucketId, 'k'), null);
      await k.put(bucketId, 'k');
      assert.deepEqual(mustBeDone(await k.delete(bucketId, 'k', { versionId: 'no-id-of-ours' })), {
        existed: false,
      });
      const named = mustBeDone(await k.delete(bucketId, 'k', { versionId: 'null' }));
      assert.deepEqual(named, { existed: true, versionId: 'null', deleteMarker: false });
      assert.deepEqual(await k.keys(bucketId), []);
    });

    it('holds conditions of a put against the current object', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const put = async (condition: object, etag = 'x') =>
        reasonOf(await k.tryPut(bucketId, 'k', { condition, etag }));
      assert.equal(await put({ ifMatch: '*' }), 'no-such-key');
      assert.equal(await put({ ifMatch: 'x' }), 'no-such-key');
      assert.equal(await put({ ifNoneMatch: 'x' }), 'done');
      assert.equal(await put({ ifNoneMatch: '*' }), 'precondition-failed');
      assert.equal(await put({ ifNoneMatch: 'x' }), 'precondition-failed');
      assert.equal(await put({ ifMatch: 'y' }), 'precondition-failed');
      assert.equal(await put({ ifMatch: 'x', ifNoneMatch: 'y' }, 'z'), 'done');
      assert.equal(await put({ ifMatch: '*' }, 'last'), 'done');
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.etag, 'last');
      mustBeDone(await k.delete(bucketId, 'k'));
      assert.equal(await put({ ifNoneMatch: '*' }), 'done');
    });

    it('lets nothing of a refused put remain', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const blob = blobOf(3);
      const content = { kind: 'blob', blob, intentAt: Date.now() } as const;
      await k.tryPut(bucketId, 'k', { condition: { ifMatch: '*' }, content });
      assert.equal(await k.known(blob), 0);
      const late = { ...content, intentAt: Date.now() - LIMITS.intentMs - 60_000 };
      assert.equal(reasonOf(await k.tryPut(bucketId, 'k', { content: late })), 'intent-expired');
      assert.equal(await k.known(blob), 0);
      assert.deepEqual(await k.keys(bucketId), []);
    });

    it('holds conditions of a delete against the row that it would act on', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const del = async (condition: object) => reasonOf(await k.delete(bucketId, 'k', { condition }));
      assert.deepEqual(mustBeDone(await k.delete(bucketId, 'k', { condition: { ifMatch: 'x' } })), {
        existed: false,
      });
      const { lastModified } = await k.put(bucketId, 'k', { etag: 'x' });
      assert.equal(await del({ ifMatch: 'y' }), 'precondition-failed');
      assert.equal(await del({ ifMatchSize: 4 }), 'precondition-failed');
      assert.equal(
        await del({ ifMatchLastModified: new Date(lastModified.getTime() + 5000) }),
        'precondition-failed',
      );
      const wholeSecond = new Date(Math.floor(lastModified.getTime() / 1000) * 1000);
      assert.equal(await del({ ifMatch: 'x', ifMatchSize: 3, ifMatchLastModified: wholeSecond }), 'done');
      assert.deepEqual(await k.keys(bucketId), []);
    });

    it('replaces tags alone', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const tag = (key: string, versionId?: string) =>
        k.catalog.setTags({
          ...{ writeId: newWriteId(), bucketId, key, tags: { t: 'v' } },
          ...(versionId !== undefined && { versionId }),
        });
      assert.equal(reasonOf(await tag('k')), 'no-such-key');
      await k.put(bucketId, 'k', { attributes: { ...ATTRIBUTES, tags: { old: '1' }, user: { u: '1' } } });
      const before = await k.catalog.findVersion(bucketId, 'k');
      assert.deepEqual(mustBeDone(await tag('k')), { versionId: 'null' });
      assert.deepEqual(await k.catalog.findVersion(bucketId, 'k'), { ...before, tags: { t: 'v' } });
      mustBeDone(await tag('k', 'null'));
      assert.equal(reasonOf(await tag('k', 'no-id-of-ours')), 'no-such-version');
    });

    it('shares bytes until the last reference has gone, and never revives what is dying', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const blob = blobOf(3);
      const share = { kind: 'share', content: { kind: 'blob', blob } } as const;
      await k.put(bucketId, 'a', { content: { kind: 'blob', blob, intentAt: Date.now() } });
      await k.put(bucketId, 'b', { content: share });
      await k.put(bucketId, 'a', { content: share, etag: 'onto itself' });
      mustBeDone(await k.delete(bucketId, 'a'));
      assert.ok(!(await k.dying()).has(blob.id));
      assert.deepEqual((await k.catalog.findVersion(bucketId, 'b'))?.content, { kind: 'blob', blob });
      mustBeDone(await k.delete(bucketId, 'b'));
      assert.equal(reasonOf(await k.tryPut(bucketId, 'c', { content: share })), 'blob-dying');
      assert.ok((await k.dying()).has(blob.id));
      await k.put(bucketId, 'e', { size: 0, content: { kind: 'share', content: { kind: 'empty' } } });
    });
  });
}
