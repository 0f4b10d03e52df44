/** The store on a disk: what a crash leaves behind, what is missing, and calls that meet on one id. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../../../src/base/clock.ts';
import { type BlobId, type MemberId, newBlobId, parseBlobId } from '../../../../src/base/ids.ts';
import { LIMITS } from '../../../../src/base/limits.ts';
import { StoreError } from '../../../../src/nodes/blob-store/blob-store.ts';
import { LocalStore } from '../../../../src/nodes/blob-store/local-store.ts';
import { digest } from '../../../../src/nodes/digest-tree.ts';
import { blobOf, chunksOf, intentOf, randomBlob, type TestBlob } from '../../../integration/nodes/fixture.ts';

describe('the local store', () => {
  let path = '';
  let store: LocalStore;
  const open = async (): Promise<void> => {
    store = await LocalStore.open({
      path,
      member: 'node-a11' as MemberId,
      clock: systemClock,
      reserveBytes: 0,
      syncsMax: 2,
    });
  };
  beforeEach(async () => {
    path = mkdtempSync(join(tmpdir(), 'antipode-store-'));
    await open();
  });
  afterEach(async () => {
    await store.close();
    rmSync(path, { recursive: true, force: true });
  });

  const fileOf = (id: BlobId): string => join(path, 'blobs', id.slice(0, 2), id);
  async function put(blob: TestBlob): Promise<void> {
    const reservation = await store.reserve(blob.size);
    const fresh = { id: blob.id, size: blob.size, intent: intentOf() };
    if (blob.size <= LIMITS.smallBlobBytesMax) {
      const chunkDigest = digest(blob.bytes);
      const frame = Buffer.concat([digest(chunkDigest), chunkDigest, blob.bytes]);
      await store.putSmall(fresh, blob.root, frame, reservation);
    } else {
      const sink = await store.createLarge(fresh, reservation);
      for (const chunk of chunksOf(blob.bytes)) {
        await sink.append([chunk.subarray(0, 10), chunk.subarray(10)], digest(chunk));
      }
      await sink.commit(blob.root);
    }
    reservation.release();
  }
  async function bytesOf(id: BlobId): Promise<Buffer | null> {
    const entry = store.stat(id);
    if (!entry) return null;
    if (entry.size <= LIMITS.smallBlobBytesMax) return store.readSmall(id)?.subarray(64) ?? null;
    const source = await store.openLarge(entry);
    if (!source) return null;
    const bytes = Buffer.alloc(entry.size);
    for (const [i, chunk] of chunksOf(bytes).entries()) await source.chunk(i, chunk);
    await source.close();
    return bytes;
  }
  const isKind = (kind: string) => (error: unknown) => error instanceof StoreError && error.kind === kind;

  it('has everything again after it was closed and opened', async () => {
    const blobs = [randomBlob(10), randomBlob(300_000)];
    for (const blob of blobs) await put(blob);
    await store.confirm([blobs[0]!.id]);
    await store.close();
    await open();
    for (const blob of blobs) assert.ok((await bytesOf(blob.id))?.equals(blob.bytes));
    assert.equal(store.stat(blobs[0]!.id)?.state, 'confirmed');
    assert.equal(store.stat(blobs[1]!.id)?.state, 'pending');
    const { blobs: count, storedBytes } = await store.totals();
    assert.deepEqual({ count, storedBytes }, { count: 2, storedBytes: 300_010 });
  });

  it('drops the unfinished at once, and after a crash at the next start', async () => {
    const blob = randomBlob(600_000);
    const fresh = { id: blob.id, size: blob.size, intent: intentOf() };
    const discarded = await store.createLarge(fresh, await store.reserve(1));
    await discarded.append([chunksOf(blob.bytes)[0]!], digest(chunksOf(blob.bytes)[0]!));
    assert.equal(readdirSync(join(path, 'tmp')).length, 1);
    await discarded.discard();
    assert.deepEqual(readdirSync(join(path, 'tmp')), []);
    const wrong = await store.createLarge(fresh, await store.reserve(1));
    await wrong.append([blob.bytes], digest(blob.bytes));
    await assert.rejects(wrong.commit(blob.root), isKind('corrupt'));
    assert.deepEqual(readdirSync(join(path, 'tmp')), []);

    writeFileSync(join(path, 'tmp', 'left-by-a-crash'), 'x');
    await store.close();
    await open();
    assert.deepEqual(readdirSync(join(path, 'tmp')), []);
  });

  it('sweeps files that no record names when they are older than the process, and no others', async () => {
    const kept = randomBlob(300_000);
    await put(kept);
    const orphan = newBlobId();
    const young = newBlobId();
    for (const id of [orphan, young]) writeFileSync(fileOf(id), 'x');
    utimesSync(fileOf(orphan), 1, 1);
    const future = Date.now() / 1000 + 60;
    utimesSync(fileOf(young), future, future);
    assert.deepEqual(await store.sweep(), { orphans: 1, missing: 0 });
    assert.ok(!existsSync(fileOf(orphan)) && existsSync(fileOf(young)));
    assert.ok((await bytesOf(kept.id))?.equals(kept.bytes));
  });

  it('reports records whose file is gone, does not claim to have them, and takes them again', async () => {
    const first = parseBlobId('00'.repeat(16));
    const lost = [blobOf(randomBlob(300_000).bytes, first), randomBlob(400_000)];
    for (const blob of lost) await put(blob);
    for (const blob of lost) unlinkSync(fileOf(blob.id));
    assert.deepEqual(await store.sweep(), { orphans: 0, missing: 2 });
    assert.equal((await store.totals()).missingBlobs, 2);
    assert.deepEqual(store.inventory({ max: 10 }), []);
    for (const blob of lost) assert.equal(store.stat(blob.id), null);
    await put(lost[0]!);
    assert.ok((await bytesOf(first))?.equals(lost[0]!.bytes));
    assert.equal((await store.totals()).missingBlobs, 1);
    await store.remove([lost[1]!.id]);
    assert.equal((await store.totals()).missingBlobs, 0);
  });

  it('settles writes, confirms and removals that meet on one id', async () => {
    for (const size of [100, 300_000]) {
      const blob = randomBlob(size);
      const other = blobOf(Buffer.alloc(size, 1), blob.id);
      const outcomes = await Promise.allSettled([put(blob), put(blob), put(other)]);
      const right = outcomes[2]!.status === 'rejected' ? blob : other;
      assert.ok(outcomes.some(({ status }) => status === 'rejected'));
      assert.ok((await bytesOf(blob.id))?.equals(right.bytes));

      await Promise.all([
        store.confirm([blob.id]),
        store.remove([blob.id, blob.id]),
        store.confirm([blob.id]),
      ]);
      assert.equal(store.stat(blob.id), null);
      assert.equal(await bytesOf(blob.id), null);
      assert.ok(!existsSync(fileOf(blob.id)));
      assert.equal((await store.totals()).blobs, 0);
    }
  });

  it('never shows a large blob that was removed while it arrived', async () => {
    const blob = randomBlob(300_000);
    const reservation = await store.reserve(blob.size);
    const sink = await store.createLarge({ id: blob.id, size: blob.size, intent: intentOf() }, reservation);
    for (const chunk of chunksOf(blob.bytes)) await sink.append([chunk], digest(chunk));
    await store.remove([blob.id]);
    await assert.rejects(sink.commit(blob.root), isKind('conflict'));
    assert.equal(store.stat(blob.id), null);
    assert.deepEqual(readdirSync(join(path, 'tmp')), []);
    reservation.release();
    // What comes after the removal is another arrival.
    await put(blob);
    assert.ok((await bytesOf(blob.id))?.equals(blob.bytes));
  });

  it('serves a read that is running when the blob is removed', async () => {
    const blob = randomBlob(600_000);
    await put(blob);
    const source = await store.openLarge(store.stat(blob.id)!);
    await store.remove([blob.id]);
    const chunk = Buffer.alloc(LIMITS.chunkBytes);
    await source!.chunk(1, chunk);
    assert.ok(chunk.equals(chunksOf(blob.bytes)[1]!));
    await source!.close();
  });

  it('lists in order of ids, whatever the state, page by page', async () => {
    const blobs = Array.from({ length: 25 }, () => randomBlob(5)).sort((a, b) => (a.id < b.id ? -1 : 1));
    await Promise.all(blobs.map(put));
    await store.confirm(blobs.filter((_, i) => i % 3 === 0).map(({ id }) => id));
    const listed: BlobId[] = [];
    for (let after: BlobId | undefined; ; after = listed.at(-1)) {
      const page = store.inventory({ max: 7, ...(after ? { after } : {}) });
      if (page.length === 0) break;
      listed.push(...page.map(({ id }) => id));
    }
    assert.deepEqual(
      listed,
      blobs.map(({ id }) => id),
    );
    assert.equal(store.pending({ before: Date.now() + 1, max: 100 }).length, 16);
    assert.deepEqual(store.inventory({ max: 0 }), []);
  });

  it('refuses what would not leave the reserve free, and everything once it stops', async () => {
    await assert.rejects(store.reserve(Number.MAX_SAFE_INTEGER), isKind('full'));
    const { freeBytes } = await store.totals();
    const most = await store.reserve(Math.floor(freeBytes * 0.9));
    await assert.rejects(store.reserve(Math.floor(freeBytes * 0.9)), isKind('full'));
    most.release();
    (await store.reserve(Math.floor(freeBytes * 0.5))).release();
    store.stop();
    await assert.rejects(store.reserve(1), isKind('closed'));
    await assert.rejects(store.remove([newBlobId()]), isKind('closed'));
  });
});
