/** What must hold when many write at once: one winner, no lost update, no write into a bucket that is gone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newWriteId } from '../../src/base/ids.ts';
import { type Kit, mustBeDone, reasonOf } from './contract-kit.ts';

const count = (all: readonly string[], value: string) => all.filter((other) => other === value).length;

export function concurrencyContract(kit: () => Kit): void {
  describe('concurrency', () => {
    it('lets exactly one of many If-None-Match: * win', async () => {
      const k = kit();
      for (const versioning of ['unversioned', 'enabled', 'suspended'] as const) {
        const bucketId = await k.bucket({ versioning });
        const condition = { ifNoneMatch: '*' };
        const outcomes = (
          await Promise.all(Array.from({ length: 40 }, () => k.tryPut(bucketId, 'k', { condition })))
        ).map(reasonOf);
        assert.equal(count(outcomes, 'done'), 1);
        assert.equal(count(outcomes, 'precondition-failed'), 39);
      }
    });

    it('loses no update of a chain of If-Match', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      await k.put(bucketId, 'k', { etag: '0' });
      let done = 0;
      const worker = async () => {
        while (done < 30) {
          const etag = (await k.catalog.findVersion(bucketId, 'k'))!.etag;
          const next = String(Number(etag) + 1);
          const outcome = await k.tryPut(bucketId, 'k', { etag: next, condition: { ifMatch: etag } });
          if (outcome.outcome === 'done') done++;
          else assert.equal(reasonOf(outcome), 'precondition-failed');
        }
      };
      await Promise.all(Array.from({ length: 8 }, worker));
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.etag, String(done));
    });

    it('never lets a put and the removal of its bucket pass each other', async () => {
      const k = kit();
      for (let round = 0; round < 15; round++) {
        const bucketId = await k.bucket();
        const [put, removed] = await Promise.all([k.tryPut(bucketId, 'k'), k.catalog.deleteBucket(bucketId)]);
        const both = `${reasonOf(put)}, ${reasonOf(removed)}`;
        assert.ok(['done, not-empty', 'bucket-gone, done'].includes(both), both);
      }
    });

    it('creates a bucket for one of many', async () => {
      const { catalog } = kit();
      const name = `race-${newWriteId()}`;
      const create = (i: number) =>
        catalog.createBucket({ name, owner: `racer-${i}` as never, region: 'r', objectLock: false });
      const outcomes = (await Promise.all(Array.from({ length: 10 }, (_, i) => create(i)))).map(reasonOf);
      assert.equal(count(outcomes, 'done'), 1);
      assert.equal(count(outcomes, 'exists'), 9);
    });

    it('completes an upload once, whoever asks and how often', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const upload = await k.upload(bucketId, 'k');
      await k.part(bucketId, upload.uploadId, 1, 5);
      const all = await Promise.all(Array.from({ length: 6 }, () => k.complete(bucketId, upload, [1], 5)));
      const ids = new Set(all.map((outcome) => mustBeDone(outcome).versionId));
      assert.equal(ids.size, 1);
      assert.equal((await k.versions(bucketId)).length, 1);
    });

    it('keeps keys of one burst apart', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const keys = Array.from({ length: 200 }, (_, i) => `k${String(i).padStart(3, '0')}`);
      await Promise.all(
        keys.flatMap((key) => [
          k.put(bucketId, key),
          k.tryPut(bucketId, key, { condition: { ifMatch: 'no' } }),
        ]),
      );
      assert.deepEqual(await k.keys(bucketId), keys);
      const found = await Promise.all(keys.map((key) => k.catalog.findVersion(bucketId, key)));
      assert.deepEqual(
        found.map((version) => version?.key),
        keys,
      );
    });
  });
}
