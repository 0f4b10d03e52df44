/** New blobs under the epoch of their pair, and what is recorded of those that are off the map or lag. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newWriteId } from '../../src/base/ids.ts';
import type { NewBlobContent } from '../../src/ddm/catalog.ts';
import { A11, A12, B11, B12, type ClusterKit, epoch, P12, type WithCatalog } from './cluster-kit.ts';
import { blobOf, mustBeDone, reasonOf } from './contract-kit.ts';

const content = (o: Partial<NewBlobContent> = {}): NewBlobContent => ({
  ...{ kind: 'blob', blob: blobOf(3), intentAt: Date.now() },
  ...o,
});

/** The three ways to commit a blob that was written. */
async function commits(k: ClusterKit) {
  const bucketId = await k.bucket();
  const { uploadId } = await k.upload(bucketId, 'parts');
  return {
    put: (c: NewBlobContent) => k.tryPut(bucketId, 'k', { content: c }),
    part: (c: NewBlobContent) =>
      k.catalog.putPart({
        ...{ writeId: newWriteId(), bucketId, uploadId, partNumber: 1, size: 3, etag: 'e', content: c },
      }),
  };
}

export function epochsContract(fresh: WithCatalog): void {
  describe('a commit under an epoch', () => {
    for (const way of ['put', 'part'] as const) {
      it(
        `is refused after a change of the pair, and passes under the new one (${way})`,
        fresh(async (k) => {
          const commit = (await commits(k))[way];
          assert.equal(reasonOf(await commit(content())), 'done');
          assert.equal(reasonOf(await commit(content({ epoch: epoch(1) }))), 'done');
          // Who knows more than the directory is right.
          assert.equal(reasonOf(await commit(content({ epoch: epoch(2) }))), 'done');
          await k.changed(A11, 'failed-over');
          const late = content({ epoch: epoch(1) });
          assert.equal(reasonOf(await commit(late)), 'stale-epoch');
          assert.equal(await k.known(late.blob), 0);
          const handed = { ...late.blob, offMap: [B12], absent: [A11] };
          assert.equal(reasonOf(await commit({ ...late, blob: handed, epoch: epoch(2) })), 'done');
          // Another pair's epoch has not changed, and who gives none is not asked.
          const elsewhere = { ...blobOf(3), pair: P12 };
          assert.equal(reasonOf(await commit(content({ epoch: epoch(1), blob: elsewhere }))), 'done');
          assert.equal(reasonOf(await commit(content())), 'done');
          const nowhere = { ...blobOf(3), pair: 'node/77' as never };
          assert.equal(reasonOf(await commit(content({ epoch: epoch(1), blob: nowhere }))), 'done');
        }),
      );
    }

    it(
      'fails alone, not its neighbours',
      fresh(async (k) => {
        await k.changed(A11, 'failed-over');
        const bucketId = await k.bucket();
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            k.tryPut(bucketId, `k${i}`, { content: content({ epoch: epoch(1 + (i % 2)) }) }),
          ),
        );
        assert.deepEqual(
          outcomes.map(reasonOf),
          outcomes.map((_, i) => (i % 2 ? 'done' : 'stale-epoch')),
        );
      }),
    );

    it(
      'that does not hold says so first',
      fresh(async (k) => {
        const bucketId = await k.bucket();
        await k.put(bucketId, 'k');
        await k.changed(A11, 'failed-over');
        const put = { content: content({ epoch: epoch(1) }), condition: { ifNoneMatch: '*' } };
        assert.equal(reasonOf(await k.tryPut(bucketId, 'k', put)), 'precondition-failed');
      }),
    );
  });

  describe('a blob off the map', () => {
    it(
      'is shown with its holders, wherever it is read',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const holders = { offMap: [B12, A12], absent: [A11, B11] };
        const blob = await k.putBlob(bucketId, holders);
        assert.deepEqual(await k.blobNow(bucketId, blob), blob);
        assert.deepEqual(await catalog.findBlobs([blob.id]), [blob]);
        const alone = await k.putBlob(bucketId, { offMap: [A12, B12], absent: [B11] });
        assert.deepEqual(await k.blobNow(bucketId, alone), alone);

        const upload = await k.upload(bucketId, 'whole');
        const part = { ...blobOf(7), ...holders };
        const put = { writeId: newWriteId(), bucketId, uploadId: upload.uploadId, partNumber: 1, size: 7 };
        mustBeDone(await catalog.putPart({ ...put, etag: 'part-1', content: content({ blob: part }) }));
        const listed = await catalog.listParts(bucketId, upload.uploadId, { after: 0, max: 10 });
        assert.deepEqual(listed.parts[0]?.blob, part);
        mustBeDone(await k.complete(bucketId, upload, [1], 7));
        const version = await catalog.findVersion(bucketId, 'whole');
        assert.ok(version?.content.kind === 'manifest');
        const { manifestId } = version.content;
        for (const range of [undefined, { partNumber: 1 }, { from: 0, to: 3 }]) {
          const [read] = await catalog.readManifest(bucketId, manifestId, range);
          assert.deepEqual(read?.blob, part);
        }
        mustBeDone(await k.delete(bucketId, 'whole'));
        mustBeDone(await k.delete(bucketId, blob.id));
        await new Promise((resolve) => setTimeout(resolve, 5));
        const dying = (await catalog.takeDyingBlobs(10, 0)).map((d) => d.blob);
        assert.deepEqual(
          dying.sort((a, b) => a.size - b.size),
          [blob, part],
        );
      }),
    );

    it(
      'has a repair for each member that lacks it, also one that lags',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const handed = await k.putBlob(bucketId, { offMap: [A12], absent: [B11] });
        const lagging = await k.putBlob(bucketId, { lagging: [A11], epoch: epoch(1) });
        await k.putBlob(bucketId);
        const { uploadId } = await k.upload(bucketId, 'u');
        const part = { ...blobOf(7), offMap: [B12], absent: [A11] };
        const put = { writeId: newWriteId(), bucketId, uploadId, partNumber: 1, size: 7, etag: 'e' };
        mustBeDone(await catalog.putPart({ ...put, content: content({ blob: part, lagging: [B11] }) }));
        const found = await catalog.listRepairs({ max: 10 });
        assert.deepEqual(
          found.map((r) => [r.member, r.blob.id, r.reason, r.attempts]).sort(),
          [
            [A11, lagging.id, 'lag', 0],
            [A11, part.id, 'handoff', 0],
            [B11, handed.id, 'handoff', 0],
            [B11, part.id, 'lag', 0],
          ].sort(),
        );
        assert.deepEqual(found.find((r) => r.blob.id === part.id)?.blob, part);
        assert.deepEqual(await catalog.countRepairs(), {
          queued: 4,
          byMember: new Map([
            [A11, 2],
            [B11, 2],
          ]),
        });
      }),
    );
  });

  describe("a bucket's durability", () => {
    it(
      'is one of three, and gone when it is taken away',
      fresh(async (k, catalog) => {
        const b = { name: `d-${Date.now()}`, owner: 'o' as never, region: 'r', objectLock: false };
        const made = mustBeDone(await catalog.createBucket({ ...b, settings: { durability: 'one', x: 1 } }));
        assert.equal(made.durability, 'one');
        assert.deepEqual(made.settings, { x: 1 });
        for (const value of ['both-centers', 'two-copies', 'one'] as const) {
          mustBeDone(await catalog.setBucketSetting(made.id, 'durability', value));
          assert.equal((await catalog.findBucket(b.name))?.durability, value);
        }
        for (const value of ['three', '', 1, {}, undefined])
          await assert.rejects(
            async () => catalog.setBucketSetting(made.id, 'durability', value),
            RangeError,
          );
        const bad = { ...b, name: `${b.name}-2`, settings: { durability: 'all' } };
        await assert.rejects(async () => catalog.createBucket(bad), RangeError);
        assert.equal(await catalog.findBucket(bad.name), null);
        mustBeDone(await catalog.setBucketSetting(made.id, 'durability', null));
        const after = await catalog.findBucket(b.name);
        assert.ok(after && !('durability' in after));
        assert.equal((await catalog.findBucket(await nameOf(k)))?.durability, undefined);
      }),
    );
  });
}

async function nameOf(k: ClusterKit): Promise<string> {
  const id = await k.bucket();
  const { buckets } = await k.catalog.listBuckets({ prefix: '', after: '', max: 1000 });
  return buckets.find((bucket) => bucket.id === id)!.name;
}
