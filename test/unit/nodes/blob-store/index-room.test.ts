/** Room for LMDB: the file is long enough before a commit, and what LMDB wrote is never overwritten. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { IndexRoom } from '../../../../src/nodes/blob-store/index-room.ts';

const MIB = 1024 * 1024;

describe('room for the index', () => {
  let folder = '';
  let file = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'antipode-room-'));
    file = join(folder, 'data.mdb');
    writeFileSync(file, Buffer.alloc(40_960, 7));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('reaches beyond the last page by what a commit can take, and is not extended when it does', async () => {
    const space = { endBytes: 40_960, reusableBytes: 0 };
    const room = new IndexRoom(file, () => space);
    await room.ensure({ bytes: 3 * MIB, essential: false });
    const { size } = statSync(file);
    assert.ok(size >= 40_960 + 3 * MIB);
    space.endBytes += MIB;
    await room.ensure({ bytes: 1 * MIB, essential: false });
    assert.equal(statSync(file).size, size);
    space.endBytes = size;
    await room.ensure({ bytes: 1, essential: true });
    assert.ok(statSync(file).size > size);
  });

  it('leaves every byte that LMDB wrote, even where LMDB took more than was thought', async () => {
    const space = { endBytes: 40_960, reusableBytes: 0 };
    const room = new IndexRoom(file, () => space);
    await room.ensure({ bytes: 1, essential: false });
    const grown = Buffer.alloc(9 * MIB, 8);
    writeFileSync(file, grown);
    space.endBytes = grown.length;
    await room.ensure({ bytes: 1, essential: false });
    const now = readFileSync(file);
    assert.ok(now.length > grown.length);
    assert.ok(now.subarray(0, grown.length).equals(grown));
    assert.ok(now.subarray(grown.length).every((byte) => byte === 0));
  });

  it('is content with pages that are free within the file', async () => {
    const space = { endBytes: 40_960, reusableBytes: 0 };
    const room = new IndexRoom(file, () => space);
    await room.ensure({ bytes: 1, essential: false });
    const { size } = statSync(file);
    space.endBytes = size - 600_000;
    space.reusableBytes = 4 * MIB;
    await room.ensure({ bytes: 100_000, essential: false });
    assert.equal(statSync(file).size, size);
  });
});
