import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseS3Url } from '../../../src/cli/s3-url.ts';
import { bytesText, table } from '../../../src/cli/table.ts';

describe('table', () => {
  it('makes columns as wide as their longest cell and shows what is missing as a dash', () => {
    assert.equal(
      table(
        ['ID', 'N'],
        [
          ['long-name', 1],
          ['x', null],
        ],
      ),
      'ID         N\nlong-name  1\nx          -',
    );
  });
});

describe('bytesText', () => {
  it('takes the unit that leaves the smallest number above one', () => {
    assert.deepEqual([0, 1023, 1024, 1536, 5 * 2 ** 40].map(bytesText), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '5.0 TiB',
    ]);
  });
});

describe('parseS3Url', () => {
  it('keeps the key as it was written', () => {
    assert.deepEqual(parseS3Url('s3://b/a/b c%20d'), { bucket: 'b', key: 'a/b c%20d' });
  });
  it('refuses what names no object', () => {
    for (const text of ['b/k', 's3://b', 's3://b/', 's3:///k', 'http://b/k']) {
      assert.throws(() => parseS3Url(text), /is not s3:\/\/BUCKET\/KEY/);
    }
  });
});
