/** Repair, damage, resync and tombstones as jobs of gateways, on fake nodes and the model of the catalog. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import { startReplication } from '../../../src/jobs/replication.ts';
import { startJobs } from '../../../src/jobs/start.ts';
import { A11, B11, HOUR_MS, P11, quiet, Store } from '../dosm/resync/kit.ts';

const pass = (store: Store, ms: number) => store.run(store.clock.sleep(ms), 100 * HOUR_MS);

function start(store: Store, owner = 'gateway-1', step: (call: string) => void | Promise<void> = () => {}) {
  const { catalog, clients, topology, view, clock, random } = store.gateway(owner, step);
  const shared = { catalog, clients, topology, clock, random, log: quiet } as const;
  const polling = { isOver: false };
  const poll = async () => {
    while (!polling.isOver) {
      await clock.sleep(200);
      await view.reload().catch(() => {});
    }
  };
  const polled = poll();
  const replication = startReplication({
    ...{ ...shared, catalog, view, owner, intentMs: 7 * HOUR_MS, pendingGraceMs: HOUR_MS },
  });
  return {
    replication,
    view,
    close: async () => {
      polling.isOver = true;
      await store.run(Promise.all([replication.close(), polled]));
    },
  };
}

test('a member that may return is brought back by itself, and what waits for it is carried home', async () => {
  const store = await Store.open();
  await store.write('before');
  await store.away(A11);
  for (let n = 0; n < 40; n += 1) await store.write(`key-${n}`);
  const jobs = start(store);
  await pass(store, 20_000);
  assert.equal((await store.catalog.countRepairs()).queued, 40);
  await store.back(A11);
  await pass(store, 20_000);
  await store.assertServes(A11);
  await store.assertWhole();
  assert.equal(jobs.replication.progress().resync.served, 1);
  await jobs.close();
});

test('two gateways: one drives it; when that one dies, the other goes on', async () => {
  const store = await Store.open();
  await store.away(A11);
  for (let n = 0; n < 5; n += 1) await store.write(`key-${n}`);
  await store.back(A11);
  let isDead = false;
  const dead = () => new Promise<void>(() => {});
  const first = start(store, 'gateway-1', (call) => {
    if (call === 'before node-a11.pull') isDead = true;
    return isDead ? dead() : undefined;
  });
  await pass(store, 3_000);
  assert(isDead);
  const second = start(store, 'gateway-2');
  await pass(store, 5_000);
  assert.equal(store.catalog.conditions.members.get(A11)?.state, 'resyncing');
  await pass(store, 40_000);
  await store.assertServes(A11);
  assert.equal((await store.catalog.listResyncs())[0]?.owner, 'gateway-2');
  assert.equal(second.replication.progress().resync.served, 1);
  await second.close();
  void first;
});

test('what a node found damaged is queued, repaired, and off its list; a damaged handoff is copied again', async () => {
  const store = await Store.open();
  const home = await store.write('home');
  await store.away(B11);
  const parked = await store.write('parked');
  const holder = store.node(parked.offMap![0]!);
  await store.run(holder.scrub({}));
  holder.rotten.add(parked.id);
  store.node(A11).rotten.add(home.id);
  const orphan = store.blobOf('orphan');
  store.place(A11, orphan, { state: 'pending' });
  store.node(A11).rotten.add(orphan.id);
  await store.run(store.node(A11).scrub({ start: true }));
  await store.run(holder.scrub({ start: true }));
  const jobs = start(store);
  await pass(store, 30_000);
  assert.equal(holder.rotten.size, 0, 'the handoff was copied again');
  assert(jobs.replication.progress().damage.queued > 0);
  // Each try to repair it checks the member's own bytes, which lists them again until the next collection.
  for (let tries = 0; store.node(A11).damaged.size > 1 && tries < 20; tries += 1) await pass(store, 500);
  assert.deepEqual([...store.node(A11).damaged.keys()], [orphan.id], 'a write that may still be committed');
  // Its twin is out: nobody else has the other one, and it is listed.
  const [listed] = await store.catalog.listRepairs({ member: A11, max: 9 });
  assert.deepEqual([listed?.blob.id, listed?.reason], [home.id, 'corrupt']);
  await store.back(B11);
  await pass(store, 400_000);
  assert.equal(store.node(A11).rotten.has(home.id), false);
  assert.equal((await store.catalog.countRepairs()).queued, 0);
  await jobs.close();
});

test('tombstones wait for members that do not serve, which are not asked', async () => {
  const store = await Store.open();
  const blob = await store.write('key');
  await store.away(A11);
  store.node(A11).faults = {};
  await store.remove('key');
  const { view, clients, catalog, topology, clock, random } = store.gateway();
  const jobs = startJobs({ ...{ view, clients, catalog, topology, clock, random, log: quiet } });
  const asked = store.node(A11).controlRequests;
  await pass(store, 8 * HOUR_MS);
  assert.equal(store.node(A11).controlRequests, asked);
  assert.equal(store.node(B11).blobs.has(blob.id), false);
  assert.deepEqual(await store.catalog.listDying({ pair: P11, max: 9 }), [blob.id]);
  assert(jobs.progress().reclaim.postponed > 0);
  await store.back(A11);
  assert.equal(await store.resync(A11), 'serving');
  assert.equal(store.node(A11).blobs.has(blob.id), false);
  await store.run(view.reload());
  await pass(store, HOUR_MS);
  assert.deepEqual(await store.catalog.listDying({ pair: P11, max: 9 }), []);
  await store.run(jobs.close());
});

test('the sweep gives up handoffs that stand for nobody, and records those that are needed', async () => {
  const store = await Store.open();
  const holder = 'node-a12' as MemberId;
  const [whole, lacking] = [await store.write('whole'), await store.write('lacking')];
  store.place(holder, whole, { handoffFor: B11 });
  store.place(holder, lacking, { handoffFor: B11 });
  store.node(B11).blobs.delete(lacking.id);
  const jobs = start(store);
  await pass(store, 1_800_000);
  assert.equal(store.node(holder).blobs.size, 0);
  await store.assertWhole();
  await jobs.close();
});
