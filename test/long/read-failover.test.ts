/** Reads while real nodes are killed, stopped, cut and garbled under them: the right bytes, or an error. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { BytesUnavailable } from '../../src/dosm/dosm.ts';
import { type Rig, type Site, sha256, startRig } from '../integration/dosm/fixture.ts';

const MIB = 1024 * 1024;
/** More than what kernel buffers hold on the way, so that a failure in mid-body is one. */
const large = randomBytes(32 * MIB + 4_321);
const small = randomBytes(50_000);

/** Reads the first piece, does `harm`, reads the rest. */
async function readWhile(rig: Rig, blob: BlobRef, harm: (near: Site, far: Site) => unknown): Promise<Buffer> {
  const source = await rig.dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] });
  const pieces: Buffer[] = [];
  for await (const piece of source) {
    pieces.push(piece);
    if (pieces.length === 1) await harm(...rig.holders(blob));
  }
  return Buffer.concat(pieces);
}

test('a running GET survives kill -9 of its node, and new ones go on', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  const got = await readWhile(rig, blob, (near) => near.node.kill());
  assert.equal(sha256(got), sha256(large));
  assert.equal(sha256(await rig.read(blob)), sha256(large));
});

test('a running GET survives a stopped node; it is asked again when it answers', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  const [near] = rig.holders(blob);
  const got = await readWhile(rig, blob, () => near.node.stop());
  assert.equal(sha256(got), sha256(large));
  for (let round = 0; round < 3; round += 1) assert.equal(sha256(await rig.read(blob)), sha256(large));
  assert.deepEqual(rig.dosm.suspects(), [near.member]);
  near.node.continue();
  const until = performance.now() + 30_000;
  while (rig.dosm.suspects().length > 0) {
    assert(performance.now() < until, 'it answers and is still suspect');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

for (const kind of ['cut', 'stall', 'flip'] as const) {
  test(`a line that does this in mid-body: ${kind}`, async () => {
    await using rig = await startRig(1);
    const blob = await rig.write(large);
    const [near] = rig.holders(blob);
    for (const afterBytes of [0, 1_000, 5 * MIB + 17]) {
      near.proxy.set({ direction: 'down', afterBytes, kind });
      assert.equal(sha256(await rig.read(blob)), sha256(large), `after ${afterBytes} bytes`);
      assert(near.proxy.isSpent, 'the fault did happen');
      near.proxy.heal();
    }
  });
}

test('both nodes cut in mid-body, one after the other: each is asked again', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  for (const site of rig.holders(blob)) {
    site.proxy.set({ direction: 'down', afterBytes: 9 * MIB, kind: 'cut' });
  }
  assert.equal(sha256(await rig.read(blob)), sha256(large));
});

test('both nodes gone in mid-body: the read throws, and what it gave is a prefix', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  const source = await rig.dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] });
  const pieces: Buffer[] = [];
  await assert.rejects(async () => {
    for await (const piece of source) {
      pieces.push(piece);
      if (pieces.length === 1) await Promise.all(rig.holders(blob).map((site) => site.node.kill()));
    }
  }, BytesUnavailable);
  const got = Buffer.concat(pieces);
  assert(got.length > 0 && got.length < large.length);
  assert(got.equals(large.subarray(0, got.length)));
});

test('both nodes gone before: BytesUnavailable; one back: the bytes', async () => {
  await using rig = await startRig(1);
  const blobs = [await rig.write(large), await rig.write(small)];
  const [near, far] = rig.holders(blobs[0]!);
  await Promise.all([near.node.kill(), far.node.kill()]);
  for (const blob of blobs) await assert.rejects(rig.read(blob), BytesUnavailable);
  await far.node.start();
  assert.equal(sha256(await rig.read(blobs[0]!)), sha256(large));
  assert.equal(sha256(await rig.read(blobs[1]!)), sha256(small));
});

test('a reader that goes away frees its connection, and the next read works', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  for (let round = 0; round < 5; round += 1) {
    const source = await rig.dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] });
    for await (const piece of source) {
      assert(piece.length > 0);
      break;
    }
  }
  assert.equal(sha256(await rig.read(blob)), sha256(large));
  assert.deepEqual(rig.dosm.suspects(), []);
});

test('ranges over several blobs, large and small', async () => {
  await using rig = await startRig(2);
  const blobs = [await rig.write(large), await rig.write(small), await rig.write(Buffer.from('x'))];
  const segments = [
    { blob: blobs[0]!, from: 17 * MIB + 5, to: large.length - 1 },
    { blob: blobs[1]!, from: 0, to: small.length - 1 },
    { blob: blobs[2]!, from: 0, to: 0 },
    { blob: blobs[1]!, from: 49_999, to: 49_999 },
    { blob: blobs[0]!, from: 0, to: 300_000 },
  ];
  const contents = new Map([large, small, Buffer.from('x')].map((bytes, index) => [blobs[index]!, bytes]));
  const expected = segments.map(({ blob, from, to }) => contents.get(blob)!.subarray(from, to + 1));
  const pieces: Buffer[] = [];
  for await (const piece of await rig.dosm.read({ segments })) pieces.push(piece);
  assert.equal(sha256(Buffer.concat(pieces)), sha256(Buffer.concat(expected)));
});

test('a member in failover is asked nothing, by no gateway: its requests stand', async () => {
  await using rig = await startRig(2);
  const blobs = [await rig.write(large), await rig.write(small)];
  const [near, far] = rig.holders(blobs[0]!);
  for (const isKnown of [true, false]) {
    await rig.declare('failed-over', [near.member], { isKnown });
    const { requests, refusedRequests = 0 } = await near.client.status();
    for (const [index, bytes] of [large, small].entries())
      assert.equal(sha256(await rig.read(blobs[index]!)), sha256(bytes));
    const after = await near.client.status();
    assert.equal(after.requests, requests);
    // A gateway that has heard nothing asks, is refused, and learns it from that.
    assert.equal((after.refusedRequests ?? 0) > refusedRequests, !isKnown);
    await rig.declare('resyncing', [near.member]);
    await rig.declare('serving', [near.member]);
  }
  assert((await far.client.status()).requests > 0);
});

test('a running GET whose member is declared out goes on from the twin, under the new epoch', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  const got = await readWhile(rig, blob, async (near) => {
    await rig.declare('failed-over', [near.member], { isKnown: false });
    near.proxy.set({ direction: 'down', afterBytes: 0, kind: 'cut' });
  });
  assert.equal(sha256(got), sha256(large));
});

test('a member that comes back answers when nobody else can, and only then', async () => {
  await using rig = await startRig(1);
  const blob = await rig.write(large);
  const [near, far] = rig.holders(blob);
  await rig.declare('failed-over', [near.member]);
  await rig.declare('resyncing', [near.member]);
  const { requests } = await near.client.status();
  assert.equal(sha256(await rig.read(blob)), sha256(large));
  assert.equal((await near.client.status()).requests, requests);
  await far.node.kill();
  assert.equal(sha256(await rig.read(blob)), sha256(large));
  assert.equal((await near.client.status()).requests, requests + 1);
});

test('a handoff is read like any replica while its member is away, and the survivor too', async () => {
  await using rig = await startRig(2);
  const [near, far] = rig.firstChoice();
  await near.node.kill();
  const blob = await rig.write(large);
  await far.node.kill();
  assert.equal(sha256(await rig.read(blob)), sha256(large));
});
