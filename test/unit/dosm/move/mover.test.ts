/** Moving blobs between pairs, on fake nodes and the model of the catalog: what stands where afterwards, and when it breaks off. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PairId } from '../../../../src/base/ids.ts';
import { type MoveOrder, movePass, newMoveCounts } from '../../../../src/dosm/move/mover.ts';
import { rankPairs } from '../../../../src/dosm/placement.ts';
import { A11, A12, B11, B12, P11, Store } from '../resync/kit.ts';

const P12 = 'node/12' as PairId;
const toOther: MoveOrder = { from: P11, targetOf: () => P12, dropAfterMs: 5_000 };

async function filled(count = 12): Promise<Store> {
  const store = await Store.open();
  for (let n = 0; n < count; n += 1) await store.write(`key-${n}`);
  return store;
}
async function pass(store: Store, order: MoveOrder = toOther, deps = store.gateway()) {
  const counts = newMoveCounts();
  await store.run(movePass(deps, order, counts, new AbortController().signal));
  return counts;
}
async function assertAllOn(store: Store, pair: PairId): Promise<void> {
  const rows = await store.catalog.listBlobs({ max: 1_000 });
  assert.equal(rows.length, store.blobs.size);
  assert(rows.every((row) => row.pair === pair));
  await store.assertWhole(P11);
  await store.assertWhole(P12);
}

describe('a pass', () => {
  test('moves every blob, its row, and then the old copies', async () => {
    const store = await filled();
    const counts = await pass(store);
    assert.equal(counts.moved, 12);
    assert.equal(counts.dropped, 12);
    await assertAllOn(store, P12);
    assert.deepEqual(store.home(A11), []);
  });

  test('leaves the old copies to their readers for a while', async () => {
    const store = await filled(1);
    const before = store.clock.monotonic();
    let droppedAt = 0;
    const deps = store.gateway('gateway-1', (call) => {
      if (call === 'before node-a11.drop') droppedAt = store.clock.monotonic();
    });
    await pass(store, toOther, deps);
    assert(droppedAt - before >= 5_000, `${droppedAt - before} ms`);
  });

  test('moves what placement wants elsewhere, and nothing else', async () => {
    const store = await filled(1);
    const order = { ...toOther, targetOf: () => null };
    assert.deepEqual(await pass(store, order), { ...newMoveCounts(), seen: 1 });
    await assertAllOn(store, P11);
    const pairs = [...store.world.topology.pairs.values()];
    const first = (await pass(store, { ...toOther, targetOf: (p) => rankPairs(pairs, p)[0]! })).moved;
    assert.equal(
      first,
      rankPairs(pairs, { kind: 'object', bucket: 'bucket', key: 'key' })[0] === P12 ? 1 : 0,
    );
  });

  test('counts and touches nothing in a dry run', async () => {
    const store = await filled();
    const counts = await pass(store, { ...toOther, dryRun: true });
    assert.equal(counts.moved, 12);
    await assertAllOn(store, P11);
  });

  test('waits for members that do not serve, and for repairs', async () => {
    const store = await filled(3);
    await store.away(A12);
    assert.equal((await pass(store)).waiting, 3);
    await assertAllOnButAway(store);
    const other = await filled(3);
    await other.away(A11);
    await other.write('handed off');
    const counts = await pass(other);
    assert.equal(counts.waiting, 1, 'the one with a handoff');
    assert.equal(counts.moved, 3, 'the survivor is source enough');
    other.assertKeptTwice('after the pass');
  });

  test('a copy that fails leaves the blob where it is', async () => {
    const store = await filled(3);
    store.node(B12).faults = { failPull: 'full' };
    const counts = await pass(store);
    assert.equal(counts.moved + counts.waiting, 3);
    assert(counts.waiting > 0);
    store.assertKeptTwice('after the failure');
    await pass(store);
    await assertAllOn(store, P12);
  });

  test('what is deleted while it moves leaves nothing behind', async () => {
    const store = await filled(4);
    const deps = store.gateway('gateway-1', async (call) => {
      if (call === 'before catalog.moveBlobs' && store.blobs.has('key-1')) await store.remove('key-1');
    });
    const counts = await pass(store, toOther, deps);
    assert.equal(counts.moved, 3);
    const dying = await store.catalog.listDying({ pair: P11, max: 10 });
    assert.equal(dying.length, 1);
    for (const member of [A12, B12])
      assert(!store.node(member).blobs.has(dying[0]!), 'an unnamed copy stays');
  });
});

async function assertAllOnButAway(store: Store): Promise<void> {
  assert((await store.catalog.listBlobs({ max: 10 })).every((row) => row.pair === P11));
  assert.equal(store.home(B12).length, 0);
}

test('a pass broken off at every step: nothing stands less than twice, and the next one ends it', async () => {
  for (let step = 1; ; step += 1) {
    const store = await filled(3);
    let calls = 0;
    const deps = store.gateway('gateway-1', () => {
      calls += 1;
      if (calls >= step) throw new Error('the gateway is dead');
    });
    const ended = await pass(store, toOther, deps).then(
      () => true,
      () => false,
    );
    store.assertKeptTwice(`broken off at call ${step}`);
    await pass(store, toOther, store.gateway('gateway-2'));
    await assertAllOn(store, P12);
    if (ended) break;
    assert(step < 200);
  }
});

test('two gateways at once do no harm', async () => {
  const store = await filled(6);
  const deps = [store.gateway('gateway-1'), store.gateway('gateway-2')];
  const run = (at: number) => movePass(deps[at]!, toOther, newMoveCounts(), new AbortController().signal);
  await store.run(Promise.all([run(0), run(1)]));
  await pass(store);
  await assertAllOn(store, P12);
  assert.deepEqual([store.home(A11), store.home(B11)], [[], []]);
});

test('a pass over the new pair while blobs move there drops none of them', async () => {
  const store = await filled(4);
  let copied = 0;
  const back = { from: P12, targetOf: () => null, dropAfterMs: 5_000 };
  const deps = store.gateway('gateway-1', async (call) => {
    if (call !== 'before catalog.moveBlobs') return;
    copied = store.home(A12).length;
    await movePass(store.gateway('gateway-2'), back, newMoveCounts(), new AbortController().signal);
  });
  const { moved, dropped } = await pass(store, toOther, deps);
  assert.deepEqual([copied, moved, dropped], [4, 4, 4]);
  await assertAllOn(store, P12);
  for (const member of [A12, B12])
    assert([...store.node(member).blobs.values()].every(({ state }) => state === 'confirmed'));
});

test('a gateway that stood still between asking and dropping drops nothing', async () => {
  const store = await filled(2);
  let asked = 0;
  const deps = store.gateway('gateway-1', async (call) => {
    if (call === 'after node-b12.stat' && ++asked === 2) await store.clock.sleep(6_000);
  });
  assert.equal((await pass(store, toOther, deps)).dropped, 0);
  assert.equal(store.home(A11).length, 2);
  await pass(store);
  assert.deepEqual(store.home(A11), []);
  await assertAllOn(store, P12);
});

test('what the new pair lacks after the move is carried there, and stays on the old one until then', async () => {
  const store = await filled(2);
  const deps = store.gateway('gateway-1', async (call) => {
    if (call !== 'after catalog.moveBlobs') return;
    for (const member of [A12, B12]) store.node(member).blobs.delete(store.blobs.get('key-0')!.id);
  });
  assert.equal((await pass(store, toOther, deps)).dropped, 1);
  store.assertKeptTwice('after the pass');
  await store.repairAll();
  await store.run(store.clock.sleep(5_000));
  await store.repairAll();
  await pass(store);
  await assertAllOn(store, P12);
  assert.deepEqual([store.home(A11), store.home(B11)], [[], []]);
});

test('a write that is pending while a pass goes by follows in the next one', async () => {
  const store = await filled(1);
  const late = store.blobOf('late');
  for (const member of [A11, B11]) store.place(member, late, { state: 'pending' });
  assert.equal((await pass(store)).moved, 1);
  assert.deepEqual(store.home(A11), [late.id]);
  await store.commit('late', late);
  assert.equal((await pass(store)).moved, 1);
  await assertAllOn(store, P12);
});

test('a handoff that a member of the pair keeps for another pair stays where it is', async () => {
  const store = await filled(1);
  await store.away(A12);
  const parked = await store.write('parked', { pair: P12 });
  await pass(store, { ...toOther, targetOf: () => null });
  assert(store.node(parked.offMap![0]!).blobs.has(parked.id));
  store.assertKeptTwice('after the pass');
});
