/** A real node and its client over sockets: what is written is what is read, and what the control side says of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newBlobId } from '../../../src/base/ids.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { NodeError } from '../../../src/nodes/protocol.ts';
import { blobOf, intentOf, nodeAndClient, randomBlob, readBlob, writeBlob } from './fixture.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ofKind = (kind: string) => (error: unknown) => {
  assert.ok(error instanceof NodeError, String(error));
  assert.equal(error.kind, kind, error.message);
  return true;
};

describe('a node', () => {
  it('returns what was written, at every size around its borders', async () => {
    await using running = await nodeAndClient();
    const { chunkBytes, smallBlobBytesMax } = LIMITS;
    const sizes = [
      1,
      4 * KIB,
      smallBlobBytesMax - 1,
      smallBlobBytesMax,
      smallBlobBytesMax + 1,
      chunkBytes - 1,
    ];
    for (const size of [...sizes, chunkBytes, chunkBytes + 1, 3 * chunkBytes, 5 * MIB + 17]) {
      const blob = randomBlob(size);
      await writeBlob(running.client, blob);
      assert.ok((await readBlob(running.client, blob)).equals(blob.bytes), `${size} bytes`);
    }
  });

  it('returns ranges of chunks, across pages', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(64 * MIB + 3 * LIMITS.chunkBytes + 5);
    await writeBlob(running.client, blob);
    for (const [firstChunk, lastChunk] of [
      [0, 0],
      [7, 9],
      [255, 256],
      [256, 259],
      [259, 259],
      [0, 259],
    ] as const) {
      const bytes = await readBlob(running.client, blob, { firstChunk, lastChunk });
      const wanted = blob.bytes.subarray(firstChunk * LIMITS.chunkBytes, (lastChunk + 1) * LIMITS.chunkBytes);
      assert.ok(bytes.equals(wanted), `${firstChunk}–${lastChunk}`);
    }
  });

  it('takes thousands of small blobs at once and keeps each', async () => {
    await using running = await nodeAndClient();
    const blobs = Array.from({ length: 3_000 }, () => randomBlob(4 * KIB));
    await Promise.all(blobs.map((blob) => writeBlob(running.client, blob)));
    const read = await Promise.all(blobs.map((blob) => readBlob(running.client, blob)));
    for (const [i, bytes] of read.entries()) assert.ok(bytes.equals(blobs[i]!.bytes));
    assert.equal((await running.client.status()).blobs, 3_000);
  });

  it('tells pending from confirmed, lists both by id, and forgets what is deleted', async () => {
    await using running = await nodeAndClient();
    const { client } = running;
    const blobs = [randomBlob(10), randomBlob(100 * KIB), randomBlob(20)].sort((a, b) =>
      a.id < b.id ? -1 : 1,
    );
    const [first, second, third] = blobs as [(typeof blobs)[0], (typeof blobs)[0], (typeof blobs)[0]];
    const began = Date.now() - 1_000;
    for (const blob of blobs) await writeBlob(client, blob, intentOf('a\u0000b/é', began));
    await client.confirm([second.id, newBlobId()]);

    const stat = await client.stat(second.id);
    assert.equal(stat?.state, 'confirmed');
    assert.equal(stat?.intent.key, 'a\u0000b/é');
    assert.ok(stat?.root.equals(second.root));
    assert.equal(await client.stat(newBlobId()), null);

    const pending = await client.pending({ before: began + 1, max: 10 });
    assert.deepEqual(
      pending.map(({ id }) => id),
      [first.id, third.id],
    );
    assert.deepEqual(await client.pending({ before: began, max: 10 }), []);
    const page = await client.inventory({ max: 2 });
    assert.deepEqual(
      page.map(({ id, state }) => [id, state]),
      [
        [first.id, 'pending'],
        [second.id, 'confirmed'],
      ],
    );
    const rest = await client.inventory({ after: second.id, max: 2 });
    assert.deepEqual(
      rest.map(({ id }) => id),
      [third.id],
    );

    await client.delete([first.id, second.id, newBlobId()]);
    await assert.rejects(readBlob(client, first), ofKind('not-found'));
    await assert.rejects(readBlob(client, second), ofKind('not-found'));
    const status = await client.status();
    assert.equal(status.blobs, 1);
    assert.equal(status.storedBytes, third.size);
  });

  it('takes the same bytes twice and refuses other bytes under the same id', async () => {
    await using running = await nodeAndClient();
    for (const size of [30, 300 * KIB]) {
      const blob = randomBlob(size);
      await writeBlob(running.client, blob);
      await writeBlob(running.client, blob);
      const other = blobOf(Buffer.alloc(size, 1), blob.id);
      await assert.rejects(writeBlob(running.client, other), ofKind('conflict'));
      assert.ok((await readBlob(running.client, blob)).equals(blob.bytes));
    }
  });

  it('counts data and control requests apart', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(10);
    await writeBlob(running.client, blob);
    await readBlob(running.client, blob);
    await running.client.stat(blob.id);
    await running.client.delete([blob.id]);
    const { requests, controlRequests } = await running.client.status();
    assert.deepEqual({ requests, controlRequests }, { requests: 3, controlRequests: 2 });
  });
});
