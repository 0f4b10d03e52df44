import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesPassed } from '../../../src/base/young-garbage.ts';

const MIB = 1024 * 1024;
const SLICE_BYTES = 64 * 1024;

test('the buffers of a body that passes are given back while it passes', async () => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let passed = 0; passed < 256 * MIB; passed += SLICE_BYTES) {
    Buffer.allocUnsafeSlow(SLICE_BYTES);
    bytesPassed(SLICE_BYTES);
    if (passed % MIB === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
  }
  assert.ok(most <= 24 * MIB, `${Math.round(most / MIB)} MiB of dead buffers`);
});
