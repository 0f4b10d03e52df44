/** Multipart uploads: parts, completion (and its repetition), abort, manifests and their copies. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newWriteId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { ATTRIBUTES, blobOf, Kit, mustBeDone, OWNER, reasonOf } from './contract-kit.ts';

export function uploadsContract(kit: () => Kit): void {
  describe('uploads', () => {
    it('makes an object of the named parts and drops the others', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const until = new Date(Date.now() + 60_000);
      const attributes = {
        ...ATTRIBUTES,
        user: { a: 'b' },
        retention: { mode: 'GOVERNANCE', until },
      } as const;
      const upload = mustBeDone(
        await k.catalog.createUpload({
          ...{ writeId: newWriteId(), bucketId, key: 'k', owner: OWNER, attributes },
          ...{ checksumAlgorithm: 'CRC32', checksumType: 'COMPOSITE' },
        }),
      );
      const { uploadId } = upload;
      assert.deepEqual(await k.catalog.findUpload(bucketId, 'k', uploadId), upload);
      assert.equal(await k.catalog.findUpload(bucketId, 'other', uploadId), null);
      const replaced = await k.part(bucketId, uploadId, 1, 4);
      const one = await k.part(bucketId, uploadId, 1, 5);
      const unused = await k.part(bucketId, uploadId, 2, 6);
      const three = await k.part(bucketId, uploadId, 3, 7);
      assert.deepEqual(await k.keys(bucketId), []);

      const made = mustBeDone(await k.complete(bucketId, upload, [1, 3], 12));
      assert.equal(made.etag, 'whole-2');
      const found = await k.catalog.findVersion(bucketId, 'k');
      assert.ok(found?.content.kind === 'manifest');
      assert.deepEqual(
        [found.size, found.etag, found.user, found.content.partCount],
        [12, 'whole-2', { a: 'b' }, 2],
      );
      assert.deepEqual(found.retention, { mode: 'GOVERNANCE', until });
      const parts = await k.catalog.readManifest(bucketId, found.content.manifestId);
      assert.deepEqual(
        parts.map((part) => [part.partNumber, part.offset, part.size, part.etag, part.blob]),
        [
          [1, 0, 5, 'part-1', one],
          [3, 5, 7, 'part-3', three],
        ],
      );
      const dying = await k.dying();
      assert.deepEqual(
        [replaced, unused, one, three].map((blob) => dying.has(blob.id)),
        [true, true, false, false],
      );
      assert.equal(await k.catalog.findUpload(bucketId, 'k', uploadId), null);
    });

    it('answers a repeated completion as it did the first one', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const upload = await k.upload(bucketId, 'k');
      await k.part(bucketId, upload.uploadId, 1, 5);
      const first = mustBeDone(await k.complete(bucketId, upload, [1], 5));
      assert.deepEqual(mustBeDone(await k.complete(bucketId, upload, [1], 5)), first);
      await k.put(bucketId, 'k', { etag: 'later' });
      assert.deepEqual(mustBeDone(await k.complete(bucketId, upload, [1], 5)), first);
      assert.equal((await k.catalog.findVersion(bucketId, 'k'))?.etag, 'later');
      assert.equal(reasonOf(await k.complete(bucketId, upload, [2], 5)), 'no-such-upload');
      assert.equal(reasonOf(await k.catalog.abortUpload(bucketId, 'k', upload.uploadId)), 'no-such-upload');
    });

    it('refuses what does not fit, and keeps the upload', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const upload = await k.upload(bucketId, 'k');
      await k.part(bucketId, upload.uploadId, 1, 5);
      assert.equal(reasonOf(await k.complete(bucketId, upload, [1, 2], 5)), 'invalid-part');
      assert.equal(reasonOf(await k.complete(bucketId, upload, [], 0)), 'invalid-part');
      const wrongKey = { ...upload, key: 'other' };
      assert.equal(reasonOf(await k.complete(bucketId, wrongKey, [1], 5)), 'no-such-upload');
      await k.put(bucketId, 'k', { etag: 'there' });
      const c = { writeId: newWriteId(), bucketId, key: 'k', uploadId: upload.uploadId, size: 5, etag: 'w' };
      const parts = [{ partNumber: 1, etag: 'part-1' }];
      const wrongTag = await k.catalog.completeUpload({ ...c, parts: [{ partNumber: 1, etag: 'x' }] });
      assert.equal(reasonOf(wrongTag), 'invalid-part');
      const none = await k.catalog.completeUpload({ ...c, parts, condition: { ifNoneMatch: '*' } });
      assert.equal(reasonOf(none), 'precondition-failed');
      assert.equal(
        (await k.catalog.listParts(bucketId, upload.uploadId, { after: 0, max: 10 })).parts.length,
        1,
      );
      const match = await k.catalog.completeUpload({ ...c, parts, condition: { ifMatch: 'there' } });
      assert.equal(reasonOf(match), 'done');
    });

    it('lists parts by number and page', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const { uploadId } = await k.upload(bucketId, 'k');
      for (const number of [10, 2, 1]) await k.part(bucketId, uploadId, number, number);
      const { parts, truncated } = await k.catalog.listParts(bucketId, uploadId, { after: 1, max: 1 });
      assert.deepEqual([parts.map((part) => part.partNumber), truncated], [[2], true]);
      const rest = await k.catalog.listParts(bucketId, uploadId, { after: 2, max: 5 });
      assert.deepEqual([rest.parts.map((part) => part.size), rest.truncated], [[10], false]);
    });

    it('aborts, and lets the bytes die', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const { uploadId } = await k.upload(bucketId, 'k');
      const blob = await k.part(bucketId, uploadId, 1, 5);
      assert.equal(reasonOf(await k.catalog.abortUpload(bucketId, 'other', uploadId)), 'no-such-upload');
      mustBeDone(await k.catalog.abortUpload(bucketId, 'k', uploadId));
      assert.ok((await k.dying()).has(blob.id));
      assert.equal(reasonOf(await k.catalog.abortUpload(bucketId, 'k', uploadId)), 'no-such-upload');
      const part = { writeId: newWriteId(), bucketId, uploadId, partNumber: 2, size: 0, etag: 'e' };
      const late = await k.catalog.putPart({ ...part, content: { kind: 'empty' } });
      assert.equal(reasonOf(late), 'no-such-upload');
    });

    it('takes shared, empty and stale parts for what they are', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const blob = blobOf(3);
      await k.put(bucketId, 'source', { content: { kind: 'blob', blob, intentAt: Date.now() } });
      const upload = await k.upload(bucketId, 'k');
      const part = { bucketId, uploadId: upload.uploadId, size: 3 };
      const put = (
        partNumber: number,
        content: Parameters<Kit['catalog']['putPart']>[0]['content'],
        size = 3,
      ) =>
        k.catalog.putPart({
          ...part,
          size,
          writeId: newWriteId(),
          partNumber,
          etag: `part-${partNumber}`,
          content,
        });
      mustBeDone(await put(1, { kind: 'share', blob }));
      mustBeDone(await put(2, { kind: 'empty' }, 0));
      const intentAt = Date.now() - LIMITS.intentMs - 60_000;
      assert.equal(reasonOf(await put(3, { kind: 'blob', blob: blobOf(3), intentAt })), 'intent-expired');
      mustBeDone(await k.delete(bucketId, 'source'));
      mustBeDone(await k.complete(bucketId, upload, [1, 2], 3));
      assert.ok(!(await k.dying()).has(blob.id));
      mustBeDone(await k.delete(bucketId, 'k'));
      assert.ok((await k.dying()).has(blob.id));
      const again = await k.upload(bucketId, 'k');
      const dead = {
        writeId: newWriteId(),
        bucketId,
        uploadId: again.uploadId,
        partNumber: 1,
        size: 3,
        etag: 'e',
      };
      assert.equal(
        reasonOf(await k.catalog.putPart({ ...dead, content: { kind: 'share', blob } })),
        'blob-dying',
      );
    });

    it('reads the parts of a range, and shares a manifest with copies', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const upload = await k.upload(bucketId, 'k');
      const blobs = [];
      for (const number of [1, 2, 3, 4]) blobs.push(await k.part(bucketId, upload.uploadId, number, 10));
      mustBeDone(await k.complete(bucketId, upload, [1, 2, 3, 4], 40));
      const content = (await k.catalog.findVersion(bucketId, 'k'))!.content;
      assert.ok(content.kind === 'manifest');
      const numbers = async (range: { from: number; to: number } | { partNumber: number }) =>
        (await k.catalog.readManifest(bucketId, content.manifestId, range)).map((part) => part.partNumber);
      assert.deepEqual(await numbers({ from: 0, to: 9 }), [1]);
      assert.deepEqual(await numbers({ from: 9, to: 10 }), [1, 2]);
      assert.deepEqual(await numbers({ from: 15, to: 39 }), [2, 3, 4]);
      assert.deepEqual(await numbers({ from: 40, to: 50 }), []);
      assert.deepEqual(await numbers({ partNumber: 3 }), [3]);
      assert.deepEqual(await numbers({ partNumber: 5 }), []);

      await k.put(bucketId, 'copy', { size: 40, content: { kind: 'share', content } });
      mustBeDone(await k.delete(bucketId, 'k'));
      assert.ok(!(await k.dying()).has(blobs[0]!.id));
      assert.deepEqual((await k.catalog.findVersion(bucketId, 'copy'))?.content, content);
      mustBeDone(await k.delete(bucketId, 'copy'));
      const late = await k.tryPut(bucketId, 'late', { size: 40, content: { kind: 'share', content } });
      assert.equal(reasonOf(late), 'blob-dying');
      const dying = await k.dying();
      assert.ok(blobs.every((blob) => dying.has(blob.id)));
    });

    it('lists open uploads by key and id, with prefixes rolled up', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      const uploads = [];
      for (const key of ['b', 'a', 'a', 'd/1', 'd/2', 'e']) uploads.push(await k.upload(bucketId, key));
      const finished = uploads.pop()!;
      await k.part(bucketId, finished.uploadId, 1, 1);
      mustBeDone(await k.complete(bucketId, finished, [1], 1));
      const query = { bucketId, prefix: '', delimiter: '/', keyMarker: '', maxKeys: 10 };
      assert.deepEqual(Kit.names(await k.catalog.listUploads(query)), ['a', 'a', 'b', '>d/']);
      const ids = uploads
        .filter((upload) => upload.key === 'a')
        .map((upload) => upload.uploadId)
        .sort();
      const behind = { ...query, keyMarker: 'a', uploadIdMarker: ids[0]!, maxKeys: 2 };
      const page = await k.catalog.listUploads(behind);
      assert.deepEqual([Kit.names(page), page.truncated], [['a', 'b'], true]);
      assert.deepEqual(page.entries[0], {
        kind: 'item',
        item: await k.catalog.findUpload(bucketId, 'a', ids[1]!),
      });
      assert.deepEqual(Kit.names(await k.catalog.listUploads({ ...query, keyMarker: 'a' })), ['b', '>d/']);
      assert.deepEqual(Kit.names(await k.catalog.listUploads({ ...query, prefix: 'd/' })), ['d/1', 'd/2']);
    });
  });
}
