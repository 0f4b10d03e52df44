/**
 * One schedule: writes and reads at once while nodes fail, stall, fill up, lose and cut, all drawn from one seed.
 * Throws where an invariant of the DOSM does not hold:
 * - acknowledged means two replicas that verify; what is not acknowledged fails with an error that says so;
 * - a read gives the right bytes, all of them or fewer and an error, and succeeds while one replica is sound;
 * - attempts and time are bounded, and nothing stays open.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Random } from '../../src/base/clock.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { BytesUnavailable, StorageFull } from '../../src/dosm/dosm.ts';
import { DigestTreeBuilder } from '../../src/nodes/digest-tree.ts';
import type { FakeNode, Faults } from './fake-node.ts';
import { seededRandom, whole } from './seeded-random.ts';
import { makeWorld, piecesOf, type World, writeRequest } from './world.ts';

/** Random bytes that every schedule takes its blobs from. */
const POOL_BYTES = 6 * 1024 * 1024;
const pool = (() => {
  const blocks: Buffer[] = [];
  for (let at = 0; at < POOL_BYTES; at += 32) blocks.push(createHash('sha256').update(String(at)).digest());
  return Buffer.concat(blocks);
})();

/** The longest that one operation may take here: every pair and replica at its worst deadline. */
const OPERATION_MS_MAX = 40_000;

class SourceError extends Error {}

interface Kept {
  readonly blob: BlobRef;
  readonly bytes: Buffer;
}
export interface Tally {
  written: number;
  /** Of those: with a handoff. */
  handedOff: number;
  refused: number;
  read: number;
  broken: number;
  /** Virtual time at the end: equal in every replay. */
  ms: number;
}

/** Runs all of them; the first that fails is printed with the command that replays it. */
export async function runSchedules(seeds: Iterable<number>): Promise<Tally> {
  const total: Tally = { written: 0, handedOff: 0, refused: 0, read: 0, broken: 0, ms: 0 };
  for (const seed of seeds) {
    try {
      const tally = await runSchedule(seed);
      for (const name of Object.keys(total) as (keyof Tally)[]) total[name] += tally[name];
    } catch (error) {
      console.error(`replay with: WORLD_SEED=${seed} node --test test/unit/dosm/schedules.test.ts`);
      throw error;
    }
  }
  return total;
}

export async function runSchedule(seed: number): Promise<Tally> {
  const random = seededRandom(seed ^ 0x5eed);
  const world = makeWorld(seed, {
    pairs: whole(random, 1, 4),
    center: random() < 0.5 ? 'a' : null,
  });
  const tally: Tally = { written: 0, handedOff: 0, refused: 0, read: 0, broken: 0, ms: 0 };
  const kept: Kept[] = [];
  let isOver = false;
  const weather = (async () => {
    while (!isOver) {
      for (const node of world.nodes.values()) node.faults = drawFaults(random);
      await world.clock.sleep(whole(random, 100, 6_000));
    }
  })();
  const lanes = Array.from({ length: 2 }, async () => {
    for (let step = 0; step < 3; step += 1) {
      await writeOne(world, random, kept, tally);
      if (random() < 0.15) loseOne(world, random, kept);
      await readOne(world, random, kept, tally);
    }
  });
  await world.clock.run(Promise.all(lanes));
  isOver = true;
  for (const node of world.nodes.values()) node.faults = {};
  await world.clock.run(weather);
  await afterwards(world, kept, tally);
  tally.ms = world.clock.monotonic();
  return tally;
}

function drawFaults(random: Random): Faults {
  const at = () => whole(random, 0, 6);
  const maybe = (chance: number, faults: Faults): Faults => (random() < chance ? faults : {});
  return {
    ...maybe(0.08, { down: true }),
    ...maybe(0.08, { stopped: true }),
    ...maybe(0.08, { full: true }),
    ...maybe(0.15, { slowMs: whole(random, 1, 900) }),
    ...maybe(0.15, { cutReadAfter: at() }),
    ...maybe(0.15, { stallReadAfter: at() }),
    ...maybe(0.1, { cutWriteAfter: at() }),
    ...maybe(0.1, { stallWriteAfter: at() }),
    ...maybe(0.1, { fullWriteAfter: at() }),
    ...maybe(0.1, { corruptAtChunk: at() }),
    ...maybe(0.05, { endAtChunk: at() }),
    ...maybe(0.05, { shortAtChunk: at() }),
    ...maybe(0.1, { loseFinishAnswer: true }),
    ...maybe(0.1, { failPull: 'unreachable' }),
  };
}

function drawSize(random: Random): number {
  const chunk = LIMITS.chunkBytes;
  const draw = random();
  if (draw < 0.2) return whole(random, 1, 100);
  if (draw < 0.5) return whole(random, 1, 8) * chunk + whole(random, -1, 1);
  return whole(random, 1, 9 * chunk);
}

async function* sourceOf(world: World, random: Random, bytes: Buffer, failure: Error | null) {
  const failAt = failure ? whole(random, 0, bytes.length) : bytes.length;
  for await (const piece of piecesOf(bytes.subarray(0, failAt), whole(random, 1_000, 700_000))) {
    if (random() < 0.1) await world.clock.sleep(whole(random, 1, 5_000));
    yield piece;
  }
  if (failure) throw failure;
}

const writesAsked = (world: World): number =>
  [...world.nodes.values()].reduce((sum, node) => sum + node.calls.write, 0);

async function writeOne(world: World, random: Random, kept: Kept[], tally: Tally): Promise<void> {
  const size = drawSize(random);
  const from = whole(random, 0, pool.length - size);
  const bytes = pool.subarray(from, from + size);
  const failure = random() < 0.1 ? new SourceError('the source failed') : null;
  const abort = new AbortController();
  const reason = new SourceError('the caller gave up');
  if (random() < 0.05) {
    world.clock.sleep(whole(random, 0, 3_000)).then(
      () => abort.abort(reason),
      () => {},
    );
  }
  const key = `key-${whole(random, 0, 1_000)}`;
  const askedBefore = writesAsked(world);
  try {
    const { blob } = await world.dosm.write(
      writeRequest(bytes, {
        source: sourceOf(world, random, bytes, failure),
        placement: { kind: 'object', bucket: 'bucket', key },
        signal: abort.signal,
      }),
    );
    assert.equal(failure, null, 'a write was acknowledged although its source failed');
    assert.equal(blob.size, size);
    assertTwoSides(world, blob);
    for (const node of world.replicas(blob)) assertReplica(node, blob, bytes);
    kept.push({ blob, bytes });
    tally.written += 1;
    if (blob.offMap) tally.handedOff += 1;
  } catch (error) {
    const isExpected =
      error instanceof BytesUnavailable ||
      error instanceof StorageFull ||
      (failure !== null && error === failure) ||
      (abort.signal.aborted && error === reason);
    if (!isExpected) throw error;
    tally.refused += 1;
  }
  const lanes = 2;
  assert(
    writesAsked(world) - askedBefore <= lanes * 3 * 2 * world.topology.pairs.size,
    'attempts are bounded',
  );
}

/** Two replicas on two nodes; one that is not at home stands for its absent member, beside the survivor. */
function assertTwoSides(world: World, blob: BlobRef): void {
  const { offMap = [], absent = [] } = blob;
  const members = world.replicas(blob).map(({ member }) => member);
  assert.equal(new Set(members).size, 2, `${blob.id} is on ${members.join(' ')}`);
  assert.equal(offMap.length, absent.length);
  const centers = new Set(members.map((member) => world.topology.members.get(member)!.center));
  assert.equal(centers.size, offMap.length > 0 ? 1 : 2);
}

function assertReplica(node: FakeNode, blob: BlobRef, bytes: Buffer): void {
  const stored = node.blobs.get(blob.id);
  assert(stored, `${node.member} was acknowledged and has no replica`);
  assert(Buffer.concat(stored.chunks).equals(bytes), `${node.member} has other bytes`);
  const tree = new DigestTreeBuilder();
  for (const chunk of stored.chunks) tree.push(createHash('sha256').update(chunk).digest());
  assert(tree.root().equals(blob.root), 'the root proves the bytes');
}

/** One node loses a replica, for good. */
function loseOne(world: World, random: Random, kept: readonly Kept[]): void {
  const victim = kept[whole(random, 0, kept.length - 1)];
  if (victim) world.replicas(victim.blob)[whole(random, 0, 1)]!.blobs.delete(victim.blob.id);
}

async function readOne(world: World, random: Random, kept: readonly Kept[], tally: Tally): Promise<void> {
  if (kept.length === 0) return;
  const segments = Array.from({ length: whole(random, 1, 3) }, () => {
    const { blob, bytes } = kept[whole(random, 0, kept.length - 1)]!;
    const from = whole(random, 0, blob.size - 1);
    return { blob, bytes, from, to: whole(random, from, blob.size - 1) };
  });
  const expected = Buffer.concat(segments.map(({ bytes, from, to }) => bytes.subarray(from, to + 1)));
  const startedAt = world.clock.monotonic();
  let at = 0;
  let waitedMs = 0;
  try {
    const source = await world.dosm.read({ segments });
    for await (const piece of source) {
      assert(piece.equals(expected.subarray(at, at + piece.length)), `wrong bytes at ${at}`);
      at += piece.length;
      if (random() < 0.03) return;
      if (random() < 0.1) {
        const ms = whole(random, 1, 5_000);
        waitedMs += ms;
        await world.clock.sleep(ms);
      }
    }
    assert.equal(at, expected.length, 'a read that ends has given every byte');
    tally.read += 1;
  } catch (error) {
    if (!(error instanceof BytesUnavailable)) throw error;
    tally.broken += 1;
  }
  const tookMs = world.clock.monotonic() - startedAt - waitedMs;
  assert(tookMs <= OPERATION_MS_MAX, `a read took ${tookMs} ms`);
}

/** When the weather is fair again: nothing is open, and whatever one node still has can be read. */
async function afterwards(world: World, kept: readonly Kept[], tally: Tally): Promise<void> {
  await world.clock.run(world.clock.sleep(10_000));
  for (const node of world.nodes.values()) {
    assert.equal(node.openHandles, 0, `${node.member} has open readers or writers`);
  }
  assert.deepEqual(world.dosm.suspects(), [], 'probes clear suspects');
  for (const { blob, bytes } of kept) {
    const survivors = world.replicas(blob).filter((node) => node.blobs.has(blob.id));
    if (survivors.length === 0) continue;
    for (const node of survivors) assertReplica(node, blob, bytes);
    const [faulty] = survivors.length === 2 ? survivors : [];
    if (faulty) faulty.faults = { down: true };
    let at = 0;
    const reading = async () => {
      const source = await world.dosm.read({ segments: [{ blob, from: 0, to: blob.size - 1 }] });
      for await (const piece of source) {
        assert(piece.equals(bytes.subarray(at, at + piece.length)));
        at += piece.length;
      }
    };
    await world.clock.run(reading());
    assert.equal(at, bytes.length);
    if (faulty) faulty.faults = {};
    tally.read += 1;
  }
  await world.clock.run(world.dosm.close());
}
