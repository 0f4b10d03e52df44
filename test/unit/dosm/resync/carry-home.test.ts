/** Repairs on fake nodes and the model of the catalog: what is carried home, what stays parked, what stays listed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { carryHome, newCarryCounts, retryMsOf } from '../../../../src/dosm/resync/carry-home.ts';
import { A11, A12, B11, HOUR_MS, Store } from './kit.ts';

async function repairsOf(store: Store) {
  const repairs = await store.catalog.listRepairs({ max: 100 });
  return repairs.map(({ member, reason, attempts, lastError }) => ({ member, reason, attempts, lastError }));
}
const missing = (store: Store, blobId: Parameters<Store['copies']>[0]['id'], member = A11) =>
  store.catalog.addRepairs([{ blobId, member, reason: 'missing', foundBy: 'read' }]);

/** A handoff stands for a member that serves again. */
async function handoff(store: Store) {
  await store.away(A11);
  const blob = await store.write('parked');
  await store.back(A11);
  store.node(A11).state = 'serving';
  await store.change(A11, 'serving');
  return blob;
}

test('a handoff is copied home, and only then dropped', async () => {
  const store = await Store.open();
  const blob = await handoff(store);
  const order: string[] = [];
  const deps = store.gateway('gateway-1', (call) => {
    if (/after .*(pull|finishRepairs|drop|forgetOffMap)$/.test(call)) order.push(call.slice(6));
  });
  await deps.view.reload();
  const counts = await store.repairAll(deps);
  assert.deepEqual(order, [
    'node-a11.pull',
    'catalog.finishRepairs',
    'node-b12.drop',
    'catalog.forgetOffMap',
  ]);
  assert.equal(counts.repaired, 1);
  assert.equal(counts.handoffsDropped, 1);
  assert.equal(store.node(A11).blobs.get(blob.id)?.intent.handoffFor, undefined);
  await store.assertWhole();
});

test('a handoff stays while the twin does not have the blob: it is the second copy', async () => {
  const store = await Store.open();
  const blob = await handoff(store);
  store.node(B11).blobs.delete(blob.id);
  await store.repairAll();
  assert.equal(store.handoffs(), 1);
  assert.equal(store.copies(blob), 2);
  assert.match((await repairsOf(store))[0]?.lastError ?? '', /its twin is not/);
  // It comes back to the twin, and then the parked copy goes.
  await missing(store, blob.id, B11);
  await store.run(store.clock.sleep(10_000));
  await store.repairAll();
  await store.run(store.clock.sleep(400_000));
  await store.repairAll();
  await store.assertWhole();
});

test('a holder that does not answer keeps its copy, and it stays listed as surplus', async () => {
  const store = await Store.open();
  const blob = await handoff(store);
  const deps = store.gateway('gateway-1', (call) => {
    if (call === 'before node-b12.drop') store.node('node-b12' as typeof B11).faults = { down: true };
  });
  await deps.view.reload();
  const counts = await store.repairAll(deps);
  assert.equal(counts.handoffsLeft, 1);
  assert.deepEqual(await store.catalog.listSurplus(10), [{ blobId: blob.id, member: 'node-b12' }]);
});

test('a corrupt replica is replaced by the twin’s bytes', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.node(A11).rotten.add(blob.id);
  await store.catalog.addRepairs([{ blobId: blob.id, member: A11, reason: 'corrupt', foundBy: 'scrub' }]);
  await store.repairAll();
  await store.assertWhole();
});

test('a replica that is there after all ends its repair', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.node(B11).blobs.delete(blob.id);
  await missing(store, blob.id);
  await store.repairAll();
  assert.deepEqual(await repairsOf(store), []);
});

test('other bytes under the id are dropped, and the right ones come with the next try', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.place(A11, { ...store.blobOf('other'), id: blob.id });
  await missing(store, blob.id);
  await store.repairAll();
  await store.run(store.clock.sleep(2_000));
  await store.repairAll();
  await store.assertWhole();
});

test('lost: nobody has it; it stays listed, is tried less and less often, and comes home when somebody returns', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  const bytes = store.node(B11).blobs.get(blob.id)!;
  store.node(A11).blobs.delete(blob.id);
  store.node(B11).blobs.delete(blob.id);
  await missing(store, blob.id);
  for (let n = 0; n < 20; n += 1) {
    await store.repairAll();
    await store.run(store.clock.sleep(60_000));
  }
  const [listed] = await repairsOf(store);
  assert.equal(listed?.reason, 'lost');
  assert(listed.attempts > 5 && listed.attempts < 16, `${listed.attempts} tries in 20 minutes`);
  store.node(B11).blobs.set(blob.id, bytes);
  await store.run(store.clock.sleep(300_000));
  await store.repairAll();
  await store.assertWhole();
});

test('lost is said only when everybody who may have it was asked', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.node(A11).blobs.delete(blob.id);
  store.node(B11).faults = { down: true };
  await missing(store, blob.id);
  await store.repairAll();
  assert.equal((await repairsOf(store))[0]?.reason, 'missing');
  store.node(B11).faults = {};
  store.node(B11).blobs.delete(blob.id);
  await store.run(store.clock.sleep(10_000));
  await store.repairAll({ ...store.gateway(), find: async () => null });
  assert.equal((await repairsOf(store))[0]?.reason, 'missing');
});

test('a search finds it elsewhere: recorded, carried home, and given up there', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.place(A12, blob);
  store.node(A11).blobs.delete(blob.id);
  store.node(B11).blobs.delete(blob.id);
  await missing(store, blob.id);
  const deps = { ...store.gateway(), find: async () => [A12] };
  for (let n = 0; n < 4; n += 1) {
    await store.repairAll(deps);
    await store.run(store.clock.sleep(10_000));
  }
  assert.equal(store.node(A12).blobs.size, 0);
  await store.assertWhole();
});

test('a blob that died while it was pulled leaves no replica behind', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.node(A11).blobs.delete(blob.id);
  await missing(store, blob.id);
  const deps = store.gateway('gateway-1', async (call) => {
    if (call === 'after node-a11.pull') await store.remove('key');
  });
  await store.repairAll(deps);
  assert.equal(store.node(A11).blobs.has(blob.id), false);
  assert.equal((await store.catalog.countRepairs()).queued, 0);
});

test('a member that stops answering in the middle: what is left is put off', async () => {
  const store = await Store.open();
  for (let n = 0; n < 3; n += 1) await missing(store, (await store.write(`key-${n}`)).id);
  const deps = store.gateway('gateway-1', (call) => {
    if (call === 'before node-a11.pull') store.node(A11).faults = { stopped: true };
  });
  const counts = newCarryCounts();
  const due = await store.catalog.takeRepairs({ max: 9, leaseMs: 1_000 });
  await store.run(carryHome(deps, A11, due, counts, new AbortController().signal));
  assert.equal(counts.postponed, 3);
  assert.equal((await store.catalog.takeRepairs({ max: 9, leaseMs: 1_000 })).length, 0);
});

test('pauses grow from a second to five minutes', () => {
  const pauses = [0, 1, 2, 8, 9, 1_000].map((failed) => retryMsOf(failed, () => 1));
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
  assert.equal(
    retryMsOf(0, () => 0),
    500,
  );
  assert(retryMsOf(30, () => 0.5) < HOUR_MS);
});

test('lost is not said while a member that may have it is failed over', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  store.node(A11).blobs.delete(blob.id);
  await store.away(B11);
  await missing(store, blob.id);
  await store.repairAll({ ...store.gateway(), find: async () => [] });
  const [listed] = await repairsOf(store);
  assert.equal(listed?.reason, 'missing');
  assert.match(listed.lastError ?? '', /not asked: node-b11/);
});
