/** Writes while members are out, go out, or are not what a gateway believes: every point of failure, every durability. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { PairId } from '../../../src/base/ids.ts';
import { BytesUnavailable, type WrittenBlob } from '../../../src/dosm/dosm.ts';
import { rankPairs } from '../../../src/dosm/placement.ts';
import type { Faults } from '../../world/fake-node.ts';
import { collect, makeWorld, type World, wholeBlob, writeRequest } from '../../world/world.ts';

const KIB = 1024;
const tiny = randomBytes(1_000);
const small = randomBytes(700 * KIB + 13);
const large = randomBytes(3_000 * KIB + 13);
const SIZES = { tiny, small, large };

const order = (world: World): readonly PairId[] =>
  rankPairs(world.topology.pairs.values(), { kind: 'object', bucket: 'bucket', key: 'key' });
const firstPair = (world: World) => world.holders({ pair: order(world)[0]! });
const write = (world: World, bytes: Buffer, more = {}): Promise<WrittenBlob> =>
  world.clock.run(world.dosm.write(writeRequest(bytes, more)));

/** Exactly the nodes of the row have it, with the right bytes; what else was tried has been dropped. */
async function assertKept(world: World, { blob }: WrittenBlob, bytes: Buffer, copies = 2) {
  await world.clock.run(world.clock.sleep(3_000));
  const holders = world.replicas(blob).filter((node) => node.blobs.has(blob.id));
  assert.equal(holders.length, copies);
  for (const node of holders) assert(Buffer.concat(node.blobs.get(blob.id)!.chunks).equals(bytes));
  const named = new Set([...world.replicas(blob), ...world.holders(blob)]);
  for (const node of world.nodes.values()) {
    assert.equal(node.openHandles, 0, node.member);
    if (!named.has(node)) assert(!node.blobs.has(blob.id), `${node.member} has a stray copy`);
  }
  const got = await world.clock.run(
    (async () => collect(await world.dosm.read({ segments: [wholeBlob(blob)] })))(),
  );
  assert(got.equals(bytes));
}

const FAILURES: Record<string, Faults> = {
  'refuses connections': { down: true },
  'is stopped': { stopped: true },
  'is cut early': { cutWriteAfter: 1 },
  'is cut late': { cutWriteAfter: 8 },
  stalls: { stallWriteAfter: 6 },
  'is full late': { fullWriteAfter: 8 },
  'loses its last answer': { loseFinishAnswer: true },
};
/** Whether the fault strikes a body of so many chunks before it is over. */
const strikes = (faults: Faults, bytes: Buffer) => {
  const at = faults.cutWriteAfter ?? faults.stallWriteAfter ?? faults.fullWriteAfter ?? 0;
  return at < Math.ceil(bytes.length / (256 * KIB));
};

for (const [name, faults] of Object.entries(FAILURES)) {
  for (const [size, bytes] of Object.entries(SIZES)) {
    if (!strikes(faults, bytes)) continue;
    for (const which of [0, 1] as const) {
      test(`a member ${which} that ${name}, ${size} body: two copies, the second a handoff beside the survivor`, async () => {
        const world = makeWorld(1, { pairs: 3 });
        const [failing, survivor] = [firstPair(world)[which], firstPair(world)[1 - which]!];
        failing.faults = { ...faults };
        const written = await write(world, bytes);
        const { blob } = written;
        assert.equal(blob.pair, order(world)[0]);
        assert.deepEqual(blob.absent, [failing.member]);
        const handoff = world.nodes.get(blob.offMap![0]!)!;
        const center = (member: typeof survivor) => world.topology.members.get(member.member)!.center;
        assert.equal(center(handoff), center(survivor));
        assert.equal(handoff.blobs.get(blob.id)!.intent.handoffFor, failing.member);
        assert.equal(survivor.blobs.get(blob.id)!.intent.handoffFor, undefined);
        await assertKept(world, written, bytes);
      });

      test(`a member ${which} that ${name}, ${size} body: both-centers goes to the next pair or fails`, async () => {
        const world = makeWorld(1, { pairs: 3 });
        firstPair(world)[which].faults = { ...faults };
        const writing = write(world, bytes, { durability: 'both-centers' });
        const isEarly = bytes !== large || faults.down || faults.stopped || faults.cutWriteAfter === 1;
        if (!isEarly) return await assert.rejects(writing, BytesUnavailable);
        const written = await writing;
        assert.deepEqual([written.blob.pair, written.blob.offMap], [order(world)[1], undefined]);
        await assertKept(world, written, bytes);
      });

      test(`a member ${which} that ${name}, ${size} body: one goes on with the other, and says who lags`, async () => {
        const world = makeWorld(1, { pairs: 3 });
        const failing = firstPair(world)[which];
        failing.faults = { ...faults };
        const written = await write(world, bytes, { durability: 'one' });
        assert.equal(written.blob.pair, order(world)[0]);
        assert.deepEqual([written.lagging, written.blob.offMap], [[failing.member], undefined]);
        await assertKept(world, written, bytes, faults.loseFinishAnswer ? 2 : 1);
      });
    }
  }
}

test('one: acknowledged with the first; the slower replica follows by itself', async () => {
  for (const bytes of [tiny, large]) {
    const world = makeWorld(1, { pairs: 2 });
    const [, slow] = firstPair(world);
    slow.faults = { loseFinishAnswer: true };
    const written = await write(world, bytes, { durability: 'one' });
    assert(world.clock.monotonic() < 1_000, 'the slower one was not waited for');
    assert.deepEqual(written.lagging, [slow.member]);
    await assertKept(world, written, bytes);
  }
});

test('two copies on one pair alone: no node can stand in, and nothing is acknowledged', async () => {
  for (const faults of [
    { down: true },
    { cutWriteAfter: 1 },
    { cutWriteAfter: 8 },
    { loseFinishAnswer: true },
  ]) {
    const world = makeWorld(1, { pairs: 1 });
    firstPair(world)[0].faults = { ...faults };
    await assert.rejects(write(world, large), BytesUnavailable);
    for (const node of world.nodes.values()) assert.equal(node.openHandles, 0, node.member);
  }
});

test('a handoff node that fails is followed by a second one, at every point', async () => {
  for (const bytes of [tiny, small, large]) {
    const probe = makeWorld(1, { pairs: 4 });
    firstPair(probe)[0].faults = { down: true };
    const first = (await write(probe, bytes)).blob.offMap![0]!;
    for (const faults of [
      { down: true },
      { full: true },
      { cutWriteAfter: 0 },
      { loseFinishAnswer: true },
    ] as const) {
      const world = makeWorld(1, { pairs: 4 });
      firstPair(world)[0].faults = { down: true };
      world.nodes.get(first)!.faults = { ...faults };
      const written = await write(world, bytes);
      assert.notEqual(written.blob.offMap![0], first, JSON.stringify(faults));
      await assertKept(world, written, bytes);
    }
  }
});

test('a copy from node to node that fails is tried on a second node; two failures give the write up', async () => {
  for (const failures of [1, 2]) {
    const world = makeWorld(1, { pairs: 4 });
    const [failing] = firstPair(world);
    failing.faults = { cutWriteAfter: 8 };
    const others = [...world.nodes.values()].filter((node) => !firstPair(world).includes(node));
    const pulls = () => others.reduce((sum, node) => sum + node.calls.pull, 0);
    let left = failures;
    for (const node of others) {
      const pull = node.pull.bind(node);
      node.pull = (request, signal) => {
        if (left-- > 0) node.faults.failPull = 'unreachable';
        return pull(request, signal);
      };
    }
    if (failures === 1) await assertKept(world, await write(world, large), large);
    else await assert.rejects(write(world, large), BytesUnavailable);
    assert.equal(pulls(), 2);
  }
});

test('a copy that does not end is given up at its deadline', async () => {
  const world = makeWorld(1, { pairs: 2, tuning: { copyMs: 3_000 } });
  firstPair(world)[0].faults = { cutWriteAfter: 8 };
  for (const node of world.nodes.values()) node.pull = () => new Promise(() => {});
  await assert.rejects(write(world, large), BytesUnavailable);
  const ms = world.clock.monotonic();
  assert(ms >= 3_000 && ms < 4_000, `${ms} ms`);
});

test('both members lost in mid-body: the next pair while it can be replayed, then BytesUnavailable', async () => {
  for (const [at, isKept] of [
    [1, true],
    [8, false],
  ] as const) {
    const world = makeWorld(1, { pairs: 3 });
    for (const node of firstPair(world)) node.faults = { cutWriteAfter: at };
    const writing = write(world, large);
    if (!isKept) await assert.rejects(writing, BytesUnavailable);
    else await assertKept(world, await writing, large);
  }
});

test('the survivor of a member that was out from the start fails in mid-body: the handoff goes on, with another', async () => {
  const world = makeWorld(1, { pairs: 4 });
  const [out, survivor] = firstPair(world);
  world.record.declare('failed-over', out.member);
  await world.clock.run(world.conditions.reload());
  survivor.faults = { cutWriteAfter: 8 };
  const written = await write(world, large);
  assert.deepEqual([...written.blob.absent!].sort(), [out.member, survivor.member].sort());
  assert.equal(new Set(written.blob.offMap).size, 2);
  await assertKept(world, written, large);
});

test('a member that is out by the record gets nothing; whoever is suspect neither, while another can stand in', async () => {
  const world = makeWorld(1, { pairs: 3 });
  const [out] = firstPair(world);
  out.faults = { stopped: true };
  await write(world, small);
  assert.deepEqual(world.dosm.suspects(), [out.member], 'silence to the deadline is enough');
  const asked = out.calls.write;
  const before = world.clock.monotonic();
  for (const bytes of [tiny, small, large]) {
    const written = await write(world, bytes);
    assert.deepEqual(written.blob.absent, [out.member]);
  }
  assert.equal(out.calls.write, asked);
  assert(world.clock.monotonic() - before < 200, 'nobody waits for it again');
});

test('a whole center out: every write keeps two copies in the other', async () => {
  const world = makeWorld(1, { pairs: 3 });
  const out = [...world.nodes.values()].filter((node) => node.member.startsWith('node-a'));
  world.record.declare('failed-over', ...out.map(({ member }) => member));
  await world.clock.run(world.conditions.reload());
  const asked = out.map((node) => node.calls.write);
  for (const bytes of [tiny, small, large]) {
    const written = await write(world, bytes);
    assert(world.replicas(written.blob).every((node) => node.member.startsWith('node-b')));
    assert.equal(written.epoch, 2);
    await assertKept(world, written, bytes);
    await assert.rejects(write(world, bytes, { durability: 'both-centers' }), BytesUnavailable);
    assert.deepEqual((await write(world, bytes, { durability: 'one' })).lagging?.length, 1);
  }
  assert.deepEqual(
    out.map((node) => node.calls.write),
    asked,
  );
});

test('one center with two subnets: the handoff is in the survivor’s subnet', async () => {
  const world = makeWorld(1, { pairs: 2, centers: 1 });
  const [out, survivor] = firstPair(world);
  out.faults = { down: true };
  const written = await write(world, large);
  const subnet = (member: string) =>
    [...world.topology.members.values()].find(({ id }) => id === member)!.address.slice(0, 5);
  assert.equal(subnet(written.blob.offMap![0]!), subnet(survivor.member));
  await assertKept(world, written, large);
});

test('nodes know a later epoch: the record is read again, and the write goes on by it, inside the same call', async () => {
  for (const bytes of [tiny, small, large]) {
    const world = makeWorld(1, { pairs: 3 });
    const [out, survivor] = firstPair(world);
    const epoch = world.record.declare('failed-over', out.member);
    survivor.epoch = epoch;
    const written = await write(world, bytes);
    assert.equal(written.epoch, epoch);
    assert.deepEqual(written.blob.absent, [out.member]);
    assert.equal(world.record.reads, 1);
    assert(!out.blobs.has(written.blob.id) || bytes === tiny);
    await assertKept(world, written, bytes);
  }
});

test('a node that is fenced is stood in for, and the record is read again', async () => {
  for (const bytes of [tiny, large]) {
    const world = makeWorld(1, { pairs: 3 });
    const [fenced] = firstPair(world);
    fenced.state = 'fenced';
    for (let round = 0; round < 5; round += 1) {
      const written = await write(world, bytes);
      assert.deepEqual(written.blob.absent, [fenced.member]);
    }
    assert(world.record.reads >= 1 && world.record.reads <= 3, `${world.record.reads} reads of the record`);
  }
});

test('a record that never settles does not hold a write for ever', async () => {
  const world = makeWorld(1, { pairs: 2 });
  for (const node of world.nodes.values()) {
    node.admit = () => {
      const stale = node.error('stale-epoch');
      stale.epoch = world.record.declare('serving', node.member);
      throw stale;
    };
  }
  await assert.rejects(write(world, large), BytesUnavailable);
  assert(world.record.reads <= 3);
});

test('confirm and discard reach the handoff and not the absent member', async () => {
  for (const verb of ['confirm', 'discard'] as const) {
    const world = makeWorld(1, { pairs: 2 });
    const [out, survivor] = firstPair(world);
    out.faults = { cutWriteAfter: 1 };
    const { blob } = await write(world, small);
    world.dosm[verb]([blob]);
    await world.clock.run(world.clock.sleep(2_000));
    const call = verb === 'confirm' ? 'confirm' : 'delete';
    const told = [...world.nodes.values()].filter((node) => node.calls[call] > 0);
    assert.deepEqual(told.map(({ member }) => member).sort(), [survivor.member, blob.offMap![0]].sort());
  }
});
