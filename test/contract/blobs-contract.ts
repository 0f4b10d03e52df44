/** Blobs as verify, resync and rebalance go through them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BlobId, newBlobId } from '../../src/base/ids.ts';
import type { Catalog } from '../../src/ddm/catalog.ts';
import { A11, A12, B11, B12, epoch, idsOf, P11, P12, replicaOf, type WithCatalog } from './cluster-kit.ts';
import { mustBeDone } from './contract-kit.ts';

type Query = Parameters<Catalog['listBlobs']>[0];

/** All pages of a listing, and that each but the last is full. */
async function everyPage(catalog: Catalog, query: Omit<Query, 'max' | 'after'>, max = 3): Promise<BlobId[]> {
  const seen: BlobId[] = [];
  for (;;) {
    const after = seen.at(-1);
    const page = await catalog.listBlobs({ ...query, max, ...(after && { after }) });
    seen.push(...page.map((blob) => blob.id));
    if (page.length < max) return seen;
  }
}

export function blobsContract(fresh: WithCatalog): void {
  describe('blobs', () => {
    it(
      'are listed by id, in pages: all, of a pair, of a bucket; dying ones apart',
      fresh(async (k, catalog) => {
        const [one, two] = [await k.bucket({ versioning: 'enabled' }), await k.bucket()];
        const in11 = [];
        const in12 = [];
        for (let i = 0; i < 7; i++) {
          in11.push(await k.putBlob(one));
          in12.push(await k.putBlob(two, { pair: P12 }));
        }
        // A version that is not the latest, a part of an object, one of an open upload; a copy names a blob twice.
        const old = await k.putBlob(one);
        await k.put(one, old.id);
        const inner = await k.upload(one, 'inner');
        const part = await k.part(one, inner.uploadId, 1, 5);
        mustBeDone(await k.complete(one, inner, [1], 5));
        const open = await k.part(one, (await k.upload(one, 'open')).uploadId, 1, 6);
        const shared = in12[0]!;
        const share = { kind: 'share', content: { kind: 'blob', blob: shared } } as const;
        await k.put(one, 'copy', { content: share });
        await k.put(one, 'copy2', { content: share });
        await k.delete(one, 'inner');

        const rewritten = await catalog.findVersion(one, old.id);
        assert.ok(rewritten?.content.kind === 'blob');
        const ofOne = [...in11, old, part, open, shared, rewritten.content.blob];
        assert.deepEqual(await everyPage(catalog, { bucketId: one }), idsOf(ofOne));
        assert.deepEqual(await everyPage(catalog, { bucketId: two }), idsOf(in12));
        assert.deepEqual(await everyPage(catalog, { bucketId: one, pair: P12 }), [shared.id]);
        const all = [...ofOne, ...in12.slice(1)];
        assert.deepEqual(await everyPage(catalog, {}), idsOf(all));
        assert.deepEqual(await everyPage(catalog, { pair: P12 }, 2), idsOf(in12));
        assert.deepEqual(await catalog.listBlobs({ max: 0 }), []);

        const gone = in12[3]!;
        mustBeDone(await k.delete(two, gone.id));
        assert.ok(!(await everyPage(catalog, {})).includes(gone.id));
        const found = await catalog.findBlobs([gone.id, newBlobId(), shared.id, old.id, old.id]);
        assert.deepEqual(idsOf(found), idsOf([shared, old]));
        assert.deepEqual(
          found.find((blob) => blob.id === shared.id),
          shared,
        );
        assert.deepEqual(await catalog.findBlobs([]), []);
        assert.equal(await catalog.countObjects(two), 6);
        assert.equal(await catalog.countObjects(one), 7 + 2 + 1 + 2);
        assert.equal(await catalog.countObjects(), 18);
        assert.equal(await catalog.countObjects(999_999 as never), 0);
      }),
    );

    it(
      'that die are tombstones of their pair until they are forgotten',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const blobs = [];
        for (let i = 0; i < 5; i++) blobs.push(await k.putBlob(bucketId));
        const other = await k.putBlob(bucketId, { pair: P12 });
        assert.deepEqual(await catalog.listDying({ pair: P11, max: 10 }), []);
        for (const blob of [...blobs, other]) mustBeDone(await k.delete(bucketId, blob.id));
        const ids = idsOf(blobs);
        assert.deepEqual(await catalog.listDying({ pair: P11, max: 3 }), ids.slice(0, 3));
        assert.deepEqual(await catalog.listDying({ pair: P11, max: 3, after: ids[2]! }), ids.slice(3));
        assert.deepEqual(await catalog.listDying({ pair: P12, max: 3 }), [other.id]);
        await k.dying();
        await catalog.forgetBlobs(ids.slice(1));
        assert.deepEqual(await catalog.listDying({ pair: P11, max: 10 }), ids.slice(0, 1));
      }),
    );

    it(
      'move to another pair under its epoch, and leave repairs and handoffs behind',
      fresh(async (k, catalog) => {
        const bucketId = await k.bucket();
        const plain = await k.putBlob(bucketId);
        const handed = await k.putBlob(bucketId, { offMap: [A12, 'node-a13' as never], absent: [B11, A11] });
        const dying = await k.putBlob(bucketId);
        mustBeDone(await k.delete(bucketId, dying.id));
        await k.miss(A11, [plain]);
        await k.changed(B12, 'failed-over');
        const move = { from: P11, to: P12, toEpoch: epoch(2) };
        const moves = [plain, handed, dying].map((blob) => ({ ...move, blobId: blob.id }));
        const stale = moves.map((one) => ({ ...one, toEpoch: epoch(1) }));
        assert.deepEqual(await catalog.moveBlobs(stale), []);
        assert.deepEqual(await catalog.moveBlobs([]), []);
        const unknown = { ...move, blobId: newBlobId() };
        const moved = await catalog.moveBlobs([...moves, unknown]);
        assert.deepEqual([...moved].sort(), idsOf([plain, handed]));
        assert.deepEqual(await k.blobNow(bucketId, plain), { ...plain, pair: P12 });
        const { offMap: _, absent: __, ...rest } = handed;
        assert.deepEqual(await k.blobNow(bucketId, handed), { ...rest, pair: P12 });
        assert.deepEqual(await k.repairs(), []);
        // A12 is of the map now; who is not is to drop its replica.
        assert.deepEqual(await catalog.listSurplus(10), [replicaOf(handed, 'node-a13' as never)]);
        assert.deepEqual(await catalog.moveBlobs(moves), []);
      }),
    );
  });
}
