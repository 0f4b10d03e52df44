/** Writes onto pairs that fail, scenario by scenario, on fake nodes and a virtual clock. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { PairId } from '../../../src/base/ids.ts';
import { SizeMismatch } from '../../../src/dosm/chunk-source.ts';
import { BytesUnavailable, StorageFull, type WrittenBlob } from '../../../src/dosm/dosm.ts';
import { rankPairs } from '../../../src/dosm/placement.ts';
import { makeWorld, piecesOf, type World, writeRequest } from '../../world/world.ts';

const KIB = 1024;
const small = randomBytes(700 * KIB + 13);
const large = randomBytes(3_000 * KIB + 13);

const order = (world: World): readonly PairId[] =>
  rankPairs(world.topology.pairs.values(), { kind: 'object', bucket: 'bucket', key: 'key' });
const write = (world: World, bytes: Buffer, more = {}): Promise<WrittenBlob> =>
  world.clock.run(world.dosm.write(writeRequest(bytes, more)));

function assertKeptTwice(world: World, { blob }: WrittenBlob, bytes: Buffer) {
  for (const node of world.holders(blob)) {
    const stored = node.blobs.get(blob.id);
    assert(stored, `${node.member} has no replica`);
    assert(Buffer.concat(stored.chunks).equals(bytes));
    assert(stored.root.equals(blob.root));
  }
  assertClosed(world);
}
function assertClosed(world: World) {
  for (const node of world.nodes.values()) assert.equal(node.openHandles, 0, node.member);
}
const nodesOf = (world: World, pair: PairId | undefined) => world.holders({ pair: pair! });

for (const bytes of [Buffer.from('x'), small, randomBytes(1024 * KIB), randomBytes(1024 * KIB + 1), large]) {
  test(`${bytes.length} bytes go to both nodes of the first pair`, async () => {
    const world = makeWorld(1, { pairs: 3 });
    const written = await write(world, bytes);
    assert.equal(written.blob.pair, order(world)[0]);
    assert.equal(written.blob.size, bytes.length);
    assert(written.intentAt <= world.clock.now());
    assertKeptTwice(world, written, bytes);
  });
}

test('a pair with a full node: the next pair in order, while nothing is lost by that', async () => {
  for (const [bytes, faults] of [
    [large, { full: true }],
    [small, { full: true }],
    [small, { fullWriteAfter: 1 }],
  ] as const) {
    const world = makeWorld(1, { pairs: 3 });
    nodesOf(world, order(world)[0])[1].faults = { ...faults };
    const written = await write(world, bytes);
    assert.equal(written.blob.pair, order(world)[1]);
    assert.equal(written.blob.offMap, undefined);
    assertKeptTwice(world, written, bytes);
  }
});

test('a pair that loses both nodes: a small body goes to the next one, and leaves nothing behind', async () => {
  for (const faults of [{ cutWriteAfter: 1 }, { stallWriteAfter: 1 }, { loseFinishAnswer: true }]) {
    const world = makeWorld(1, { pairs: 3 });
    const nodes = nodesOf(world, order(world)[0]);
    for (const node of nodes) node.faults = { ...faults };
    const written = await write(world, small);
    assert.equal(written.blob.pair, order(world)[1]);
    assertKeptTwice(world, written, small);
    await world.clock.run(world.clock.sleep(1_000));
    for (const node of nodes) assert.equal(node.blobs.size, 0);
  }
});

test('a large body survives that within what is kept; beyond it: BytesUnavailable', async () => {
  const world = makeWorld(1, { pairs: 3 });
  const nodes = nodesOf(world, order(world)[0]);
  for (const node of nodes) node.faults = { cutWriteAfter: 1 };
  assertKeptTwice(world, await write(world, large), large);

  for (const node of nodes) node.faults = { cutWriteAfter: 8 };
  await assert.rejects(write(world, large), BytesUnavailable);
  assertClosed(world);
});

test('a slow node is bounded by the stall deadline', async () => {
  const world = makeWorld(1, { pairs: 1 });
  nodesOf(world, order(world)[0])[1].faults = { stallWriteAfter: 6 };
  const before = world.clock.monotonic();
  await assert.rejects(write(world, large), BytesUnavailable);
  assert(world.clock.monotonic() - before < 2_500);
  assertClosed(world);
});

test('all pairs full is StorageFull; one that is away makes it BytesUnavailable', async () => {
  const world = makeWorld(1, { pairs: 3 });
  for (const node of world.nodes.values()) node.faults = { full: true };
  await assert.rejects(write(world, small), StorageFull);
  const [first] = nodesOf(world, order(world)[0]);
  first.faults = { down: true };
  await assert.rejects(write(world, small), BytesUnavailable);
});

test('full pairs do not count as attempts, dead ones do', async () => {
  const world = makeWorld(1, { pairs: 8 });
  const ranked = order(world);
  for (const pair of ranked.slice(0, 7)) nodesOf(world, pair)[0].faults = { full: true };
  assert.equal((await write(world, small)).blob.pair, ranked[7]);
  for (const pair of ranked.slice(0, 7))
    for (const node of nodesOf(world, pair)) node.faults = { stopped: true };
  const before = world.clock.monotonic();
  await assert.rejects(write(world, small), BytesUnavailable);
  assert(world.clock.monotonic() - before < 4_500);
});

test('what the source throws comes back unchanged, and both nodes drop what they got', async () => {
  for (const at of [100 * KIB, 2_000 * KIB]) {
    const world = makeWorld(1);
    const failure = new Error('the client broke off');
    async function* source() {
      yield* piecesOf(large.subarray(0, at));
      throw failure;
    }
    await assert.rejects(write(world, large, { source: source() }), (error) => error === failure);
    assertClosed(world);
    for (const node of world.nodes.values()) assert.equal(node.blobs.size, 0);
  }
});

test('a source of another size is an error', async () => {
  for (const bytes of [small, large]) {
    for (const size of [bytes.length - 1, bytes.length + 1]) {
      const world = makeWorld(1);
      await assert.rejects(write(world, bytes, { size }), SizeMismatch);
      assertClosed(world);
      for (const node of world.nodes.values()) assert.equal(node.blobs.size, 0);
    }
  }
});

test('sizes that no blob can have are refused', async () => {
  const world = makeWorld(1);
  for (const size of [0, -1, 1.5, 6 * 1024 ** 3]) {
    await assert.rejects(write(world, small, { size }), RangeError);
  }
});

test('an aborted signal ends the write with its reason, also while the source gives nothing', async () => {
  for (const given of [0, 2_000 * KIB]) {
    const world = makeWorld(1);
    const abort = new AbortController();
    const reason = new Error('the client went away');
    async function* source() {
      yield* piecesOf(large.subarray(0, given));
      await new Promise(() => {});
    }
    const writing = world.dosm.write(writeRequest(large, { source: source(), signal: abort.signal }));
    writing.catch(() => {});
    await world.clock.run(world.clock.sleep(1_000));
    abort.abort(reason);
    await assert.rejects(world.clock.run(writing), reason);
    await world.clock.run(world.clock.sleep(10));
    assertClosed(world);
  }
});

test('a write ends at its deadline', async () => {
  const world = makeWorld(1, { tuning: { writeMsMax: 5_000 } });
  async function* source() {
    yield* piecesOf(large.subarray(0, 2_000 * KIB));
    await new Promise(() => {});
  }
  await assert.rejects(write(world, large, { source: source() }), BytesUnavailable);
  assert.equal(world.clock.monotonic(), 5_000);
  assertClosed(world);
});

test('a slow client is not a slow node', async () => {
  const world = makeWorld(1);
  async function* source() {
    for await (const piece of piecesOf(large, 200 * KIB)) {
      await world.clock.sleep(20_000);
      yield piece;
    }
  }
  assertKeptTwice(world, await write(world, large, { source: source() }), large);
});

test('no pair that takes new blobs', async () => {
  const world = makeWorld(1, { pairs: 0 });
  await assert.rejects(write(world, small), BytesUnavailable);
});
