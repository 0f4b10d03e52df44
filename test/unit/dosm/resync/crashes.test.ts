/**
 * A resync that is broken off at each of its steps, by the gateway, the member, its twin or the holder of the handoffs:
 * nothing acknowledged stands less than twice at any moment, the member serves only when it is whole, and whoever goes on
 * ends with twins that are equal.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MemberId } from '../../../../src/base/ids.ts';
import { A11, B11, P11, Store } from './kit.ts';

const HOLDER = 'node-b12' as MemberId;

/** Some of everything: deleted, written, lost by the twin, given up by its write, and an orphan. */
async function outage(): Promise<Store> {
  const store = await Store.open();
  for (let n = 0; n < 4; n += 1) await store.write(`key-${n}`);
  const lostByTwin = await store.write('lost by the twin');
  await store.away(A11);
  await store.remove('key-0');
  await store.run(store.node(B11).drop(await store.catalog.listDying({ pair: P11, max: 9 })));
  for (let n = 4; n < 7; n += 1) await store.write(`key-${n}`);
  store.node(B11).blobs.delete(lostByTwin.id);
  await store.back(A11);
  return store;
}

/** A call that never happens, or whose answer nobody gets. */
class Crash extends Error {}

async function countSteps(): Promise<number> {
  const store = await outage();
  let steps = 0;
  await store.resync(
    A11,
    store.gateway('gateway-1', () => {
      steps += 1;
    }),
  );
  return steps;
}

async function finish(store: Store, what: string): Promise<void> {
  // Another gateway, once the lease has run out; it tries again as the job does.
  await store.run(store.clock.sleep(20_000));
  const deps = store.gateway('gateway-2');
  await deps.view.reload();
  if (deps.view.stateOf(A11) === 'resyncing') assert.equal(await store.resync(A11, deps), 'serving', what);
  await store.run(store.clock.sleep(400_000));
  await store.repairAll(deps);
  const surplus = await store.catalog.listSurplus(100);
  for (const { blobId, member } of surplus) await store.run(store.node(member).drop([blobId]));
  await store.assertWhole();
  assert.equal(store.catalog.conditions.members.get(A11)?.state, 'serving', what);
}

describe('a resync broken off at every step', () => {
  test('by its gateway: another one goes on', async () => {
    const steps = await countSteps();
    assert(steps > 60, `${steps} steps`);
    for (let at = 1; at <= steps; at += 1) {
      const store = await outage();
      const stop = new AbortController();
      let step = 0;
      const deps = store.gateway('gateway-1', () => {
        if (++step < at) return;
        // Dead: nothing of it happens any more.
        stop.abort(new Crash());
        throw new Crash();
      });
      const what = `gateway killed at step ${at}`;
      await store.resync(A11, deps, stop.signal).catch((error: unknown) => assert(error instanceof Crash));
      const isBlobLostByTwin = store.copies(store.blobs.get('lost by the twin')!) < 2;
      if (!isBlobLostByTwin) store.assertKeptTwice(what);
      await finish(store, what);
    }
  });

  for (const victim of [A11, B11, HOLDER]) {
    test(`by ${victim}: it is out for a while`, async () => {
      const steps = await countSteps();
      for (let at = 1; at <= steps; at += 3) {
        const store = await outage();
        let step = 0;
        const deps = store.gateway('gateway-1', () => {
          if (++step === at) store.node(victim).faults = { down: true };
        });
        const what = `${victim} killed at step ${at}`;
        const end = await store.resync(A11, deps).catch(() => 'broken off');
        const state = store.catalog.conditions.members.get(A11)?.state;
        assert.equal(state === 'serving', end === 'serving', what);
        for (const [key, blob] of store.blobs)
          if (key !== 'lost by the twin' || end === 'serving')
            assert(store.copies(blob) >= 2, `${what}: ${key}`);
        store.node(victim).faults = {};
        await finish(store, what);
      }
    });
  }
});
