/** Range and x-amz-copy-source-range, as tables and as properties over sizes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decideRange, parseCopySourceRange } from '../../../../src/s3api/objects/ranges.ts';

describe('Range', () => {
  const table: [string | undefined, number, ReturnType<typeof decideRange>][] = [
    [undefined, 10, 'whole'],
    ['bytes=0-0', 10, { from: 0, to: 0 }],
    ['bytes=2-4', 10, { from: 2, to: 4 }],
    ['bytes=2-', 10, { from: 2, to: 9 }],
    ['bytes=-3', 10, { from: 7, to: 9 }],
    ['bytes=-30', 10, { from: 0, to: 9 }],
    ['bytes=9-100', 10, { from: 9, to: 9 }],
    ['BYTES=1-1', 10, { from: 1, to: 1 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-20', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-0', 0, 'unsatisfiable'],
    ['bytes=-5', 0, 'unsatisfiable'],
    ['bytes=5-2', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
    ['bytes=a-b', 10, 'whole'],
    ['bytes=0-1,3-4', 10, 'whole'],
    ['items=0-1', 10, 'whole'],
    ['', 10, 'whole'],
  ];
  for (const [header, size, decision] of table)
    it(`${header} of ${size} bytes`, () => assert.deepEqual(decideRange(header, size), decision));

  it('is always inside of the object, whatever the header', () => {
    const number = fc.oneof(fc.constant(''), fc.nat(50).map(String), fc.bigInt({ min: 0n }).map(String));
    fc.assert(
      fc.property(number, number, fc.nat(40), (first, last, size) => {
        const range = decideRange(`bytes=${first}-${last}`, size);
        if (typeof range === 'string') return;
        assert.ok(range.from >= 0 && range.from <= range.to && range.to < size);
        if (first !== '') assert.equal(range.from, Number(first));
      }),
    );
  });
});

describe('x-amz-copy-source-range', () => {
  it('takes first and last byte inside of the source', () => {
    assert.deepEqual(parseCopySourceRange('bytes=0-9', 10), { from: 0, to: 9 });
  });
  for (const header of [
    '0-2',
    'bytes=0',
    'bytes=hello-world',
    'bytes=0-',
    'bytes=-3',
    'bytes=0-2,3-5',
    'bytes=3-2',
  ])
    it(`refuses ${header}`, () =>
      assert.throws(() => parseCopySourceRange(header, 10), { code: 'InvalidArgument' }));
  it('refuses what lies beyond the source', () =>
    assert.throws(() => parseCopySourceRange('bytes=0-10', 10), { code: 'InvalidRange', status: 416 }));
});
