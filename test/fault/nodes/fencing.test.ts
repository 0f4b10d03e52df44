/** kill -9 and restart of a node whose pair has an epoch: it comes back fenced, with the epoch, and nothing gets past it. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, it } from 'node:test';
import type { Epoch } from '../../../src/base/ids.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import { type NodeClient, NodeError } from '../../../src/nodes/protocol.ts';
import {
  chunksOf,
  clientTo,
  intentOf,
  randomBlob,
  scratchFolder,
  type TestBlob,
} from '../../integration/nodes/fixture.ts';
import { spawnNode } from './node-process.ts';

const epoch = (n: number): Epoch => n as Epoch;
const isKind =
  (kind: string, at?: number) =>
  (error: unknown): boolean =>
    error instanceof NodeError && error.kind === kind && (at === undefined || error.epoch === at);

async function write(client: NodeClient, blob: TestBlob, at: number): Promise<void> {
  const writer = await client.write(blob.id, blob.size, intentOf(), { epoch: epoch(at) });
  for (const chunk of chunksOf(blob.bytes)) await writer.write(chunk, digest(chunk));
  await writer.finish(blob.root);
}

describe('a node that is killed', () => {
  it('comes back fenced, with its epoch and its store id, and takes nothing until it is admitted', async () => {
    const folder = await scratchFolder();
    const [kept, late] = [randomBlob(100_000), randomBlob(100)];
    let storeId = '';
    try {
      {
        await using node = await spawnNode(folder, { admitAtStart: false });
        const client = clientTo(node.port);
        ({ storeId } = await client.setCondition({ state: 'serving', epoch: epoch(7) }));
        await write(client, kept, 7);
        await node.kill();
        await client.close();
      }
      await using node = await spawnNode(folder, { admitAtStart: false });
      const client = clientTo(node.port);
      const status = await client.status();
      assert.deepEqual([status.state, status.epoch, status.storeId], ['fenced', 7, storeId]);
      const range = { firstChunk: 0, lastChunk: 0 };
      for (const [at, kind] of [
        [6, 'stale-epoch'],
        [7, 'fenced'],
        [8, 'fenced'],
      ] as const) {
        await assert.rejects(write(client, late, at), isKind(kind, 7));
        await assert.rejects(client.read(kept.id, kept, range, { epoch: epoch(at) }), isKind(kind, 7));
        await assert.rejects(client.delete([kept.id], { epoch: epoch(at) }), isKind(kind, 7));
      }
      await assert.rejects(
        client.setCondition({ state: 'serving', epoch: epoch(6) }),
        isKind('stale-epoch', 7),
      );
      assert.equal(await client.stat(late.id), null);
      assert.ok(await client.stat(kept.id));
      const after = await client.status();
      assert.deepEqual([after.requests, after.refusedRequests, after.epoch], [0, 9, 7]);
      await client.setCondition({ state: 'serving', epoch: epoch(7) });
      await write(client, late, 7);
      await client.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('has the epoch that it last acknowledged, however soon the kill comes', async () => {
    const folder = await scratchFolder();
    try {
      let at = 1;
      for (let round = 0; round < 4; round += 1) {
        await using node = await spawnNode(folder, { admitAtStart: false });
        const client = clientTo(node.port);
        const { epoch: stored } = await client.status();
        assert.ok(stored === at || stored === at + 1, `${stored} after ${at} was acknowledged`);
        at = stored;
        for (let i = 0; i < 5 + round; i += 1) {
          const state = i % 2 ? 'serving' : 'fenced';
          at = (await client.setCondition({ state, epoch: epoch(at + 1) })).epoch;
        }
        const unheard = client.setCondition({ state: 'fenced', epoch: epoch(at + 1) }).catch(() => {});
        await node.kill();
        await unheard;
        await client.close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is another store when its disk was replaced', async () => {
    const folder = await scratchFolder();
    const ids = new Set<string>();
    for (let round = 0; round < 2; round += 1) {
      await using node = await spawnNode(folder, { admitAtStart: false });
      const client = clientTo(node.port);
      const status = await client.status();
      assert.deepEqual([status.state, status.epoch, status.blobs], ['fenced', 1, 0]);
      ids.add(status.storeId);
      await client.setCondition({ state: 'serving', epoch: epoch(5) });
      await write(client, randomBlob(10), 5);
      await client.close();
      await node.kill();
      await rm(folder, { recursive: true, force: true });
    }
    assert.equal(ids.size, 2);
  });
});

describe('a node that is fenced in the middle of traffic', () => {
  it('acknowledges no write afterwards, and has each that it acknowledged', async () => {
    const folder = await scratchFolder();
    await using node = await spawnNode(folder);
    const client = clientTo(node.port);
    const acknowledged: TestBlob[] = [];
    const after: TestBlob[] = [];
    let isFenced = false;
    const writer = async (size: number): Promise<void> => {
      for (;;) {
        const blob = randomBlob(size);
        try {
          await write(client, blob, 1);
        } catch (error) {
          assert.ok(isKind('stale-epoch', 2)(error) || isKind('fenced', 2)(error), String(error));
          return;
        }
        (isFenced ? after : acknowledged).push(blob);
      }
    };
    const sizes = [100, 100, 100, 100, 70_000, LIMITS.chunkBytes * 3, LIMITS.chunkBytes * 9];
    const writers = sizes.map(writer);
    while (acknowledged.length < 20) await new Promise((resolve) => setTimeout(resolve, 20));
    await client.setCondition({ state: 'fenced', epoch: epoch(2) });
    isFenced = true;
    await Promise.all(writers);
    // Answers that were on their way when the condition's was are all that may have come later.
    assert.ok(after.length <= sizes.length);
    for (const { id } of [...acknowledged, ...after]) assert.ok(await client.stat(id));
    const { requests } = await client.status();
    await assert.rejects(write(client, randomBlob(1), 2), isKind('fenced', 2));
    assert.equal((await client.status()).requests, requests, 'ceased means ceased');
    await client.close();
    await rm(folder, { recursive: true, force: true });
  });
});
