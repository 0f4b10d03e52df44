/** Writes whose pair changes its condition before the commit: what it takes to commit them under the new epoch. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import type { Durability } from '../../../src/ddm/catalog.ts';
import { BytesUnavailable, type WrittenBlob } from '../../../src/dosm/dosm.ts';
import { makeWorld, type World, writeRequest } from '../../world/world.ts';

const bytes = randomBytes(600_000);

async function written(options: { pairs?: number; durability?: Durability } = {}) {
  const { pairs = 3, durability = 'two-copies' } = options;
  const world = makeWorld(1, { pairs });
  const made = await world.clock.run(world.dosm.write(writeRequest(bytes, { durability })));
  const [home, twin] = world.holders(made.blob);
  const again = (from: WrittenBlob = made) => world.clock.run(world.dosm.reaffirm(from, durability));
  return { world, made, home, twin, again };
}

function assertHeld(world: World, { blob }: WrittenBlob) {
  const nodes = world.replicas(blob);
  assert.equal(new Set(nodes).size, 2);
  for (const node of nodes) {
    assert.equal(world.conditions.stateOf(node.member), 'serving', node.member);
    const stored = node.blobs.get(blob.id);
    assert(stored && Buffer.concat(stored.chunks).equals(bytes), node.member);
  }
  assert.equal(blob.offMap?.length, blob.absent?.length);
}

test('a member has gone out: the survivor’s copy is parked beside it, for the absent one', async () => {
  for (const which of [0, 1] as const) {
    const { world, made, again } = await written();
    const out = world.holders(made.blob)[which];
    const epoch = world.record.declare('failed-over', out.member);
    const now = await again();
    assert.equal(now.epoch, epoch);
    assert.deepEqual(now.blob.absent, [out.member]);
    assert.equal(now.intentAt, made.intentAt);
    assert.equal(now.blob.id, made.blob.id);
    const handoff = world.nodes.get(now.blob.offMap![0]!)!;
    const { intent, state } = handoff.blobs.get(now.blob.id)!;
    assert.deepEqual([intent.handoffFor, intent.key, state], [out.member, 'key', 'pending']);
    assertHeld(world, now);
  }
});

test('a change that concerns it not (out and back again): a new epoch and nothing else', async () => {
  const { world, made, home, again } = await written();
  world.record.declare('failed-over', home.member);
  const epoch = world.record.declare('serving', home.member);
  const now = await again();
  assert.deepEqual(now, { ...made, epoch });
});

test('the handoff node goes out too: another one takes its place', async () => {
  const { world, home, again } = await written();
  world.record.declare('failed-over', home.member);
  const first = await again();
  const [gone] = first.blob.offMap!;
  const epoch = world.record.declare('failed-over', gone!, home.member);
  const second = await again(first);
  assert.equal(second.epoch, epoch);
  assert.notEqual(second.blob.offMap![0], gone);
  assert.deepEqual(second.blob.absent, [home.member]);
  assertHeld(world, second);
});

test('the survivor of a handoff goes out: the handoff is what is copied', async () => {
  const { world, home, twin, again } = await written({ pairs: 4 });
  world.record.declare('failed-over', home.member);
  const first = await again();
  world.record.declare('failed-over', twin.member);
  const second = await again(first);
  assert.deepEqual([...second.blob.absent!].sort(), [home.member, twin.member].sort());
  assertHeld(world, second);
});

test('the absent member is back: its handoff stays until it is carried home', async () => {
  const { world, home, again } = await written();
  world.record.declare('failed-over', home.member);
  const first = await again();
  const epoch = world.record.declare('serving', home.member);
  const second = await again(first);
  assert.deepEqual(second, { ...first, epoch });
});

test('nobody is left who has it, or nobody can stand in: BytesUnavailable', async () => {
  const all = await written();
  all.world.record.declare('failed-over', all.home.member, all.twin.member);
  await assert.rejects(all.again(), BytesUnavailable);
  const alone = await written({ pairs: 1 });
  alone.world.record.declare('failed-over', alone.home.member);
  await assert.rejects(alone.again(), BytesUnavailable);
  const lost = await written();
  lost.world.record.declare('failed-over', lost.home.member);
  lost.twin.blobs.clear();
  await assert.rejects(lost.again(), BytesUnavailable);
  const away = await written();
  away.world.record.declare('failed-over', away.home.member);
  away.twin.faults = { stopped: true };
  await assert.rejects(away.again(), BytesUnavailable);
});

test('both-centers: as long as both serve, and never with a handoff', async () => {
  const { world, made, home, again } = await written({ durability: 'both-centers' });
  world.record.declare('failed-over', home.member);
  await assert.rejects(again(), BytesUnavailable);
  const epoch = world.record.declare('serving', home.member);
  assert.deepEqual(await again(), { ...made, epoch });
});

test('one: whoever is out lags; who has it must serve', async () => {
  const { world, made, home, twin, again } = await written({ durability: 'one' });
  const whole = { ...made, lagging: [] as MemberId[] };
  world.record.declare('failed-over', home.member);
  const now = await again(whole);
  assert.deepEqual([now.lagging, now.blob.offMap], [[home.member], undefined]);
  world.record.declare('failed-over', twin.member);
  await assert.rejects(again({ ...now, lagging: [home.member] }), BytesUnavailable);
});

test('conditions that change while it copies are satisfied as well; those that never settle end it', async () => {
  const { world, home, twin, again } = await written({ pairs: 4 });
  world.record.declare('failed-over', home.member);
  let changes = 1;
  for (const node of world.nodes.values()) {
    const pull = node.pull.bind(node);
    node.pull = async (request, signal) => {
      const result = await pull(request, signal);
      if (changes-- > 0) {
        world.record.declare('failed-over', twin.member);
        await world.conditions.reload();
      }
      return result;
    };
  }
  const now = await again();
  assert.equal(now.epoch, 3);
  assert.deepEqual([...now.blob.absent!].sort(), [home.member, twin.member].sort());
  assertHeld(world, now);
});

test('many that are refused at once read the record once', async () => {
  const { world, home, again } = await written();
  world.record.declare('failed-over', home.member);
  await Promise.all(Array.from({ length: 20 }, () => again()));
  assert.equal(world.record.reads, 1);
});
