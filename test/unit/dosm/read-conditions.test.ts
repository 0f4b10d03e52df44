/** Reads by condition: who is asked and who never is, what a read learns on its way, and what it reports. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { BytesUnavailable } from '../../../src/dosm/dosm.ts';
import type { BlobDamage, FoundBlob } from '../../../src/dosm/finder.ts';
import { rankPairs } from '../../../src/dosm/placement.ts';
import { collect, makeWorld, type World, wholeBlob, writeRequest } from '../../world/world.ts';

const content = randomBytes(2_500 * 1024 + 77);

/** One blob with a handoff beside what `more` asks for; `find` answers the searches. */
async function withBlob(options: { handoff?: boolean; find?: () => Partial<FoundBlob> } = {}) {
  const damage: string[] = [];
  const offMap: string[] = [];
  let searches = 0;
  const { find = () => ({}) } = options;
  const world = makeWorld(1, {
    pairs: 3,
    center: 'a',
    onDamage: ({ member, kind }: BlobDamage) => damage.push(`${member} ${kind}`),
    onFoundOffMap: (_blob, member) => offMap.push(member),
    finder: {
      find: async () => {
        searches += 1;
        return { outcome: 'unknown', members: [], trace: [], ...find() };
      },
    },
  });
  const [near, far] = world.holders({ pair: [...world.topology.pairs.keys()][0]! });
  if (options.handoff) near.faults = { down: true };
  const key = keyOn(world, near.member);
  const request = writeRequest(content, { placement: { kind: 'object', bucket: 'bucket', key } });
  const { blob } = await world.clock.run(world.dosm.write(request));
  near.faults = {};
  await world.clock.run(world.clock.sleep(3_000));
  const handoff = blob.offMap && world.nodes.get(blob.offMap[0]!)!;
  return { world, blob, near, far, handoff: handoff!, damage, offMap, searches: () => searches };
}

/** A key whose objects belong to the pair of this member. */
function keyOn(world: World, member: MemberId): string {
  for (let index = 0; ; index += 1) {
    const [first] = rankPairs(world.topology.pairs.values(), {
      kind: 'object',
      bucket: 'bucket',
      key: `key-${index}`,
    });
    if (world.topology.pairs.get(first!)!.members.includes(member)) return `key-${index}`;
  }
}

const readAll = (world: World, blob: BlobRef): Promise<Buffer> =>
  world.clock.run((async () => collect(await world.dosm.read({ segments: [wholeBlob(blob)] })))());
const declare = async (
  world: World,
  state: 'failed-over' | 'resyncing' | 'serving',
  ...members: MemberId[]
) => {
  world.record.declare(state, ...members);
  await world.clock.run(world.conditions.reload());
};

test('a member in failover is never asked, whatever becomes of the other', async () => {
  const { world, blob, near, far } = await withBlob();
  await declare(world, 'failed-over', near.member);
  assert(content.equals(await readAll(world, blob)));
  far.faults = { cutReadAfter: 3 };
  assert(content.equals(await readAll(world, blob)));
  far.faults = { down: true };
  await assert.rejects(readAll(world, blob), BytesUnavailable);
  assert.equal(near.calls.read, 0);
});

test('the handoff before the absent member; the absent one when all else fails', async () => {
  const { world, blob, near, far, handoff, damage } = await withBlob({ handoff: true });
  far.faults = { down: true };
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual([near.calls.read, handoff.calls.read], [0, 1]);
  handoff.faults = { down: true };
  await assert.rejects(readAll(world, blob), BytesUnavailable);
  assert.equal(near.calls.read, 1);
  assert.deepEqual(damage, [], 'nobody expects it there');
  near.blobs.set(blob.id, far.blobs.get(blob.id)!);
  assert(content.equals(await readAll(world, blob)));
});

test('a stale epoch is learned and the request repeated, at the start and in mid-body', async () => {
  const { world, blob, near, far } = await withBlob();
  near.epoch = far.epoch = world.record.declare('failed-over', far.member);
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual([near.refused, far.calls.read, world.record.reads], [1, 0, 1]);

  const source = await world.clock.run(world.dosm.read({ segments: [wholeBlob(blob)] }));
  const iterator = source[Symbol.asyncIterator]();
  const pieces = [(await world.clock.run(iterator.next())).value!];
  near.epoch = far.epoch = world.record.declare('failed-over', near.member);
  world.record.declare('serving', far.member);
  near.faults = { cutReadAfter: 0 };
  const rest = async () => {
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) pieces.push(step.value);
  };
  await world.clock.run(rest());
  assert(content.equals(Buffer.concat(pieces)));
  assert(far.calls.read > 0, 'the other one went on');
});

test('an epoch that cannot be learned is the other replica’s turn', async () => {
  const { world, blob, near, far } = await withBlob();
  near.epoch = world.record.declare('serving', near.member);
  world.conditions.reload = async () => world.conditions.current();
  assert(content.equals(await readAll(world, blob)));
  assert(near.refused <= 4 && far.calls.read === 1);
});

test('a fenced member: the twin at once, and the record is read again behind it', async () => {
  const { world, blob, near, far, damage } = await withBlob();
  near.state = 'fenced';
  for (let round = 0; round < 5; round += 1) assert(content.equals(await readAll(world, blob)));
  assert.equal(far.calls.read, 5);
  await world.clock.run(world.clock.sleep(100));
  assert(world.record.reads >= 1 && world.record.reads <= 2);
  assert.deepEqual(damage, []);
});

test('all fenced, because this gateway has heard nothing: it reads the record and goes on with who serves', async () => {
  const { world, blob, near, far } = await withBlob();
  await declare(world, 'failed-over', far.member);
  world.record.declare('failed-over', near.member);
  world.record.declare('serving', far.member);
  near.state = 'fenced';
  assert(content.equals(await readAll(world, blob)));
  assert.equal(far.calls.read, 1);
});

test('what is missing or corrupt where it should be is reported, and the read goes on', async () => {
  for (const [harm, expected] of [
    ['missing', 'missing'],
    ['corrupt', 'corrupt'],
  ] as const) {
    const { world, blob, near, damage } = await withBlob();
    if (harm === 'missing') near.blobs.clear();
    else near.faults = { corruptAtChunk: 2 };
    assert(content.equals(await readAll(world, blob)));
    assert.deepEqual(damage, [`${near.member} ${expected}`]);
  }
  const { world, blob, far, handoff, damage } = await withBlob({ handoff: true });
  far.faults = { down: true };
  handoff.blobs.clear();
  await assert.rejects(readAll(world, blob), BytesUnavailable);
  assert.deepEqual(damage, [`${handoff.member} missing`]);
});

test('what the map does not find, a search does: verified, recorded, and asked once', async () => {
  let at: MemberId[] = [];
  const found = await withBlob({ find: () => ({ outcome: 'found', members: at }) });
  const { world, blob, near, far, damage, offMap, searches } = found;
  const other = [...world.nodes.values()].find((node) => node !== near && node !== far)!;
  other.blobs.set(blob.id, near.blobs.get(blob.id)!);
  near.blobs.clear();
  far.blobs.clear();
  at = [other.member];
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual([offMap, searches()], [[other.member], 1]);
  assert.deepEqual(damage, [`${near.member} missing`, `${far.member} missing`]);
});

test('a hint that is wrong is not believed: nothing is recorded, and nothing is lost by it', async () => {
  let at: MemberId[] = [];
  const found = await withBlob({ find: () => ({ outcome: 'found', members: at }) });
  const { world, blob, near, far, offMap } = found;
  const [liar, honest] = [...world.nodes.values()].filter((node) => node !== near && node !== far);
  liar!.blobs.set(blob.id, { ...near.blobs.get(blob.id)!, root: randomBytes(32) });
  honest!.blobs.set(blob.id, near.blobs.get(blob.id)!);
  near.blobs.clear();
  far.blobs.clear();
  at = [liar!.member];
  await assert.rejects(readAll(world, blob), BytesUnavailable);
  at = [liar!.member, honest!.member, 'node-x1' as MemberId];
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual(offMap, [honest!.member]);
});

test('a search may point at a member of the map that failed before: it is asked again, and that is no discovery', async () => {
  const found = await withBlob({ find: () => ({ outcome: 'found', members: [near.member] }) });
  const { world, blob, near, far, offMap } = found;
  far.faults = { down: true };
  const stored = near.blobs.get(blob.id)!;
  near.blobs.clear();
  const read = near.read.bind(near);
  near.read = async (...args) => {
    if (near.calls.read > 0) near.blobs.set(blob.id, stored);
    return read(...args);
  };
  assert(content.equals(await readAll(world, blob)));
  assert.deepEqual(offMap, []);
});

test('a member that comes back is asked at the very end, as a last resort', async () => {
  const { world, blob, near, far, searches, damage } = await withBlob();
  await declare(world, 'resyncing', near.member);
  near.state = 'resyncing';
  near.epoch = far.epoch = world.record.now.epoch;
  assert(content.equals(await readAll(world, blob)));
  assert.equal(near.calls.read, 0);
  far.faults = { down: true };
  assert(content.equals(await readAll(world, blob)));
  assert.equal(searches(), 1);
  near.blobs.clear();
  await assert.rejects(readAll(world, blob), BytesUnavailable);
  assert.deepEqual(damage, [], 'it may lack what it lacks');
});

test('nowhere: lost, by name; unknown: nothing is said', async () => {
  for (const outcome of ['nowhere', 'unknown'] as const) {
    const { world, blob, near, far, damage } = await withBlob({ find: () => ({ outcome }) });
    near.blobs.clear();
    far.blobs.clear();
    await assert.rejects(readAll(world, blob), BytesUnavailable);
    const lost = outcome === 'nowhere' ? [`${near.member} lost`, `${far.member} lost`] : [];
    assert.deepEqual(damage, [`${near.member} missing`, `${far.member} missing`, ...lost]);
  }
});

test('a reader who goes away during a search ends it', async () => {
  const abort = new AbortController();
  const reason = new Error('gone');
  const { world, blob, near, far } = await withBlob({
    find: () => {
      abort.abort(reason);
      return {};
    },
  });
  near.blobs.clear();
  far.blobs.clear();
  const reading = world.dosm.read({ segments: [wholeBlob(blob)], signal: abort.signal });
  await assert.rejects(world.clock.run(reading), reason);
  assert.equal(near.openHandles + far.openHandles, 0);
});
