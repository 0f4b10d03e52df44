/** Writes while real nodes are killed, stopped and cut under them: acknowledged means kept by both, else an error. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { BytesUnavailable } from '../../src/dosm/dosm.ts';
import { type Rig, type Site, sha256, startRig } from '../integration/dosm/fixture.ts';
import { piecesOf, writeRequest } from '../world/world.ts';

const MIB = 1024 * 1024;
const large = randomBytes(24 * MIB + 4_321);
const small = randomBytes(700_000);

async function assertOn(site: Site, blob: BlobRef, bytes: Buffer): Promise<void> {
  const lastChunk = Math.ceil(blob.size / (256 * 1024)) - 1;
  const range = { firstChunk: 0, lastChunk };
  const reader = await site.client.read(blob.id, blob, range, { purpose: 'replication' });
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

/** Its bytes on exactly two nodes: home and handoff where `absent` says so. */
async function assertKeptBeside(rig: Rig, blob: BlobRef, absent: Site, bytes: Buffer): Promise<void> {
  assert.deepEqual(blob.absent, [absent.member]);
  const [survivor, handoff] = rig.replicas(blob) as [Site, Site];
  const centerOf = ({ member }: Site) => rig.topology.members.get(member)!.center;
  assert.equal(centerOf(handoff), centerOf(survivor));
  for (const site of [survivor, handoff]) await assertOn(site, blob, bytes);
  assert.equal((await handoff.client.stat(blob.id))!.intent.handoffFor, absent.member);
  assert.equal((await survivor.client.stat(blob.id))!.intent.handoffFor, undefined);
}

for (const harm of ['kill', 'stop'] as const) {
  test(`a node that is gone before (${harm}): a handoff beside the survivor, small and large`, async () => {
    await using rig = await startRig(2);
    const [, far] = rig.firstChoice();
    await far.node[harm]();
    for (const bytes of [small.subarray(0, 1_000), small, large])
      await assertKeptBeside(rig, await rig.write(bytes), far, bytes);
  });

  test(`a node that is gone in mid-body (${harm}): the stream goes on, and a handoff node copies it`, async () => {
    await using rig = await startRig(2);
    for (const far of rig.firstChoice()) {
      const source = harmedAtHalf(large, () => far.node[harm]());
      const { blob } = await rig.dosm.write(writeRequest(large, { source }));
      await assertKeptBeside(rig, blob, far, large);
      assert.equal(sha256(await rig.read(blob)), sha256(large));
      if (harm === 'kill') await far.node.start();
      else far.node.continue();
      await settled(rig);
    }
  });

  test(`a node that is gone at the very end (${harm}): the same`, async () => {
    await using rig = await startRig(2);
    const [near] = rig.firstChoice();
    async function* source() {
      for await (const piece of piecesOf(large.subarray(0, large.length - 1))) yield piece;
      await near.node[harm]();
      yield large.subarray(large.length - 1);
    }
    const { blob } = await rig.dosm.write(writeRequest(large, { source: source() }));
    await assertKeptBeside(rig, blob, near, large);
  });

  test(`both-centers and one, with a node that is gone (${harm})`, async () => {
    await using rig = await startRig(2);
    const [near, far] = rig.firstChoice();
    await far.node[harm]();
    const both = await rig.dosm.write(writeRequest(small, { durability: 'both-centers' }));
    assert(!rig.holders(both.blob).includes(far));
    for (const site of rig.holders(both.blob)) await assertOn(site, both.blob, small);
    const one = await rig.dosm.write(writeRequest(large, { durability: 'one' }));
    assert.deepEqual([one.lagging, one.blob.offMap], [[far.member], undefined]);
    await assertOn(near, one.blob, large);
  });
}

/** Until no node is suspect any more. */
async function settled(rig: Rig): Promise<void> {
  const until = Date.now() + 15_000;
  while (rig.dosm.suspects().length > 0) {
    assert(Date.now() < until, 'suspects are cleared');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

for (const kind of ['cut', 'stall', 'flip'] as const) {
  test(`a line that does this during a write: ${kind}`, async () => {
    await using rig = await startRig(2);
    const [near, far] = rig.firstChoice();
    far.proxy.set({ direction: 'up', afterBytes: 300_000, kind });
    const blob = await rig.write(small);
    assert(far.proxy.isSpent);
    await assertKeptBeside(rig, blob, far, small);
    far.proxy.heal();
    await settled(rig);

    near.proxy.set({ direction: 'up', afterBytes: 12 * MIB, kind });
    const again = await rig.write(large);
    assert(near.proxy.isSpent);
    near.proxy.heal();
    await assertKeptBeside(rig, again, near, large);
  });
}

test('the handoff node dies while it copies: a second one does', async () => {
  await using rig = await startRig(3);
  const [near, far] = rig.firstChoice();
  const others = [...rig.sites.values()].filter((site) => site !== far && site.member.startsWith('node-b'));
  let died: Site | null = null;
  for (const site of others) {
    const pull = site.client.pull.bind(site.client);
    site.client.pull = async (...args) => {
      if (died) return pull(...args);
      died = site;
      const pulling = pull(...args);
      pulling.catch(() => {});
      await site.node.kill();
      return pulling;
    };
  }
  const source = harmedAtHalf(large, () => near.node.kill());
  const { blob } = await rig.dosm.write(writeRequest(large, { source }));
  await assertKeptBeside(rig, blob, near, large);
  assert(died && !rig.replicas(blob).includes(died));
});

test('two failures, one after the other in mid-body: the next pair or an error, and never one copy', async () => {
  await using rig = await startRig(2);
  const [near, far] = rig.firstChoice();
  const source = harmedAtHalf(large, async () => {
    await near.node.kill();
    far.proxy.set({ direction: 'up', afterBytes: 4 * MIB, kind: 'cut' });
  });
  await assert.rejects(rig.dosm.write(writeRequest(large, { source })), BytesUnavailable);
  far.proxy.heal();
  await settled(rig);
  await assertKeptBeside(rig, await rig.write(large), near, large);
});

test('a member that goes out in mid-write, declared by another gateway: written by the new epoch, or reaffirmed', async () => {
  await using rig = await startRig(2);
  const [near, far] = rig.firstChoice();
  let epoch = 0;
  const source = harmedAtHalf(large, async () => {
    epoch = await rig.declare('failed-over', [near.member], { isKnown: false });
  });
  const written = await rig.dosm.write(writeRequest(large, { source }));
  assert(written.epoch < epoch, 'this gateway has not heard');
  const now = await rig.dosm.reaffirm(written);
  assert.equal(now.epoch, epoch);
  await assertKeptBeside(rig, now.blob, near, large);

  const { requests } = await near.client.status();
  for (const bytes of [small.subarray(0, 1_000), small, large]) {
    const after = await rig.dosm.write(writeRequest(bytes));
    assert.equal(after.epoch, epoch);
    await assertKeptBeside(rig, after.blob, near, bytes);
  }
  assert.equal(
    (await near.client.status()).requests,
    requests,
    'no data request reaches a member in failover',
  );
  assert(far.member !== near.member);
});

test('a gateway that has heard nothing is refused by the nodes, reads the record, and writes what it was given', async () => {
  for (const bytes of [small.subarray(0, 1_000), large]) {
    await using rig = await startRig(2);
    const [, far] = rig.firstChoice();
    const epoch = await rig.declare('failed-over', [far.member], { isKnown: false });
    const written = await rig.dosm.write(writeRequest(bytes));
    assert.equal(written.epoch, epoch);
    await assertKeptBeside(rig, written.blob, far, bytes);
    const status = await far.client.status();
    assert.equal(status.requests, 0);
  }
});

test('a whole center out: writes of every size go on in the other one, and discards reach it', async () => {
  await using rig = await startRig(2);
  const out = [...rig.sites.values()].filter(({ member }) => member.startsWith('node-a'));
  await Promise.all(out.map(({ node }) => node.kill()));
  await rig.declare(
    'failed-over',
    out.map(({ member }) => member),
  );
  const blobs: BlobRef[] = [];
  for (const bytes of [small.subarray(0, 1_000), small, large]) {
    const blob = await rig.write(bytes);
    blobs.push(blob);
    assert(rig.replicas(blob).every(({ member }) => member.startsWith('node-b')));
    for (const site of rig.replicas(blob)) await assertOn(site, blob, bytes);
    await assert.rejects(
      rig.dosm.write(writeRequest(bytes, { durability: 'both-centers' })),
      BytesUnavailable,
    );
  }
  rig.dosm.discard(blobs);
  const until = Date.now() + 10_000;
  while (
    (
      await Promise.all(blobs.flatMap((blob) => rig.replicas(blob).map((site) => site.client.stat(blob.id))))
    ).some((entry) => entry !== null)
  ) {
    assert(Date.now() < until, 'the nodes were told in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

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
