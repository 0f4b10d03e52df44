/** Comparing twins: the cost follows the difference, and every difference is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences, differingRanges, type Sides } from '../../../../src/dosm/resync/compare.ts';
import type { ReplicaClient } from '../../../../src/dosm/resync/types.ts';
import { A11, B11, Store } from './kit.ts';

async function compareAll(store: Store) {
  const asked = { digests: 0, entries: 0 };
  const counting = (client: ReplicaClient): ReplicaClient =>
    new Proxy(client, {
      get: (node, name) => {
        if (name === 'digests')
          return async (prefix?: string) => {
            const answer = await node.digests(prefix);
            asked.digests += answer.length;
            return answer;
          };
        if (name === 'inventory')
          return async (query: Parameters<ReplicaClient['inventory']>[0]) => {
            const answer = await node.inventory(query);
            asked.entries += answer.length;
            return answer;
          };
        return Reflect.get(node, name, node);
      },
    });
  const sides: Sides = { member: counting(store.node(A11)), twin: counting(store.node(B11)) };
  const found: string[] = [];
  const run = async () => {
    for await (const { prefix } of differingRanges(sides))
      for await (const { id, mine, theirs } of differences(sides, prefix))
        found.push(`${id} ${mine ? 'mine' : ''}${theirs ? 'theirs' : ''}`);
  };
  await store.run(run());
  return { asked, found };
}

test('10,000 blobs of which 3 differ: three of 256 ranges are listed', async () => {
  const store = await Store.open();
  const blobs = Array.from({ length: 10_000 }, (_, n) => store.blobOf(`blob ${n}`));
  for (const blob of blobs) {
    store.place(A11, blob);
    store.place(B11, blob);
  }
  assert.deepEqual((await compareAll(store)).asked, { digests: 512, entries: 0 });
  store.node(A11).blobs.delete(blobs[17]!.id);
  store.node(B11).blobs.delete(blobs[4_711]!.id);
  store.place(A11, { ...store.blobOf('other'), id: blobs[9_999]!.id });
  const { asked, found } = await compareAll(store);
  assert.deepEqual(
    found.sort(),
    [`${blobs[17]!.id} theirs`, `${blobs[4_711]!.id} mine`, `${blobs[9_999]!.id} minetheirs`].sort(),
  );
  assert.equal(asked.digests, 512);
  assert(asked.entries <= 3 * 2 * 70, `${asked.entries} entries`);
});

test('a large range of which a blob differs is divided once more', async () => {
  const store = await Store.open();
  const ids: string[] = [];
  for (let n = 0; n < 5_000; n += 1) {
    const blob = store.blobOf(`blob ${n}`);
    const id = `00${blob.id.slice(2)}` as typeof blob.id;
    ids.push(id);
    store.place(A11, { ...blob, id });
    store.place(B11, { ...blob, id });
  }
  store.node(A11).blobs.delete(ids[1_234]! as never);
  const { asked, found } = await compareAll(store);
  assert.deepEqual(found, [`${ids[1_234]} theirs`]);
  assert.equal(asked.digests, 2 + 2 * 256);
  assert(asked.entries < 2 * 50, `${asked.entries} entries`);
});

test('handoffs are no difference', async () => {
  const store = await Store.open();
  const parked = store.blobOf('parked');
  store.place(A11, parked, { handoffFor: B11 });
  assert.deepEqual((await compareAll(store)).found, []);
  // Not even in a range that differs.
  const id = `${parked.id.slice(0, 4)}${'0'.repeat(28)}` as typeof parked.id;
  store.place(B11, { ...store.blobOf('other'), id });
  assert.deepEqual((await compareAll(store)).found, [`${id} theirs`]);
});

test('an empty side is listed without a second look, page by page', async () => {
  const store = await Store.open();
  const ids = Array.from({ length: 3_000 }, (_, n) => {
    const blob = store.blobOf(`blob ${n}`);
    // All in one range of a byte, so that its list has pages.
    const id = `00${blob.id.slice(2)}` as typeof blob.id;
    store.place(B11, { ...blob, id });
    return id;
  });
  const { asked, found } = await compareAll(store);
  assert.deepEqual(
    found,
    ids.sort().map((id) => `${id} theirs`),
  );
  assert.equal(asked.digests, 1);
  assert.equal(asked.entries, 3_000);
});
