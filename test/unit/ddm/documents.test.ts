/** What goes to the directory as text: documents of operations, version ids, and what cannot be stored. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PairId } from '../../../src/base/ids.ts';
import { directoryForName } from '../../../src/ddm/directories.ts';
import { isStorable, seqOfVersionId } from '../../../src/ddm/mapping.ts';
import { operationJson } from '../../../src/ddm/objects.ts';

describe('documents', () => {
  it('are refused exactly when they hold what cannot be stored', () => {
    const part = fc.constantFrom('a', '\0', '\\', 'u0000', 'ud800', '\ud800', '\udfff', '𝒳', '"', '\n');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const text = parts.join('');
        if (isStorable(text)) assert.deepEqual(JSON.parse(operationJson({ text })), { text });
        else assert.throws(() => operationJson({ [text]: 1 }), RangeError);
      }),
    );
  });
});

describe('version ids', () => {
  it('name a place in commit order, or none', () => {
    assert.equal(seqOfVersionId('00000000000000ff0123456789abcdef'), 255);
    for (const odd of [
      'null',
      '',
      'x',
      'ffffffffffffffff0123456789abcdef',
      '00000000000000FF0123456789ABCDEF',
    ])
      assert.equal(seqOfVersionId(odd), -1);
  });
});

describe('the directory of a new bucket', () => {
  const pairs = ['directory/5', 'directory/6', 'directory/7'] as PairId[];
  it('is the same whoever computes it, and moves only to a pair that is new', () => {
    const names = Array.from({ length: 300 }, (_, i) => `bucket-${i}`);
    for (const name of names) {
      const before = directoryForName(name, pairs);
      assert.equal(directoryForName(name, pairs.toReversed()), before);
      const grown = directoryForName(name, [...pairs, 'directory/8' as PairId]);
      assert.ok(grown === before || grown === 'directory/8');
    }
    assert.equal(new Set(names.map((name) => directoryForName(name, pairs))).size, 3);
  });
});
