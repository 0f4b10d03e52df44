/** Writes while real nodes are killed, stopped and cut under them: acknowledged means kept by both, else an error. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { BytesUnavailable } from '../../../src/dosm/dosm.ts';
import { piecesOf, writeRequest } from '../../world/world.ts';
import { type Rig, type Site, sha256, startRig } from './fixture.ts';

const MIB = 1024 * 1024;
const large = randomBytes(24 * MIB + 4_321);
const small = randomBytes(700_000);

async function assertOn(site: Site, blob: BlobRef, bytes: Buffer): Promise<void> {
  const lastChunk = Math.ceil(blob.size / (256 * 1024)) - 1;
  const reader = await site.client.read(blob.id, blob, { firstChunk: 0, lastChunk });
  const chunks: Buffer[] = [];
  for (let chunk = await reader.next(); chunk; chunk = await reader.next()) chunks.push(chunk);
  assert.equal(sha256(Buffer.concat(chunks)), sha256(bytes), `${site.member} has other bytes`);
}

/** The bytes of a large write; `harm` is done when half of them have been taken. */
async function* harmedAtHalf(bytes: Buffer, harm: () => unknown): AsyncGenerator<Buffer> {
  let given = 0;
  for await (const piece of piecesOf(bytes)) {
    if (given < bytes.length / 2 && given + piece.length >= bytes.length / 2) await harm();
    given += piece.length;
    yield piece;
  }
}

const inventoryOf = async ({ client }: Site): Promise<number> =>
  (await client.inventory({ max: 100 })).length;
const inventories = (rig: Rig): Promise<number[]> => Promise.all([...rig.sites.values()].map(inventoryOf));

/** For what happens after the call that leads to it has returned. */
async function eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const until = performance.now() + 30_000;
  while (!(await holds())) {
    assert(performance.now() < until, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('a blob of any size is on both nodes when it is acknowledged', async () => {
  await using rig = await startRig(1);
  for (const size of [1, 65_536, 65_537, 262_144, 262_145, 1_048_576, 1_048_577, 5_000_000]) {
    const bytes = large.subarray(0, size);
    const blob = await rig.write(bytes);
    for (const site of rig.holders(blob)) await assertOn(site, blob, bytes);
  }
});

for (const harm of ['kill', 'stop'] as const) {
  test(`a node that is gone before (${harm}): the next pair takes small and large`, async () => {
    await using rig = await startRig(2);
    const [, far] = rig.firstChoice();
    await far.node[harm]();
    for (const bytes of [small.subarray(0, 1_000), small, large]) {
      const blob = await rig.write(bytes);
      assert(!rig.holders(blob).includes(far));
      for (const site of rig.holders(blob)) await assertOn(site, blob, bytes);
    }
  });

  test(`a node that is gone in mid-body (${harm}): an error, nothing kept, and the next write goes elsewhere`, async () => {
    await using rig = await startRig(2);
    const [near, far] = rig.firstChoice();
    const source = harmedAtHalf(large, () => far.node[harm]());
    await assert.rejects(rig.dosm.write(writeRequest(large, { source })), BytesUnavailable);
    // What the lines hold may take all that is left: then the near node has the blob, and is told to discard it.
    await eventually('the near node keeps nothing', async () => (await inventoryOf(near)) === 0);
    const blob = await rig.write(large);
    for (const site of rig.holders(blob)) await assertOn(site, blob, large);
  });
}

for (const kind of ['cut', 'stall', 'flip'] as const) {
  test(`a line that does this during a write: ${kind}`, async () => {
    await using rig = await startRig(2);
    const [near, far] = rig.firstChoice();
    far.proxy.set({ direction: 'up', afterBytes: 300_000, kind });
    const blob = await rig.write(small);
    assert(far.proxy.isSpent);
    assert(!rig.holders(blob).includes(far), 'a small body goes to the next pair');
    for (const site of rig.holders(blob)) await assertOn(site, blob, small);
    far.proxy.heal();

    near.proxy.set({ direction: 'up', afterBytes: 12 * MIB, kind });
    await assert.rejects(rig.dosm.write(writeRequest(large)), BytesUnavailable);
    assert(near.proxy.isSpent);
    near.proxy.heal();
    const again = await rig.write(large);
    for (const site of rig.holders(again)) await assertOn(site, again, large);
  });
}

test('a source that breaks off leaves nothing on the nodes', async () => {
  await using rig = await startRig(1);
  const failure = new Error('the client broke off');
  const source = harmedAtHalf(large, () => Promise.reject(failure));
  await assert.rejects(rig.dosm.write(writeRequest(large, { source })), (error) => error === failure);
  assert.deepEqual(await inventories(rig), [0, 0]);
});

test('confirm and discard reach both nodes', async () => {
  await using rig = await startRig(1);
  const kept = await rig.write(small);
  const dropped = await rig.write(large);
  rig.dosm.confirm([kept]);
  rig.dosm.discard([dropped]);
  for (const { client, member } of rig.sites.values()) {
    await eventually(
      `${member} has confirmed`,
      async () => (await client.stat(kept.id))?.state === 'confirmed',
    );
    await eventually(`${member} has discarded`, async () => (await client.stat(dropped.id)) === null);
  }
  // A notice counts when its answer is here, which is later than the node has done it.
  await eventually('four notices were answered', () => rig.dosm.noticeCounts().sent === 4);
  assert.deepEqual(rig.dosm.noticeCounts(), { sent: 4, dropped: 0 });
});
