/** What a node admits: states, epochs, what is refused and counted, and writes that are under way when it is fenced. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, it } from 'node:test';
import type { Epoch } from '../../../src/base/ids.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import { NodeError, type NodeErrorKind, type NodeState } from '../../../src/nodes/protocol.ts';
import {
  chunksOf,
  clientTo,
  intentOf,
  nodeAndClient,
  randomBlob,
  readBlob,
  scratchFolder,
  startTestNode,
  writeBlob,
} from './fixture.ts';

const epoch = (n: number): Epoch => n as Epoch;
const refusal =
  (kind: NodeErrorKind, at: number) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof NodeError, String(error));
    assert.deepEqual({ kind: error.kind, epoch: error.epoch }, { kind, epoch: at }, error.message);
    return true;
  };
const range = { firstChunk: 0, lastChunk: 0 };

describe("a node's condition", () => {
  it('is fenced at the start: control requests alone are answered, the rest is counted as refused', async () => {
    await using running = await nodeAndClient({ node: { admitAtStart: false } });
    const { client } = running;
    const blob = randomBlob(10);
    const large = randomBlob(LIMITS.chunkBytes + 1);
    await assert.rejects(writeBlob(client, blob), refusal('fenced', 1));
    await assert.rejects(client.write(large.id, large.size, intentOf()), refusal('fenced', 1));
    await assert.rejects(readBlob(client, blob), refusal('fenced', 1));
    await assert.rejects(client.delete([blob.id]), refusal('fenced', 1));
    assert.equal(await client.stat(blob.id), null);
    assert.deepEqual(await client.inventory({ max: 10 }), []);
    const { state, epoch: at, requests, refusedRequests, controlRequests } = await client.status();
    assert.deepEqual(
      { state, at, requests, refusedRequests, controlRequests },
      { state: 'fenced', at: 1, requests: 0, refusedRequests: 4, controlRequests: 3 },
    );
  });

  it('admits by setCondition, and keeps the epoch over restarts, but never the state', async () => {
    const folder = await scratchFolder();
    const storeIds = new Set<string>();
    const blob = randomBlob(10);
    for (const [round, state] of (['serving', 'resyncing', 'fenced'] as const).entries()) {
      const node = await startTestNode(folder, { admitAtStart: false });
      const client = clientTo(node.port);
      const before = await client.status();
      assert.deepEqual([before.state, before.epoch], ['fenced', round === 0 ? 1 : round * 10]);
      storeIds.add(before.storeId);
      const after = await client.setCondition({ state, epoch: epoch((round + 1) * 10) });
      assert.deepEqual([after.state, after.epoch], [state, (round + 1) * 10]);
      if (state === 'serving') {
        const writer = await client.write(blob.id, blob.size, intentOf(), { epoch: epoch(10) });
        await writer.write(blob.bytes, digest(blob.bytes));
        await writer.finish(blob.root);
      }
      await client.close();
      await node.close();
    }
    assert.equal(storeIds.size, 1);
    await rm(folder, { recursive: true });
  });

  it('refuses lower epochs and their absence once it has one, and takes over higher ones durably', async () => {
    const folder = await scratchFolder();
    const node = await startTestNode(folder);
    const client = clientTo(node.port);
    const blob = randomBlob(10);
    await writeBlob(client, blob); // without an epoch, at the first
    const read = (at: number | undefined) =>
      client.read(blob.id, blob, range, at === undefined ? {} : { epoch: epoch(at) });
    await read(1);
    await client.setCondition({ state: 'serving', epoch: epoch(5) });
    await assert.rejects(read(4), refusal('stale-epoch', 5));
    await assert.rejects(read(undefined), refusal('stale-epoch', 5));
    await assert.rejects(client.delete([blob.id]), refusal('stale-epoch', 5));
    await assert.rejects(
      client.setCondition({ state: 'serving', epoch: epoch(4) }),
      refusal('stale-epoch', 5),
    );
    await read(5);
    await read(9);
    await assert.rejects(read(8), refusal('stale-epoch', 9));
    await client.setCondition({ state: 'serving', epoch: epoch(9) });
    const status = await client.status();
    assert.deepEqual([status.epoch, status.requests, status.refusedRequests], [9, 4, 4]);

    await read(12); // heard of, and stored by the way
    await client.close();
    await node.close();
    const again = await startTestNode(folder, { admitAtStart: false });
    const after = clientTo(again.port);
    assert.equal((await after.status()).epoch, 12);
    await after.close();
    await again.close();
    await rm(folder, { recursive: true });
  });

  it('answers last-resort reads while it resyncs, and replication in every state, as a control request', async () => {
    await using running = await nodeAndClient();
    const { client } = running;
    const blob = randomBlob(LIMITS.chunkBytes + 100);
    await writeBlob(client, blob);
    const states: [NodeState, readonly ['no' | 'yes', 'no' | 'yes', 'no' | 'yes']][] = [
      ['fenced', ['no', 'no', 'yes']],
      ['resyncing', ['no', 'yes', 'yes']],
      ['serving', ['yes', 'yes', 'yes']],
    ];
    for (const [i, [state, expected]] of states.entries()) {
      const at = epoch(i + 2);
      await client.setCondition({ state, epoch: at });
      const before = await client.status();
      const outcomes = await Promise.all(
        [{ epoch: at }, { epoch: at, lastResort: true }, { purpose: 'replication' as const }].map((options) =>
          client.read(blob.id, blob, range, options).then(
            (reader) => {
              reader.close();
              return 'yes';
            },
            (error: NodeError) => (error.kind === 'fenced' ? 'no' : String(error)),
          ),
        ),
      );
      assert.deepEqual(outcomes, expected, state);
      const after = await client.status();
      const served = expected.slice(0, 2).filter((outcome) => outcome === 'yes').length;
      assert.equal(after.requests - before.requests, served);
      assert.equal(after.refusedRequests - before.refusedRequests, 2 - served);
      assert.equal(after.controlRequests - before.controlRequests, 2);
    }
    await client.setCondition({ state: 'resyncing', epoch: epoch(5) });
    await assert.rejects(
      client.read(blob.id, blob, range, { epoch: epoch(4), lastResort: true }),
      refusal('stale-epoch', 5),
    );
  });

  it('does not let a write or a delete pass for a read', async () => {
    await using running = await nodeAndClient({ node: { admitAtStart: false } });
    const { client } = running;
    const write = client.write as (...args: unknown[]) => ReturnType<typeof client.write>;
    const blob = randomBlob(10);
    const writer = await write(blob.id, blob.size, intentOf(), { lastResort: true, purpose: 'replication' });
    await writer.write(blob.bytes, digest(blob.bytes));
    await assert.rejects(writer.finish(blob.root), refusal('fenced', 1));
    assert.equal(await client.stat(blob.id), null);
  });

  for (const end of ['fenced', 'served again'] as const) {
    it(`refuses at its end a write that it stopped serving under way (${end}); reads go on`, async () => {
      await using running = await nodeAndClient();
      const { client } = running;
      const there = randomBlob(20 * LIMITS.chunkBytes);
      await writeBlob(client, there);
      const reader = await client.read(
        there.id,
        there,
        { firstChunk: 0, lastChunk: 19 },
        { epoch: epoch(1) },
      );
      const blob = randomBlob(2 * LIMITS.chunkBytes);
      const writer = await client.write(blob.id, blob.size, intentOf(), { epoch: epoch(1) });
      for (const chunk of chunksOf(blob.bytes)) await writer.write(chunk, digest(chunk));

      await client.setCondition({ state: 'fenced', epoch: epoch(2) });
      if (end === 'served again') await client.setCondition({ state: 'serving', epoch: epoch(3) });
      await assert.rejects(writer.finish(blob.root), refusal('fenced', end === 'fenced' ? 2 : 3));
      assert.equal(await client.stat(blob.id), null);
      const chunks: Buffer[] = [];
      for (let chunk = await reader.next(); chunk; chunk = await reader.next()) chunks.push(chunk);
      assert.ok(Buffer.concat(chunks).equals(there.bytes));
    });
  }

  it('acknowledges a write that a higher epoch overtook while it went on serving', async () => {
    await using running = await nodeAndClient();
    const { client } = running;
    const blob = randomBlob(2 * LIMITS.chunkBytes);
    const writer = await client.write(blob.id, blob.size, intentOf(), { epoch: epoch(1) });
    for (const chunk of chunksOf(blob.bytes)) await writer.write(chunk, digest(chunk));
    await client.setCondition({ state: 'serving', epoch: epoch(2) });
    await writer.finish(blob.root);
    assert.ok(await client.stat(blob.id));
  });
});
