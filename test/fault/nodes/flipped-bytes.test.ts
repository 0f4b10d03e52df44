/** Bytes that change on the disk: the read fails as corrupt, and what was yielded before is right. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { NodeError } from '../../../src/nodes/protocol.ts';
import {
  chunksOf,
  clientTo,
  nodeAndClient,
  randomBlob,
  readBlob,
  scratchFolder,
  startTestNode,
  writeBlob,
} from '../../integration/nodes/fixture.ts';
import { fileOf, flip, flipSmall } from './flip.ts';

const isCorrupt = (error: unknown): boolean => error instanceof NodeError && error.kind === 'corrupt';

describe('a byte that flips on the disk', () => {
  it('in a large blob: bytes, chunk digests and page list are each caught', async () => {
    await using running = await nodeAndClient();
    const size = 2 * LIMITS.chunkBytes + 100;
    const trailer = 4 * 32;
    for (const position of [0, 5, LIMITS.chunkBytes + 1, size - 1, size, size + 40, size + trailer - 1]) {
      const blob = randomBlob(size);
      await writeBlob(running.client, blob);
      await flip(fileOf(running.folder, blob), position);
      const reader = await running.client.read(blob.id, blob, { firstChunk: 0, lastChunk: 2 });
      const chunks = chunksOf(blob.bytes);
      await assert.rejects(async () => {
        for (let i = 0; ; i += 1) {
          const chunk = await reader.next();
          assert.ok(chunk?.equals(chunks[i]!), 'a wrong byte, or an end');
        }
      }, isCorrupt);
    }
  });

  it('in a large blob that was cut short: the connection is cut, the read never ends early', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(3 * LIMITS.chunkBytes);
    await writeBlob(running.client, blob);
    const path = fileOf(running.folder, blob);
    await writeFile(path, (await readFile(path)).subarray(0, LIMITS.chunkBytes));
    await assert.rejects(readBlob(running.client, blob), NodeError);
  });

  it('in a small blob', async () => {
    const folder = await scratchFolder();
    const first = await startTestNode(folder);
    const client = clientTo(first.port);
    const blob = randomBlob(20_000);
    await writeBlob(client, blob);
    await client.close();
    await first.close();

    await flipSmall(folder, blob);

    const second = await startTestNode(folder);
    const again = clientTo(second.port);
    await assert.rejects(readBlob(again, blob), isCorrupt);
    await again.close();
    await second.close();
  });

  it('in a node that answers with another blob, or of another size', async () => {
    await using running = await nodeAndClient();
    for (const size of [100, 100_000, 3 * LIMITS.chunkBytes]) {
      const [a, b] = [randomBlob(size), randomBlob(size)];
      await writeBlob(running.client, a);
      await assert.rejects(readBlob(running.client, { ...a, root: b.root }), isCorrupt);
      await assert.rejects(readBlob(running.client, { ...a, size: size + 1 }), isCorrupt);
      await assert.rejects(readBlob(running.client, { ...a, size: size + LIMITS.chunkBytes }), isCorrupt);
    }
  });
});
