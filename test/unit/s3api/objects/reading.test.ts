/** Which bytes of which blobs make a range of an object. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { newBlobId, type PairId } from '../../../../src/base/ids.ts';
import type { ManifestPart, ObjectVersion } from '../../../../src/ddm/catalog.ts';
import { segmentsOf } from '../../../../src/s3api/objects/reading.ts';
import type { OperationContext } from '../../../../src/s3api/operation.ts';

const blobOf = (size: number) => ({
  id: newBlobId(),
  size,
  root: Buffer.alloc(32),
  pair: 'node/11' as PairId,
});

/** Parts of these sizes; a part of no bytes has no blob. */
function manifestOf(sizes: readonly number[]): readonly ManifestPart[] {
  let offset = 0;
  return sizes.map((size, i) => {
    offset += size;
    const blob = size === 0 ? null : blobOf(size);
    return { partNumber: i + 1, offset: offset - size, size, etag: '', blob };
  });
}

const version = { bucketId: 1, content: { kind: 'manifest', manifestId: 1, partCount: 1 } } as ObjectVersion;
/** A catalog that answers with those parts that overlap the range, less what `lose` takes away. */
function contextOf(parts: readonly ManifestPart[], lose = (_: ManifestPart) => false) {
  const readManifest = async (_bucket: number, _id: number, range: { from: number; to: number }) =>
    parts.filter((p) => p.offset <= range.to && p.offset + p.size > range.from && !lose(p));
  return { services: { catalog: { readManifest } } } as unknown as Pick<OperationContext, 'services'>;
}

const sizesAndRange = fc
  .array(fc.nat(20), { minLength: 1, maxLength: 8 })
  .filter((sizes) => sizes.some((size) => size > 0))
  .chain((sizes) => {
    const total = sizes.reduce((sum, size) => sum + size, 0);
    return fc.tuple(fc.constant(sizes), fc.nat(total - 1), fc.nat(total - 1));
  });

it('segments are exactly the bytes of the range, in order', async () => {
  await fc.assert(
    fc.asyncProperty(sizesAndRange, async ([sizes, a, b]) => {
      const parts = manifestOf(sizes);
      const range = { from: Math.min(a, b), to: Math.max(a, b) };
      const segments = await segmentsOf(contextOf(parts), version, range);
      const bytes = segments!.flatMap(({ blob, from, to }) => {
        const { offset } = parts.find((part) => part.blob?.id === blob.id)!;
        return Array.from({ length: to - from + 1 }, (_, i) => offset + from + i);
      });
      const expected = Array.from({ length: range.to - range.from + 1 }, (_, i) => range.from + i);
      assert.deepEqual(bytes, expected);
    }),
  );
});

it('a part that is missing anywhere is noticed', async () => {
  const parts = manifestOf([5, 5, 5]);
  for (const lost of [1, 2, 3]) {
    const ctx = contextOf(parts, (part) => part.partNumber === lost);
    assert.equal(await segmentsOf(ctx, version, { from: 0, to: 14 }), null);
  }
});
