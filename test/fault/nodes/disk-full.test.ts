/**
 * A disk of a few MiB that really runs full (a tmpfs, where mounting is allowed): writes are refused with 'full', what
 * was acknowledged stays readable and right, and writes are taken again when room returns.
 */
import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { NodeError } from '../../../src/nodes/protocol.ts';
import {
  clientTo,
  randomBlob,
  readBlob,
  startTestNode,
  type TestBlob,
  writeBlob,
} from '../../integration/nodes/fixture.ts';
import { smallDisk } from './small-disk.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Writes until the node says 'full'; the blobs that were acknowledged. */
async function fill(write: (blob: TestBlob) => Promise<void>, sizeBytes: number): Promise<TestBlob[]> {
  const kept: TestBlob[] = [];
  for (;;) {
    const blob = randomBlob(sizeBytes);
    try {
      await write(blob);
    } catch (error) {
      assert.ok(error instanceof NodeError && error.kind === 'full', String(error));
      return kept;
    }
    kept.push(blob);
    assert.ok(kept.length < 10_000, 'the disk never ran full');
  }
}

describe('a full disk', () => {
  for (const [name, sizeBytes] of [
    ['small blobs', 16 * KIB],
    ['large blobs', 1 * MIB],
  ] as const) {
    for (const reserve of ['none', 'some'] as const) {
      it(`refuses ${name} (reserve: ${reserve}), keeps what it has, and recovers`, async (t) => {
        await using disk = await smallDisk(24);
        if (!disk) return t.skip('mounting a tmpfs is not permitted here');
        // A reserve below zero makes the node accept what it has no room for, so that the writes themselves fail.
        const reserveBytes = reserve === 'none' ? -64 * MIB : 2 * MIB;
        const folder = join(disk.path, 'node');
        const node = await startTestNode(folder, { reserveBytes });
        const client = clientTo(node.port);
        try {
          const kept = await fill((blob) => writeBlob(client, blob), sizeBytes);
          assert.ok(kept.length > 5, `${kept.length} blobs fitted`);
          // The node's figure of free bytes errs to the safe side for a moment, so some of these may fit after all.
          const late = Array.from({ length: 40 }, () => randomBlob(sizeBytes));
          const outcomes = await Promise.allSettled(late.map((blob) => writeBlob(client, blob)));
          for (const [i, outcome] of outcomes.entries()) {
            if (outcome.status === 'fulfilled') kept.push(late[i]!);
            else assert.equal((outcome.reason as NodeError).kind, 'full', String(outcome.reason));
          }
          assert.ok(outcomes.some(({ status }) => status === 'rejected'));
          for (const blob of kept) assert.ok((await readBlob(client, blob)).equals(blob.bytes));
          assert.deepEqual(await readdir(join(folder, 'tmp')), []);
          assert.equal((await client.status()).blobs, kept.length);

          if (reserve === 'some') {
            // Deletes need the room that the reserve kept.
            await client.delete(kept.slice(0, 8).map(({ id }) => id));
            kept.splice(0, 8);
          } else {
            disk.grow(48);
          }
          await new Promise((resolve) => setTimeout(resolve, 300)); // the figure of free bytes is 200 ms old at most
          const last = randomBlob(sizeBytes);
          await writeBlob(client, last);
          for (const blob of [...kept, last]) assert.ok((await readBlob(client, blob)).equals(blob.bytes));
        } finally {
          await client.close();
          await node.close();
        }
        const again = await startTestNode(folder, { reserveBytes });
        await again.close();
      });
    }
  }

  it('is not confused by somebody else filling it', async (t) => {
    await using disk = await smallDisk(16);
    if (!disk) return t.skip('mounting a tmpfs is not permitted here');
    const node = await startTestNode(join(disk.path, 'node'), { reserveBytes: 1 * MIB });
    const client = clientTo(node.port);
    try {
      const first = randomBlob(1 * MIB);
      await writeBlob(client, first);
      await writeFile(join(disk.path, 'ballast'), Buffer.alloc(13 * MIB)).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 300));
      await assert.rejects(
        writeBlob(client, randomBlob(1 * MIB)),
        (error: NodeError) => error.kind === 'full',
      );
      assert.ok((await readBlob(client, first)).equals(first.bytes));
      await rm(join(disk.path, 'ballast'));
      await new Promise((resolve) => setTimeout(resolve, 300));
      await writeBlob(client, randomBlob(1 * MIB));
    } finally {
      await client.close();
      await node.close();
    }
  });
});
