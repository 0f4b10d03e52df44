/** Reads through failing replicas, scenario by scenario, on fake nodes and a virtual clock. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { BytesUnavailable } from '../../../src/dosm/dosm.ts';
import type { FakeNode } from '../../world/fake-node.ts';
import { collect, makeWorld, type World, wholeBlob, writeRequest } from '../../world/world.ts';

const KIB = 1024;
const content = randomBytes(2_500 * KIB + 77);

/** A world with one blob; `near` is in the gateway's own center. */
async function withBlob(center: string | null = 'a') {
  const world = makeWorld(1, { center });
  const { blob } = await world.clock.run(world.dosm.write(writeRequest(content)));
  const [near, far] = world.holders(blob);
  return { world, blob, near, far };
}

const readAll = (world: World, blob: BlobRef, from = 0, to = blob.size - 1): Promise<Buffer> =>
  world.clock.run((async () => collect(await world.dosm.read({ segments: [{ blob, from, to }] })))());

function assertClosed(...nodes: FakeNode[]) {
  for (const node of nodes) assert.equal(node.openHandles, 0, `${node.member} has open handles`);
}

test('the own center is asked, and only it', async () => {
  const { world, blob, near, far } = await withBlob();
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual([near.calls.read, far.calls.read], [1, 0]);
  assertClosed(near, far);
});

test('byte ranges are trimmed exactly, and only their chunks are asked for', async () => {
  const { world, blob } = await withBlob();
  const chunk = 256 * KIB;
  const last = blob.size - 1;
  const edges = [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, last - 1, last];
  for (const from of edges) {
    for (const to of edges.filter((edge) => edge >= from)) {
      const got = await readAll(world, blob, from, to);
      assert(content.subarray(from, to + 1).equals(got), `${from}-${to}`);
    }
  }
});

test('a range outside the blob is refused', async () => {
  const { world, blob } = await withBlob();
  await assert.rejects(readAll(world, blob, 0, blob.size), RangeError);
  await assert.rejects(readAll(world, blob, 5, 4), RangeError);
});

test('a killed node: the twin answers at once', async () => {
  const { world, blob, near, far } = await withBlob();
  near.faults = { down: true };
  const before = world.clock.monotonic();
  assert(content.equals(await readAll(world, blob)));
  assert(world.clock.monotonic() - before < 100);
  assertClosed(near, far);
});

test('a stopped node: the twin is asked after the hedge delay and wins', async () => {
  const { world, blob, near, far } = await withBlob();
  near.faults = { stopped: true };
  const before = world.clock.monotonic();
  const source = await world.clock.run(world.dosm.read({ segments: [wholeBlob(blob)] }));
  const tookMs = world.clock.monotonic() - before;
  assert(tookMs >= 300 && tookMs < 350, `${tookMs} ms`);
  assert(content.equals(await world.clock.run(collect(source))));
  assertClosed(near, far);
});

test('a stopped node becomes suspect by losing hedges, is then asked last, and a probe clears it', async () => {
  const { world, blob, near } = await withBlob();
  near.faults = { stopped: true };
  for (let round = 0; round < 3; round += 1) await readAll(world, blob);
  assert.deepEqual(world.dosm.suspects(), [near.member]);
  const asked = near.calls.read;
  await readAll(world, blob);
  assert.equal(near.calls.read, asked);
  near.faults = {};
  await world.clock.run(world.clock.sleep(3_000));
  assert.deepEqual(world.dosm.suspects(), []);
  await readAll(world, blob);
  assert.equal(near.calls.read, asked + 1);
});

for (const [name, faults] of [
  ['cut in mid-body', { cutReadAfter: 3 }],
  ['stalled in mid-body', { stallReadAfter: 3 }],
  ['corrupt at one chunk', { corruptAtChunk: 3 }],
  ['ending too early', { endAtChunk: 3 }],
  ['giving a chunk of the wrong length', { shortAtChunk: 3 }],
] as const) {
  test(`a replica ${name}: the twin goes on from the right chunk`, async () => {
    const { world, blob, near, far } = await withBlob();
    near.faults = { ...faults };
    assert(content.equals(await readAll(world, blob)));
    assert.deepEqual([near.calls.read, far.calls.read], [1, 1]);
    assertClosed(near, far);
  });
}

test('both replicas cut once: the first is asked again, and the bytes are whole', async () => {
  const { world, blob, near, far } = await withBlob();
  near.faults = { cutReadAfter: 2 };
  far.faults = { cutReadAfter: 2 };
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual([near.calls.read, far.calls.read], [2, 1]);
});

test('no replica: BytesUnavailable before the first byte, in bounded time and attempts', async () => {
  for (const faults of [{ down: true }, { stopped: true }, { corruptAtChunk: 0 }]) {
    const { world, blob, near, far } = await withBlob();
    near.faults = { ...faults };
    far.faults = { ...faults };
    const before = world.clock.monotonic();
    await assert.rejects(world.clock.run(world.dosm.read({ segments: [wholeBlob(blob)] })), BytesUnavailable);
    assert(world.clock.monotonic() - before < 3_500);
    assert(near.calls.read <= 2 && far.calls.read <= 2);
    assertClosed(near, far);
  }
});

test('a blob that both nodes have lost: BytesUnavailable, each asked once', async () => {
  const { world, blob, near, far } = await withBlob();
  near.blobs.clear();
  far.blobs.clear();
  await assert.rejects(readAll(world, blob), BytesUnavailable);
  assert.deepEqual([near.calls.read, far.calls.read], [1, 1]);
});

test('both gone in mid-body: the read throws and never ends cleanly', async () => {
  const { world, blob, near, far } = await withBlob();
  const source = await world.clock.run(world.dosm.read({ segments: [wholeBlob(blob)] }));
  const iterator = source[Symbol.asyncIterator]();
  await world.clock.run(iterator.next());
  near.faults = { down: true };
  far.faults = { down: true };
  await assert.rejects(
    world.clock.run(
      (async () => {
        for (;;) if ((await iterator.next()).done) return;
      })(),
    ),
    BytesUnavailable,
  );
  assertClosed(near, far);
});

test('a slow client holds no deadline against the node', async () => {
  const { world, blob, near, far } = await withBlob();
  const source = await world.clock.run(world.dosm.read({ segments: [wholeBlob(blob)] }));
  const pieces: Buffer[] = [];
  const reading = (async () => {
    for await (const piece of source) {
      pieces.push(piece);
      await world.clock.sleep(30_000);
    }
  })();
  await world.clock.run(reading);
  assert(content.equals(Buffer.concat(pieces)));
  assert.deepEqual([near.calls.read, far.calls.read], [1, 0]);
});

test('a client that goes away closes the readers', async () => {
  const { world, blob, near, far } = await withBlob();
  const source = await world.clock.run(world.dosm.read({ segments: [wholeBlob(blob), wholeBlob(blob)] }));
  await world.clock.run(
    (async () => {
      for await (const _ of source) break;
    })(),
  );
  await world.clock.run(world.clock.sleep(10));
  assertClosed(near, far);
});

test('an aborted signal ends a read with its reason, also when nobody iterates', async () => {
  const { world, blob, near, far } = await withBlob();
  const abort = new AbortController();
  const segments = [wholeBlob(blob)];
  const source = await world.clock.run(world.dosm.read({ segments, signal: abort.signal }));
  const reason = new Error('the client went away');
  abort.abort(reason);
  await world.clock.run(world.clock.sleep(10));
  assertClosed(near, far);
  await assert.rejects(world.clock.run(collect(source)), reason);

  near.faults = { stopped: true };
  const second = new AbortController();
  const opening = world.dosm.read({ segments, signal: second.signal });
  opening.catch(() => {});
  await world.clock.run(world.clock.sleep(100));
  second.abort(reason);
  await assert.rejects(world.clock.run(opening), reason);
  await world.clock.run(world.clock.sleep(10));
  assertClosed(near, far);
});

test('many segments: in order, one opened ahead', async () => {
  const { world, blob, near, far } = await withBlob(null);
  const segments = [
    { blob, from: 0, to: 9 },
    { blob, from: 300_000, to: 900_000 },
    wholeBlob(blob),
    { blob, from: blob.size - 1, to: blob.size - 1 },
  ];
  const expected = Buffer.concat(segments.map(({ from, to }) => content.subarray(from, to + 1)));
  const got = await world.clock.run((async () => collect(await world.dosm.read({ segments })))());
  assert(expected.equals(got));
  assert.equal(near.calls.read + far.calls.read, segments.length);
  assertClosed(near, far);
});

test('a member off the map is asked when the pair has nothing', async () => {
  const { world, blob, near, far } = await withBlob();
  const other = [...world.nodes.values()].find((node) => node !== near && node !== far)!;
  other.blobs.set(blob.id, near.blobs.get(blob.id)!);
  near.blobs.clear();
  far.blobs.clear();
  const got = await readAll(world, { ...blob, offMap: [other.member] });
  assert(content.equals(got));
});
