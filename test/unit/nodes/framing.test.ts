/** Content lengths against the parts that make them up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../../src/base/limits.ts';
import { chunkCount, pageCount } from '../../../src/nodes/digest-tree.ts';
import {
  isChunkRange,
  PREAMBLE,
  putBodyBytes,
  readBodyBytes,
  readSteps,
} from '../../../src/nodes/framing.ts';

const sizes = fc.integer({ min: 1, max: 600 * LIMITS.chunkBytes });

describe('framing', () => {
  it('gives a write the length of its frames', () => {
    assert.equal(putBodyBytes(1, false), 32 + 1 + 64);
    assert.equal(putBodyBytes(1, true), PREAMBLE.length + 32 + 1 + 64);
    assert.equal(putBodyBytes(LIMITS.chunkBytes + 1, false), 2 * 32 + LIMITS.chunkBytes + 1 + 64);
  });

  it('gives a read the length of its steps, whatever the range', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, a, b) => {
        const chunks = chunkCount(size);
        const range = {
          firstChunk: Math.min(a % chunks, b % chunks),
          lastChunk: Math.max(a % chunks, b % chunks),
        };
        const steps = [...readSteps(size, range)];
        assert.equal(
          steps.reduce((sum, { bytes }) => sum + bytes, 0),
          readBodyBytes(size, range),
        );
        const indexes = steps.flatMap((step) => (step.kind === 'chunk' ? [step.index] : []));
        assert.equal(indexes.length, range.lastChunk - range.firstChunk + 1);
        assert.equal(indexes[0], range.firstChunk);
        assert.deepEqual(steps[0], { kind: 'page-list', bytes: pageCount(size) * 32 });
        assert.equal(steps[1]!.kind, 'page');
      }),
    );
  });

  it('knows which ranges a blob has', () => {
    const size = 3 * LIMITS.chunkBytes;
    const has = (firstChunk: number, lastChunk: number): boolean =>
      isChunkRange(size, { firstChunk, lastChunk });
    assert.ok(has(0, 0) && has(0, 2) && has(2, 2));
    assert.ok(!has(0, 3) && !has(2, 1) && !has(-1, 0) && !has(0, 0.5) && !has(Number.NaN, 1));
  });
});
