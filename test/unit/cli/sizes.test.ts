/** Limits as people write them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCount, parseSize } from '../../../src/cli/sizes.ts';

describe('parseSize', () => {
  it('takes bytes, powers of 1024 and of 1000, and none', () => {
    const sizes = {
      '0': 0,
      '1024': 1024,
      '10B': 10,
      '1KiB': 1024,
      '1.5 MiB': 1_572_864,
      '2gib': 2 ** 31,
      '3TiB': 3 * 2 ** 40,
      '500MB': 500_000_000,
      none: null,
    };
    assert.deepEqual(Object.fromEntries(Object.keys(sizes).map((text) => [text, parseSize(text)])), sizes);
  });

  it('refuses what is no size', () => {
    for (const text of ['', '-1', 'much', '1 XiB', '1KiBs', '0x10', '1e3', 'KiB', '9000PiB', '1.2.3', ' 1'])
      assert.throws(() => parseSize(text), { exitCode: 2 }, text);
  });
});

describe('parseCount', () => {
  it('takes whole numbers and none', () => {
    assert.equal(parseCount('0'), 0);
    assert.equal(parseCount('1000000'), 1_000_000);
    assert.equal(parseCount('none'), null);
    for (const text of ['', '1.5', '-1', '1k', '99999999999999999999'])
      assert.throws(() => parseCount(text), { exitCode: 2 }, text);
  });
});
