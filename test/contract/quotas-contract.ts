/** Quotas and usage: never exceeded, whoever writes at once; freed by what goes; figures that equal a full count. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AccountId, type BucketId, newWriteId, type UploadId } from '../../src/base/ids.ts';
import type { BucketUsage, Catalog } from '../../src/ddm/catalog.ts';
import { ATTRIBUTES, blobOf, type Kit, mustBeDone, newName, reasonOf } from './contract-kit.ts';

const count = (all: readonly string[], value: string) => all.filter((other) => other === value).length;
let accounts = 0;

/** A bucket of an account of its own. */
async function made({ catalog }: Kit, versioning?: 'enabled' | 'suspended') {
  const owner = `quota-${++accounts}-${newName()}` as AccountId;
  mustBeDone(await catalog.createAccount({ id: owner, displayName: 'Q', isRoot: false }));
  const more = async () => {
    const bucket = { name: newName(), owner, region: 'r', objectLock: false };
    return mustBeDone(await catalog.createBucket(bucket));
  };
  const { id, name } = await more();
  if (versioning) mustBeDone(await catalog.setVersioning(id, 'enabled'));
  if (versioning === 'suspended') mustBeDone(await catalog.setVersioning(id, 'suspended'));
  return { owner, id, name, more };
}

async function usage(catalog: Catalog, name: string): Promise<BucketUsage> {
  const { buckets } = await catalog.listBucketUsage({ name, after: '', max: 10 });
  assert.equal(buckets.length, 1);
  return buckets[0]!;
}
const figures = async (catalog: Catalog, name: string) => {
  const { objects, bytes, uploadBytes } = await usage(catalog, name);
  return [objects, bytes, uploadBytes];
};

const tryPart = (k: Kit, bucketId: BucketId, uploadId: UploadId, partNumber: number, size: number) => {
  const content = { kind: 'blob', blob: blobOf(size), intentAt: Date.now() } as const;
  const etag = `part-${partNumber}`;
  return k.catalog.putPart({ writeId: newWriteId(), bucketId, uploadId, partNumber, size, etag, content });
};

export function quotasContract(kit: () => Kit): void {
  describe('usage', () => {
    it('counts versions and their bytes, and nothing for delete markers', async () => {
      const k = kit();
      const { id, name, owner } = await made(k, 'enabled');
      await k.put(id, 'a', { size: 5 });
      const { versionId } = await k.put(id, 'a', { size: 7 });
      await k.put(id, 'b', { size: 0, content: { kind: 'empty' } });
      assert.deepEqual(await figures(k.catalog, name), [3, 12, 0]);
      mustBeDone(await k.delete(id, 'a'));
      assert.deepEqual(await figures(k.catalog, name), [3, 12, 0]);
      mustBeDone(await k.delete(id, 'a', { versionId }));
      assert.deepEqual(await figures(k.catalog, name), [2, 5, 0]);
      assert.deepEqual(await k.catalog.listAccountUsage(owner), [
        {
          account: owner,
          buckets: 1,
          objects: 2,
          bytes: 5,
          uploadBytes: 0,
          quota: { bytes: null, objects: null },
        },
      ]);
    });

    it('counts the parts of open uploads apart, until they become an object or go', async () => {
      const k = kit();
      const { id, name } = await made(k);
      const upload = await k.upload(id, 'k');
      for (const [number, size] of [
        [1, 10],
        [2, 20],
        [2, 5],
        [3, 40],
      ] as const)
        await k.part(id, upload.uploadId, number, size);
      assert.deepEqual(await figures(k.catalog, name), [0, 0, 55]);
      const other = await k.upload(id, 'k');
      await k.part(id, other.uploadId, 1, 100);
      mustBeDone(await k.complete(id, upload, [1, 2], 15));
      assert.deepEqual(await figures(k.catalog, name), [1, 15, 100]);
      mustBeDone(await k.complete(id, upload, [1, 2], 15));
      mustBeDone(await k.catalog.abortUpload(id, 'k', other.uploadId));
      assert.deepEqual(await figures(k.catalog, name), [1, 15, 0]);
    });

    it('is listed by name, in pages, for one account', async () => {
      const { catalog } = kit();
      const { owner, more } = await made(kit());
      await more();
      await more();
      const names: string[] = [];
      for (let after = '', truncated = true; truncated; after = names.at(-1)!) {
        const page = await catalog.listBucketUsage({ owner, after, max: 2 });
        names.push(...page.buckets.map(({ bucket }) => bucket));
        truncated = page.truncated;
      }
      assert.equal(names.length, 3);
      assert.deepEqual(names, names.toSorted());
      assert.equal((await catalog.listAccountUsage(owner))[0]?.buckets, 3);
      assert.ok((await catalog.listAccountUsage()).length > 1);
    });
  });

  describe('quotas', () => {
    it('are set, changed and removed one by one', async () => {
      const { catalog } = kit();
      const { id, name, owner } = await made(kit());
      const set = async (change: object) => mustBeDone(await catalog.setBucketQuota(id, change));
      assert.deepEqual(await set({}), { bytes: null, objects: null });
      assert.deepEqual(await set({ bytes: 100 }), { bytes: 100, objects: null });
      assert.deepEqual(await set({ objects: 3 }), { bytes: 100, objects: 3 });
      assert.deepEqual((await usage(catalog, name)).quota, { bytes: 100, objects: 3 });
      assert.deepEqual(await set({ bytes: null }), { bytes: null, objects: 3 });
      assert.deepEqual(await set({ objects: null }), { bytes: null, objects: null });
      assert.deepEqual(mustBeDone(await catalog.setAccountQuota(owner, { bytes: 1 })), {
        bytes: 1,
        objects: null,
      });
      assert.deepEqual((await catalog.listAccountUsage(owner))[0]?.quota, { bytes: 1, objects: null });
      assert.equal(
        reasonOf(await catalog.setAccountQuota(newName() as AccountId, { bytes: 1 })),
        'no-such-account',
      );
      mustBeDone(await catalog.deleteBucket(id));
      assert.equal(reasonOf(await catalog.setBucketQuota(id, { bytes: 1 })), 'no-such-bucket');
    });

    it('refuse what goes over, and let pass what reaches them', async () => {
      const k = kit();
      const { id } = await made(k);
      await k.put(id, 'before', { size: 4 });
      mustBeDone(await k.catalog.setBucketQuota(id, { bytes: 10, objects: 2 }));
      assert.equal(reasonOf(await k.tryPut(id, 'a', { size: 7 })), 'over-quota');
      await k.put(id, 'a', { size: 6 });
      assert.equal(reasonOf(await k.tryPut(id, 'b', { size: 0, content: { kind: 'empty' } })), 'over-quota');
      // An overwrite counts what it adds, a delete frees.
      await k.put(id, 'a', { size: 5 });
      assert.equal(reasonOf(await k.tryPut(id, 'a', { size: 7 })), 'over-quota');
      await k.put(id, 'a', { size: 6 });
      mustBeDone(await k.delete(id, 'before'));
      await k.put(id, 'b', { size: 4 });
    });

    it('count every version, and no delete marker', async () => {
      const k = kit();
      const { id } = await made(k, 'enabled');
      mustBeDone(await k.catalog.setBucketQuota(id, { objects: 2 }));
      const { versionId } = await k.put(id, 'k');
      await k.put(id, 'k');
      assert.equal(reasonOf(await k.tryPut(id, 'k')), 'over-quota');
      mustBeDone(await k.delete(id, 'k'));
      assert.equal(reasonOf(await k.tryPut(id, 'k')), 'over-quota');
      mustBeDone(await k.delete(id, 'k', { versionId }));
      await k.put(id, 'k');
    });

    it('count what a write replaces where versioning is suspended', async () => {
      const k = kit();
      const { id } = await made(k, 'suspended');
      mustBeDone(await k.catalog.setBucketQuota(id, { objects: 1, bytes: 5 }));
      await k.put(id, 'k', { size: 5 });
      await k.put(id, 'k', { size: 5 });
      mustBeDone(await k.delete(id, 'k'));
      await k.put(id, 'k', { size: 5 });
      assert.equal(reasonOf(await k.tryPut(id, 'l', { size: 1 })), 'over-quota');
    });

    it('count copies, and refuse one without a trace', async () => {
      const k = kit();
      const { id, name } = await made(k);
      await k.put(id, 'k', { size: 5 });
      mustBeDone(await k.catalog.setBucketQuota(id, { bytes: 9 }));
      const { content } = (await k.catalog.findVersion(id, 'k'))!;
      const copy = { size: 5, content: { kind: 'share', content } as const };
      assert.equal(reasonOf(await k.tryPut(id, 'copy', copy)), 'over-quota');
      mustBeDone(await k.delete(id, 'k'));
      assert.ok(content.kind === 'blob' && (await k.dying()).has(content.blob.id));
      assert.deepEqual(await figures(k.catalog, name), [0, 0, 0]);
    });

    it('count parts as they come, and no byte twice when they are completed', async () => {
      const k = kit();
      const { id, name } = await made(k);
      mustBeDone(await k.catalog.setBucketQuota(id, { bytes: 100, objects: 1 }));
      const upload = await k.upload(id, 'k');
      const part = (number: number, size: number) => tryPart(k, id, upload.uploadId, number, size);
      mustBeDone(await part(1, 60));
      assert.equal(reasonOf(await part(2, 41)), 'over-quota');
      mustBeDone(await part(2, 40));
      mustBeDone(await part(2, 30));
      assert.equal(reasonOf(await k.tryPut(id, 'other', { size: 11 })), 'over-quota');
      await k.put(id, 'k', { size: 10 });
      mustBeDone(await k.complete(id, upload, [1, 2], 90));
      assert.deepEqual(await figures(k.catalog, name), [1, 90, 0]);
      const second = await k.upload(id, 'l');
      mustBeDone(await tryPart(k, id, second.uploadId, 1, 10));
      assert.equal(reasonOf(await k.complete(id, second, [1], 10)), 'over-quota');
      mustBeDone(await k.delete(id, 'k'));
      mustBeDone(await k.complete(id, second, [1], 10));
      assert.deepEqual(await figures(k.catalog, name), [1, 10, 0]);
    });

    it('below what is in use let nothing grow and everything shrink', async () => {
      const k = kit();
      const { id } = await made(k);
      await k.put(id, 'a', { size: 10 });
      await k.put(id, 'b', { size: 10 });
      mustBeDone(await k.catalog.setBucketQuota(id, { bytes: 5, objects: 1 }));
      assert.equal(reasonOf(await k.tryPut(id, 'a', { size: 11 })), 'over-quota');
      await k.put(id, 'a', { size: 9 });
      mustBeDone(await k.delete(id, 'b'));
    });

    it('of an account count all of its buckets, those made later too', async () => {
      const k = kit();
      const { id, owner, more } = await made(k);
      await k.put(id, 'k', { size: 5 });
      mustBeDone(await k.catalog.setAccountQuota(owner, { bytes: 20 }));
      const later = await more();
      await k.put(later.id, 'k', { size: 10, owner: 'somebody-else' as AccountId });
      assert.equal(reasonOf(await k.tryPut(id, 'l', { size: 6 })), 'over-quota');
      mustBeDone(await k.catalog.setBucketQuota(later.id, { bytes: 11 }));
      assert.equal(reasonOf(await k.tryPut(later.id, 'l', { size: 2 })), 'over-quota');
      const upload = await k.upload(later.id, 'u');
      await k.part(later.id, upload.uploadId, 1, 1);
      mustBeDone(await k.delete(later.id, 'k'));
      // A bucket that goes takes its open uploads along.
      mustBeDone(await k.catalog.deleteBucket(later.id));
      await k.put(id, 'l', { size: 15 });
      assert.equal(reasonOf(await k.tryPut(id, 'm', { size: 1 })), 'over-quota');
      mustBeDone(await k.catalog.setAccountQuota(owner, { bytes: null }));
      await k.put(id, 'm', { size: 1 });
    });

    it('end with their account', async () => {
      const k = kit();
      const { id, owner, more } = await made(k);
      mustBeDone(await k.catalog.setAccountQuota(owner, { objects: 0 }));
      mustBeDone(await k.catalog.deleteBucket(id));
      mustBeDone(await k.catalog.deleteAccount(owner));
      mustBeDone(await k.catalog.createAccount({ id: owner, displayName: 'Again', isRoot: false }));
      await k.put((await more()).id, 'k');
    });

    it('are never exceeded by many who write at once', async () => {
      const k = kit();
      const { id, name, owner, more } = await made(k);
      const second = await more();
      mustBeDone(await k.catalog.setBucketQuota(id, { objects: 20 }));
      mustBeDone(await k.catalog.setAccountQuota(owner, { bytes: 300 }));
      const puts = Array.from({ length: 60 }, (_, i) => k.tryPut(id, `k${i}`, { size: 10 }));
      const first = (await Promise.all(puts)).map(reasonOf);
      assert.equal(count(first, 'done'), 20);
      assert.equal(count(first, 'over-quota'), 40);
      const parts = Array.from({ length: 20 }, async (_, i) => {
        const { uploadId } = await k.upload(second.id, `u${i}`);
        return reasonOf(await tryPart(k, second.id, uploadId, 1, 10));
      });
      assert.equal(count(await Promise.all(parts), 'done'), 10);
      assert.deepEqual(await figures(k.catalog, name), [20, 200, 0]);
      assert.deepEqual(await figures(k.catalog, second.name), [0, 0, 100]);
    });

    it('hold from the moment they are set, also while many write', async () => {
      const k = kit();
      const { id, name } = await made(k);
      const puts = Array.from({ length: 40 }, (_, i) => k.tryPut(id, `k${i}`, { size: 1 }));
      mustBeDone(await k.catalog.setBucketQuota(id, { objects: 50 }));
      puts.push(...Array.from({ length: 40 }, (_, i) => k.tryPut(id, `l${i}`, { size: 1 })));
      assert.equal(count((await Promise.all(puts)).map(reasonOf), 'done'), 50);
      assert.deepEqual(await figures(k.catalog, name), [50, 50, 0]);
      const keys = await k.keys(id);
      mustBeDone(await k.delete(id, keys[0]!));
      await k.put(id, 'last', { attributes: ATTRIBUTES });
    });
  });
}
