/** Intents and entries survive the way through headers and JSON; what is malformed does not get in. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { newBlobId, newWriteId } from '../../../src/base/ids.ts';
import {
  entryFromJson,
  entryToJson,
  idsFromJson,
  intentFromHeader,
  intentToHeader,
} from '../../../src/nodes/entry-codec.ts';
import type { InventoryEntry, WriteIntent } from '../../../src/nodes/protocol.ts';

const intent: WriteIntent = { writeId: newWriteId(), intentAt: 1_800_000_000_000, bucket: 'b', key: 'k' };
const entry: InventoryEntry = {
  id: newBlobId(),
  size: 5,
  root: Buffer.alloc(32, 9),
  state: 'pending',
  intent: { ...intent, uploadId: 'u', partNumber: 3 },
};

describe('an intent in a header', () => {
  it('keeps any key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 256 }), (key) => {
        const header = intentToHeader({ ...intent, key });
        assert.match(header, /^[A-Za-z0-9_-]+$/);
        // Lone surrogates are no UTF-8; keys come from UTF-8.
        assert.equal(intentFromHeader(header).key, key.toWellFormed());
      }),
    );
  });

  it('is refused when it is not one', () => {
    for (const header of [
      '',
      'AAAA',
      Buffer.from('{}').toString('base64url'),
      Buffer.from('[1]').toString('base64url'),
    ]) {
      assert.throws(() => intentFromHeader(header));
    }
    assert.throws(() => intentFromHeader(intentToHeader({ ...intent, key: 'k'.repeat(1_025) })));
  });
});

describe('an entry', () => {
  it('survives JSON', () => {
    assert.deepEqual(entryFromJson(JSON.parse(JSON.stringify(entryToJson(entry)))), entry);
  });

  it('is refused when a field is not what it should be', () => {
    const json = entryToJson(entry) as Record<string, unknown>;
    for (const change of [{ id: '../x' }, { size: 0 }, { root: 'zz' }, { state: 'gone' }, { intent: {} }]) {
      assert.throws(() => entryFromJson({ ...json, ...change }), JSON.stringify(change));
    }
  });
});

describe('a list of ids', () => {
  it('takes a thousand and no more, and nothing that is not an id', () => {
    const ids = Array.from({ length: 1_001 }, newBlobId);
    assert.equal(idsFromJson({ ids: ids.slice(1) }).length, 1_000);
    assert.throws(() => idsFromJson({ ids }));
    assert.throws(() => idsFromJson({ ids: ['../../etc/passwd'] }));
    assert.throws(() => idsFromJson({ ids: [`${ids[0]!.slice(1)}F`] }));
    assert.throws(() => idsFromJson(null));
  });
});
