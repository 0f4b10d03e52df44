/** Conditions of one center whose twins sit in its two subnets. With shortened times; the load of clients goes on meanwhile. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { adminOf, antipode, memberOf, startLoad } from '../fault/store/cluster-kit.ts';
import { BUCKET, clientOf, until } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';

const SETTINGS = {
  monitor: { probeMs: 200, failAfterMs: 3_000, backAfterMs: 2_000 },
  replication: { repairMs: 300, resyncMs: 300 },
};

const isIn = (store: Store, member: string, condition: string) =>
  until(
    async () => (await memberOf(store, member)).condition === condition,
    `${member} is ${condition}`,
    60_000,
  );
const isWhole = (store: Store) =>
  until(async () => (await adminOf(store).status()).redundant, 'every pair is whole', 90_000);

describe('conditions of one center with two subnets', () => {
  let store: Store;
  let s3: S3Client;
  before(async () => {
    store = await startStore({ settings: SETTINGS, args: ['--centers', '1'] });
    s3 = clientOf(store, 3);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  after(async () => {
    s3.destroy();
    await store.kill();
  });

  it('refuses to enter failover for the only center', async () => {
    const { code, stderr } = await antipode(store, 'failover', 'enter', 'center', 'a', '--force');
    assert.equal(code, 1);
    assert.match(stderr, /a is the only center: its twins are in it/);
    assert.equal((await adminOf(store).status()).redundant, true);
  });

  it('declares the silent nodes of a subnet one by one, serves from the other, and takes them back', async () => {
    const load = startLoad(s3, 'subnet');
    await until(() => load.done() > 10, 'the load runs');
    for (const node of ['node-b11', 'node-b12']) store.signal(node, 'SIGSTOP');
    try {
      for (const node of ['node-b11', 'node-b12']) await isIn(store, node, 'failed-over');
      const subjects = (await adminOf(store).history()).map((event) => event.subject);
      assert.deepEqual(subjects.toSorted(), ['node-b11', 'node-b12']);
      const doneBefore = load.done();
      await until(() => load.done() > doneBefore + 10, 'the load goes on');
    } finally {
      for (const node of ['node-b11', 'node-b12']) store.signal(node, 'SIGCONT');
    }
    await isWhole(store);
    await load.stop();
    assert.deepEqual(load.failures(), []);
  });
});
