/** The digest tree: its builder against the definition, its verifier against every single change. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import {
  chunkBytes,
  chunkCount,
  chunksInPage,
  DIGEST_BYTES,
  DigestMismatch,
  DigestTreeBuilder,
  DigestTreeVerifier,
  digest,
  pageCount,
  pageOfChunk,
  rootOfSingleChunk,
} from '../../../src/nodes/digest-tree.ts';

const sha256 = (...parts: Buffer[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The tree straight from its definition. */
function treeOf(chunkDigests: readonly Buffer[]): { root: Buffer; pages: Buffer[]; pageList: Buffer } {
  const pages: Buffer[] = [];
  for (let at = 0; at < chunkDigests.length; at += LIMITS.chunksPerPage) {
    pages.push(Buffer.concat(chunkDigests.slice(at, at + LIMITS.chunksPerPage)));
  }
  const pageList = Buffer.concat(pages.map((page) => sha256(page)));
  return { pages, pageList, root: sha256(pageList) };
}

const digests = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => sha256(Buffer.from(`chunk ${i}`)));

function built(chunkDigests: readonly Buffer[]): DigestTreeBuilder {
  const builder = new DigestTreeBuilder();
  for (const chunkDigest of chunkDigests) builder.push(chunkDigest);
  return builder;
}

const counts = fc.oneof(
  fc.integer({ min: 1, max: 5 }),
  fc.integer({ min: 250, max: 520 }),
  fc.constant(1_025),
);
const sizes = fc.oneof(
  fc.integer({ min: 1, max: LIMITS.blobBytesMax }),
  fc.integer({ min: 1, max: 600 }).map((chunks) => chunks * LIMITS.chunkBytes),
  fc.integer({ min: 1, max: 600 }).map((chunks) => chunks * LIMITS.chunkBytes - 1),
  fc.integer({ min: 1, max: 600 }).map((chunks) => chunks * LIMITS.chunkBytes + 1),
);

describe('the shape of a blob', () => {
  it('adds up: chunks make the size, pages make the chunks', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const chunks = chunkCount(size);
        assert.equal((chunks - 1) * LIMITS.chunkBytes + chunkBytes(size, chunks - 1), size);
        assert.ok(chunkBytes(size, chunks - 1) >= 1);
        let inPages = 0;
        for (let page = 0; page < pageCount(size); page += 1) inPages += chunksInPage(size, page);
        assert.equal(inPages, chunks);
        assert.equal(pageOfChunk(chunks - 1), pageCount(size) - 1);
      }),
    );
  });
});

describe('the builder', () => {
  it('gives the root, pages and page list of the definition', () => {
    fc.assert(
      fc.property(counts, (count) => {
        const chunkDigests = digests(count);
        const expected = treeOf(chunkDigests);
        const builder = built(chunkDigests);
        assert.deepEqual(builder.root(), expected.root);
        assert.deepEqual(builder.pageList(), expected.pageList);
        assert.deepEqual(builder.pages(), expected.pages);
      }),
      { numRuns: 30 },
    );
  });

  it('agrees with the short way for a single chunk', () => {
    const only = digest(Buffer.from('x'));
    assert.deepEqual(built([only]).root(), rootOfSingleChunk(only));
  });

  it('gives the same root when asked twice', () => {
    const builder = built(digests(300));
    assert.deepEqual(builder.root(), builder.root());
  });

  it('does not keep the digest that it is given', () => {
    const chunkDigest = Buffer.from(digests(1)[0]!);
    const builder = built([chunkDigest]);
    chunkDigest.fill(0);
    assert.deepEqual(builder.root(), treeOf(digests(1)).root);
  });

  it('refuses a digest of another length, and a root of nothing', () => {
    assert.throws(() => new DigestTreeBuilder().push(Buffer.alloc(31)), TypeError);
    assert.throws(() => new DigestTreeBuilder().root(), RangeError);
  });
});

describe('the verifier', () => {
  const size = 300 * LIMITS.chunkBytes + 7;
  const lastChunk = Buffer.from('7 bytes');
  const firstChunk = Buffer.alloc(LIMITS.chunkBytes, 1);
  const chunkDigests = digests(301);
  chunkDigests[0] = digest(firstChunk);
  chunkDigests[300] = digest(lastChunk);
  const tree = treeOf(chunkDigests);
  const fresh = (): DigestTreeVerifier => new DigestTreeVerifier({ size, root: tree.root });
  const flipped = (bytes: Buffer, bit: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[bit >> 3]! ^= 1 << (bit & 7);
    return copy;
  };

  it('lets through what hashes up to the root', () => {
    const verifier = fresh();
    verifier.acceptPageList(tree.pageList);
    verifier.acceptPage(0, tree.pages[0]!);
    verifier.acceptChunk(0, firstChunk);
    verifier.acceptPage(1, tree.pages[1]!);
    verifier.acceptChunk(300, lastChunk);
  });

  it('refuses every flipped bit of list, page and chunk', () => {
    fc.assert(
      fc.property(fc.nat(), (n) => {
        const verifier = fresh();
        assert.throws(
          () => verifier.acceptPageList(flipped(tree.pageList, n % (8 * tree.pageList.length))),
          DigestMismatch,
        );
        verifier.acceptPageList(tree.pageList);
        const page = tree.pages[1]!;
        assert.throws(() => verifier.acceptPage(1, flipped(page, n % (8 * page.length))), DigestMismatch);
        verifier.acceptPage(1, page);
        const bit = n % (8 * lastChunk.length);
        assert.throws(() => verifier.acceptChunk(300, flipped(lastChunk, bit)), DigestMismatch);
      }),
    );
  });

  it('refuses pages and chunks in the place of others', () => {
    const verifier = fresh();
    verifier.acceptPageList(tree.pageList);
    assert.throws(() => verifier.acceptPage(1, tree.pages[0]!), DigestMismatch);
    verifier.acceptPage(0, tree.pages[0]!);
    assert.throws(() => verifier.acceptChunk(1, firstChunk), DigestMismatch);
  });

  it('refuses another length, and anything out of turn', () => {
    const verifier = fresh();
    assert.throws(() => verifier.acceptPage(0, tree.pages[0]!), DigestMismatch);
    assert.throws(() => verifier.acceptPageList(tree.pageList.subarray(DIGEST_BYTES)), DigestMismatch);
    verifier.acceptPageList(tree.pageList);
    assert.throws(() => verifier.acceptChunk(0, firstChunk), DigestMismatch);
    verifier.acceptPage(0, tree.pages[0]!);
    assert.throws(() => verifier.acceptChunk(300, lastChunk), DigestMismatch);
    assert.throws(() => verifier.acceptChunk(0, firstChunk.subarray(1)), DigestMismatch);
    assert.throws(() => verifier.acceptChunk(0, Buffer.alloc(0)), DigestMismatch);
  });
});
