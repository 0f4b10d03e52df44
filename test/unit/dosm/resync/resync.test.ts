/** The return of a member on fake nodes and the model of the catalog: what it ends with, and when it dies on the way. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NodeError } from '../../../../src/nodes/protocol.ts';
import { A11, A12, B11, HOUR_MS, P11, Store } from './kit.ts';

/** Ten blobs; then the member is away while some are deleted, overwritten and written. */
async function outage(seed = 1): Promise<Store> {
  const store = await Store.open(seed);
  for (let n = 0; n < 10; n += 1) await store.write(`key-${n}`);
  await store.away(A11);
  await store.remove('key-0');
  await store.remove('key-1');
  await store.write('key-2');
  for (let n = 10; n < 15; n += 1) await store.write(`key-${n}`);
  await store.remove('key-14');
  return store;
}

/** Reclaim has passed on the serving twin, and waits for the member with the rows. */
async function reclaimOnTwin(store: Store): Promise<void> {
  const ids = await store.catalog.listDying({ pair: P11, max: 1_000 });
  await store.run(store.node(B11).drop(ids));
  await store.run(store.node('node-b12' as typeof B11).drop(ids));
}

describe('a member that was away', () => {
  test('returns as its twin is: written, overwritten and deleted meanwhile', async () => {
    const store = await outage();
    await reclaimOnTwin(store);
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    await store.assertServes(A11);
    await store.assertWhole();
    assert.equal(store.node(A11).requests, 0);
    const [state] = await store.catalog.listResyncs();
    assert.equal(state?.phase, 'done');
    assert.equal(state?.removedBlobs, 3);
    assert.equal(state?.lag, 0);
  });

  test('drops what died before it pulls anything', async () => {
    const store = await outage();
    await reclaimOnTwin(store);
    await store.back(A11);
    const order: string[] = [];
    const deps = store.gateway('gateway-1', (call) => {
      if (/^before node-a11.(drop|pull)$/.test(call)) order.push(call.slice(16));
    });
    await store.resync(A11, deps);
    assert(order.includes('drop') && order.includes('pull'));
    assert(order.lastIndexOf('drop') < order.indexOf('pull'), order.join());
  });

  test('keeps what died and its twin still has: reads of it may flow, and reclaim is to come', async () => {
    const store = await outage();
    await store.back(A11);
    const dying = await store.catalog.listDying({ pair: P11, max: 10 });
    assert.equal(dying.length, 4);
    assert.equal(await store.resync(A11), 'serving');
    assert.deepEqual(
      dying.map((id) => store.node(A11).blobs.has(id)).sort(),
      [false, true, true, true],
      'what it had stays, what it never had is not fetched',
    );
  });

  test('fills an empty disk', async () => {
    const store = await outage();
    store.node(A11).blobs.clear();
    await reclaimOnTwin(store);
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    await store.assertServes(A11);
    await store.assertWhole();
  });

  test('is not touched while another gateway drives it', async () => {
    const store = await outage();
    await store.back(A11);
    const epoch = store.catalog.conditions.pairEpochs.get(P11)!;
    const lease = { member: A11, epoch, owner: 'gateway-2', leaseMs: 15_000 };
    assert(await store.catalog.leaseResync(lease));
    assert.equal(await store.resync(A11), 'elsewhere');
    await store.run(store.clock.sleep(15_001));
    assert.equal(await store.resync(A11), 'serving');
  });

  test('is left to a gateway that has taken the lease meanwhile', async () => {
    const store = await outage();
    await store.back(A11);
    const epoch = store.catalog.conditions.pairEpochs.get(P11)!;
    const deps = store.gateway('gateway-1', async (call) => {
      if (call !== 'before node-a11.pull') return;
      await store.catalog.leaseResync({ member: A11, epoch, owner: 'gateway-1', leaseMs: 0 });
      await store.catalog.leaseResync({ member: A11, epoch, owner: 'gateway-2', leaseMs: 15_000 });
    });
    assert.equal(await store.resync(A11, deps), 'elsewhere');
    assert.equal(store.catalog.conditions.members.get(A11)?.state, 'resyncing');
  });

  test('stays out when it is failed over again meanwhile', async () => {
    const store = await outage();
    await store.back(A11);
    const deps = store.gateway('gateway-1', async (call) => {
      if (call === 'before node-a11.pull') await store.change(A11, 'failed-over');
    });
    assert.equal(await store.resync(A11, deps), 'void');
    assert.equal(store.catalog.conditions.members.get(A11)?.state, 'failed-over');
    assert.notEqual(store.node(A11).state, 'serving');
  });

  test('leaves a later return to whoever begins it', async () => {
    const store = await outage();
    await store.back(A11);
    const deps = store.gateway('gateway-1', async (call) => {
      if (call !== 'before node-a11.pull') return;
      await store.change(A11, 'failed-over');
      await store.change(A11, 'resyncing');
      await deps.view.reload();
    });
    assert.equal(await store.resync(A11, deps), 'void');
    assert.equal(store.catalog.conditions.members.get(A11)?.state, 'resyncing');
  });

  test('waits for a twin that dies, and goes on when it is back', async () => {
    const store = await outage();
    await store.back(A11);
    const deps = store.gateway('gateway-1', (call) => {
      if (call === 'before node-a11.pull') store.node(B11).faults = { down: true };
    });
    await assert.rejects(store.resync(A11, deps), NodeError);
    assert.equal(store.catalog.conditions.members.get(A11)?.state, 'resyncing');
    assert.equal(store.node(A11).state, 'resyncing');
    assert.match((await store.catalog.listResyncs())[0]?.lastError ?? '', /node-b11/);
    store.node(B11).faults = {};
    assert.equal(await store.resync(A11), 'serving');
    await store.run(store.clock.sleep(5_000));
    await store.repairAll();
    await reclaimOnTwin(store);
    for (const id of await store.catalog.listDying({ pair: P11, max: 99 })) store.node(A11).blobs.delete(id);
    await store.assertWhole();
  });

  test('without room stays out, and says so', async () => {
    const store = await outage();
    await store.back(A11);
    store.node(A11).faults = { full: true };
    await assert.rejects(store.resync(A11), (error) => error instanceof NodeError && error.kind === 'full');
    assert.equal(store.catalog.conditions.members.get(A11)?.state, 'resyncing');
  });

  test('serves although a replica is lost on both: it is listed', async () => {
    const store = await Store.open();
    const kept = await store.write('kept');
    await store.away(A11);
    const blob = await store.write('rotten');
    await store.back(A11);
    store.node(B11).rotten.add(blob.id);
    store.node('node-b12' as typeof B11).rotten.add(blob.id);
    assert.equal(await store.resync(A11), 'serving');
    const repairs = await store.catalog.listRepairs({ max: 10 });
    assert.deepEqual(
      repairs.map((repair) => [repair.member, repair.blob.id]),
      [[A11, blob.id]],
    );
    assert.equal(store.copies(kept), 2);
  });

  test('gives its twin what that has lost', async () => {
    const store = await Store.open();
    const blob = await store.write('lost on the twin');
    await store.away(A11);
    store.node(B11).blobs.delete(blob.id);
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    await store.assertWhole();
  });

  test('lists what it could not give its twin', async () => {
    const store = await Store.open();
    const blob = await store.write('lost on the twin');
    await store.away(A11);
    store.node(B11).blobs.delete(blob.id);
    store.node(A11).rotten.add(blob.id);
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    const repairs = await store.catalog.listRepairs({ max: 10 });
    assert.deepEqual(
      repairs.map((repair) => [repair.member, repair.blob.id]),
      [[B11, blob.id]],
    );
  });

  test('replaces what it has wrongly under the right id, and its twin', async () => {
    const store = await Store.open();
    const mine = await store.write('mine');
    const theirs = await store.write('theirs');
    await store.away(A11);
    store.place(A11, { ...store.blobOf('other'), id: mine.id });
    store.place(B11, { ...store.blobOf('other'), id: theirs.id });
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    await store.assertWhole();
  });
});

describe('blobs that no row names', () => {
  test('on the member: those whose write is over are dropped, young ones are left to the reaper', async () => {
    const store = await Store.open();
    const [old, young, forgotten] = [store.blobOf('old'), store.blobOf('young'), store.blobOf('forgotten')];
    store.place(A11, old, { state: 'pending' });
    await store.run(store.clock.sleep(9 * HOUR_MS), 10 * HOUR_MS);
    store.place(A11, young, { state: 'pending' });
    // Confirmed, so a row named it: it was reclaimed while the member was away.
    store.place(A11, forgotten);
    await store.away(A11);
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    assert.deepEqual(store.home(A11), [young.id]);
  });

  test('on the twin: those of writes that may still be committed are pulled, pending', async () => {
    const store = await Store.open();
    const old = store.blobOf('old');
    store.place(B11, old, { state: 'pending' });
    await store.run(store.clock.sleep(9 * HOUR_MS), 10 * HOUR_MS);
    const young = store.blobOf('young');
    store.place(B11, young, { state: 'pending' });
    await store.away(A11);
    await store.back(A11);
    assert.equal(await store.resync(A11), 'serving');
    assert.deepEqual(store.home(A11), [young.id]);
    assert.equal(store.node(A11).blobs.get(young.id)?.state, 'pending');
  });
});

test('handoffs that it holds for others: those that stand for nobody go, the others stay', async () => {
  const store = await Store.open();
  const P12 = 'node/12' as typeof P11;
  await store.away(A12);
  const live = await store.write('live', { pair: P12 });
  const holder = live.offMap![0]!;
  const over = store.blobOf('over', P12);
  const pending = store.blobOf('pending', P12);
  store.place(holder, over, { handoffFor: A12 });
  store.place(holder, pending, { handoffFor: A12, state: 'pending' });
  assert.equal(holder, 'node-b11');
  // Home already, and still on record: it goes when its repair has ended.
  store.node(A12).faults = {};
  store.place(A12, live);
  await store.away(B11);
  await store.back(B11);
  assert.equal(await store.resync(B11), 'serving');
  assert.deepEqual([...store.node(B11).blobs.keys()].sort(), [live.id, pending.id].sort());
});

test('scattered differences are judged and pulled together', async () => {
  const store = await Store.open();
  for (let n = 0; n < 200; n += 1) await store.write(`key-${n}`);
  store.node(A11).blobs.clear();
  await store.away(A11);
  await store.back(A11);
  const calls = new Map<string, number>();
  const deps = store.gateway('gateway-1', (call) => {
    calls.set(call, (calls.get(call) ?? 0) + 1);
  });
  assert.equal(await store.resync(A11, deps), 'serving');
  await store.assertWhole();
  assert.equal(calls.get('before node-a11.pull'), Math.ceil(200 / 64));
  assert.equal(calls.get('before catalog.findBlobs'), 1);
});

test('clients write all the while: it ends, and what is left is carried home', async () => {
  const store = await outage();
  await store.back(A11);
  let writes = 0;
  const deps = store.gateway('gateway-1', async (call) => {
    // Faster than any look at the twin.
    if (/^after .*(digests|inventory|pull|changeCondition)$/.test(call) && writes < 400)
      await store.write(`late-${++writes}`);
  });
  assert.equal(await store.resync(A11, deps), 'serving');
  await store.assertServes(A11);
  assert(writes > 20);
  store.assertKeptTwice('when it serves');
  await store.repairAll();
  await reclaimOnTwin(store);
  for (const id of await store.catalog.listDying({ pair: P11, max: 99 })) store.node(A11).blobs.delete(id);
  await store.assertWhole();
});
