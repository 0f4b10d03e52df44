/** The queue of repairs: what is queued, leased, ended, put off, counted. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newBlobId } from '../../src/base/ids.ts';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { A11, A12, B11, B12, idsOf, replicaOf, type WithCatalog } from './cluster-kit.ts';
import { mustBeDone } from './contract-kit.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const LEASE = { max: 10, leaseMs: 60_000 };

export function repairsContract(fresh: WithCatalog): void {
  describe('repairs', () => {
    it(
      'are queued once, with the first reason, unless a graver one overrules',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blob = await k.putBlob(bucketId);
        await k.miss(A11, [blob, blob]);
        const [first] = await catalog.listRepairs({ max: 10 });
        for (const [asked, kept] of [
          ['handoff', 'missing'],
          ['corrupt', 'corrupt'],
          ['missing', 'corrupt'],
          ['lost', 'lost'],
        ] as const) {
          await k.miss(A11, [blob], asked);
          assert.deepEqual(await k.repairs(), [`${A11}:${kept}`]);
        }
        const [last] = await catalog.listRepairs({ max: 10 });
        assert.deepEqual({ ...last, reason: 'missing' }, first);
        const other = await k.putBlob(bucketId);
        const each = { blobId: other.id, member: B11, foundBy: 'test' };
        await catalog.addRepairs([
          { ...each, reason: 'missing' },
          { ...each, reason: 'corrupt' },
          { ...each, reason: 'lag' },
        ]);
        assert.deepEqual(await k.repairs(), [`${A11}:lost`, `${B11}:corrupt`]);
      }),
    );

    it(
      'are of live blobs alone, and at most a thousand at once',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blob = await k.putBlob(bucketId);
        await catalog.addRepairs([]);
        const [unknown, gone] = [{ ...blob, id: newBlobId() }, await k.putBlob(bucketId)];
        await k.miss(A11, [gone]);
        mustBeDone(await k.delete(bucketId, gone.id));
        await k.miss(A11, [unknown]);
        await k.miss(B11, [gone]);
        assert.deepEqual(await k.repairs(), []);
        assert.equal((await catalog.countRepairs()).queued, 0);
        assert.deepEqual(await catalog.takeRepairs(LEASE), []);
        await assert.rejects(
          async () =>
            k.miss(
              A11,
              Array.from({ length: 1001 }, () => blob),
            ),
          RangeError,
        );
      }),
    );

    it(
      'are leased, the oldest first, and come back when the lease ends or it is time',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const lacking = (i: number) => (i % 2 ? A11 : B11);
        const blobs: BlobRef[] = [];
        for (let i = 0; i < 4; i++) {
          const blob = await k.putBlob(bucketId);
          await k.miss(lacking(i), [blob]);
          blobs.push(blob);
          await pause(3);
        }
        const first = await catalog.takeRepairs({ max: 2, leaseMs: 60_000 });
        assert.deepEqual(idsOf(first.map((r) => r.blob)), idsOf(blobs.slice(0, 2)));
        assert.deepEqual(
          first.map((r) => r.attempts),
          [1, 1],
        );
        const second = await catalog.takeRepairs({ max: 10, leaseMs: 1 });
        assert.deepEqual(idsOf(second.map((r) => r.blob)), idsOf(blobs.slice(2)));
        await pause(5);
        const again = await catalog.takeRepairs(LEASE);
        assert.deepEqual(idsOf(again.map((r) => r.blob)), idsOf(blobs.slice(2)));
        assert.equal(again[0]?.attempts, 2);
        assert.deepEqual(await catalog.takeRepairs(LEASE), []);
        const put = (i: number, retryMs: number) => ({
          ...{ blobId: blobs[i]!.id, member: lacking(i), error: `no room\0 ${i}`, retryMs },
        });
        await catalog.postponeRepairs([{ ...put(0, 0), reason: 'lost' }, put(1, 60_000)]);
        await pause(3);
        const [late, ...more] = await catalog.takeRepairs(LEASE);
        assert.deepEqual(more, []);
        assert.partialDeepStrictEqual(late!, { reason: 'lost', blob: { id: blobs[0]!.id } });
        assert.match(late?.lastError ?? '', /^no room/);
        assert.equal((await catalog.countRepairs()).queued, 4);
      }),
    );

    it(
      'go to one taker each, of one member, or of any but some',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blobs = [];
        for (let i = 0; i < 12; i++) blobs.push(await k.putBlob(bucketId));
        for (const lacking of [A11, B11, A12]) await k.miss(lacking, blobs);
        const ofB = await catalog.takeRepairs({ ...LEASE, max: 5, member: B11 });
        assert.deepEqual(
          ofB.map((r) => r.member),
          Array.from({ length: 5 }, () => B11),
        );
        const taken = (
          await Promise.all(
            Array.from({ length: 6 }, () => catalog.takeRepairs({ ...LEASE, except: [A11, A12] })),
          )
        ).flat();
        assert.equal(taken.length, 7);
        assert.equal(new Set([...ofB, ...taken].map((r) => r.blob.id)).size, 12);
        assert.deepEqual(await catalog.takeRepairs({ ...LEASE, member: B12 }), []);
        const rest = await catalog.takeRepairs({ ...LEASE, max: 100 });
        assert.equal(rest.length, 24);
      }),
    );

    it(
      'make off-map replicas surplus with the last one of the blob, until they are dropped',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blob = await k.putBlob(bucketId, { offMap: [A12, B12], absent: [B11, A11] });
        assert.deepEqual(await catalog.finishRepairs([replicaOf(blob, A11)]), []);
        const { absent: _, ...rest } = blob;
        assert.deepEqual(await k.blobNow(bucketId, blob), { ...rest, offMap: [A12, B12], absent: [B11] });
        const surplus = [replicaOf(blob, A12), replicaOf(blob, B12)];
        assert.deepEqual(await catalog.finishRepairs([replicaOf(blob, B11)]), surplus);
        assert.deepEqual(await k.repairs(), []);
        const { offMap: __, ...plain } = rest;
        assert.deepEqual(await k.blobNow(bucketId, blob), plain);
        // Asked again, as after an answer that was lost.
        assert.deepEqual(await catalog.finishRepairs([replicaOf(blob, B11)]), surplus);
        assert.deepEqual(await catalog.listSurplus(10), surplus);
        assert.deepEqual(await catalog.listSurplus(1), surplus.slice(0, 1));
        await catalog.forgetOffMap(surplus.slice(0, 1));
        assert.deepEqual(await catalog.listSurplus(10), surplus.slice(1));
        // What is not dropped yet is still looked for when the blob dies.
        mustBeDone(await k.delete(bucketId, blob.id));
        await pause(5);
        const [dying] = await catalog.takeDyingBlobs(10, 0);
        assert.deepEqual(dying?.blob.offMap, [B12]);
        await catalog.forgetBlobs([blob.id]);
        assert.deepEqual(await catalog.listSurplus(10), []);
        assert.deepEqual(await catalog.finishRepairs([]), []);
      }),
    );

    it(
      'take no wanted replica off the rows, and end for members without one',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blob = await k.putBlob(bucketId, { offMap: [A12], absent: [B11] });
        await catalog.forgetOffMap([replicaOf(blob, A12)]);
        assert.deepEqual(await k.blobNow(bucketId, blob), blob);
        assert.deepEqual(await catalog.finishRepairs([replicaOf(blob, A11)]), []);
        assert.deepEqual(await k.blobNow(bucketId, blob), blob);
        const unknown = { blobId: newBlobId(), member: A11 };
        assert.deepEqual(await catalog.finishRepairs([unknown]), []);
      }),
    );

    it(
      'are queued for the map when a search finds a replica off it',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blob = await k.putBlob(bucketId);
        await catalog.recordOffMap(blob.id, A11);
        await catalog.recordOffMap(newBlobId(), B12);
        assert.deepEqual(await k.blobNow(bucketId, blob), blob);
        await catalog.recordOffMap(blob.id, B12);
        await catalog.recordOffMap(blob.id, B12);
        assert.deepEqual(await k.blobNow(bucketId, blob), { ...blob, offMap: [B12] });
        assert.deepEqual(await k.repairs(), [`${A11}:missing`, `${B11}:missing`]);
        await catalog.finishRepairs([replicaOf(blob, A11)]);
        assert.deepEqual((await k.blobNow(bucketId, blob))?.offMap, [B12]);
        assert.deepEqual(await catalog.finishRepairs([replicaOf(blob, B11)]), [replicaOf(blob, B12)]);
        // Found once more: wanted again.
        await catalog.recordOffMap(blob.id, B12);
        assert.deepEqual((await k.blobNow(bucketId, blob))?.offMap, [B12]);
        assert.deepEqual(await catalog.listSurplus(10), []);
      }),
    );

    it(
      'are listed by member and blob, in pages',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blobs = [];
        for (let i = 0; i < 5; i++) blobs.push(await k.putBlob(bucketId));
        for (const lacking of [B11, A11]) await k.miss(lacking, blobs);
        const all = idsOf(blobs).flatMap((id) => [`${A11} ${id}`, `${B11} ${id}`]);
        const seen: string[] = [];
        for (let after: { member: typeof A11; blobId: ReturnType<typeof newBlobId> } | undefined; ; ) {
          const page = await catalog.listRepairs({ max: 3, ...(after && { after }) });
          if (page.length === 0) break;
          seen.push(...page.map((r) => `${r.member} ${r.blob.id}`));
          const { member, blob } = page.at(-1)!;
          after = { member, blobId: blob.id };
        }
        assert.deepEqual(seen, all.sort());
        const ofB = await catalog.listRepairs({ member: B11, max: 10 });
        assert.deepEqual(
          ofB.map((r) => `${r.member} ${r.blob.id}`),
          all.filter((line) => line.startsWith(B11)),
        );
        const behind = { member: A11, blobId: ofB[0]!.blob.id };
        assert.equal((await catalog.listRepairs({ member: A11, after: behind, max: 10 })).length, 4);
      }),
    );
  });
}
