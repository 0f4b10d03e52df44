/** Two gateways of one store: one declares and all follow; one that has not heard does no harm and its clients see nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { type Gateway, startGateway } from '../../harness/gateway.ts';
import { type Store, startStore } from '../../harness/store.ts';
import { adminOf, memberOf, startLoad } from './cluster-kit.ts';
import { BUCKET, bytesOf, clientOf, until } from './store-kit.ts';

/** The first one reads the record so rarely that it hears of changes from members that refuse it, and by its probes. */
const SETTINGS = { monitor: { probeMs: 200, failAfterMs: 3_000, backAfterMs: 60_000, reloadMs: 30_000 } };

describe('two gateways', () => {
  let store: Store;
  let second: Gateway;
  let s3: S3Client;
  let s3OfSecond: S3Client;
  before(async () => {
    store = await startStore({ settings: SETTINGS });
    s3 = clientOf(store, 3);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    second = await startGateway(store, 'gateway-2', { monitor: { ...SETTINGS.monitor, reloadMs: 300 } });
    s3OfSecond = clientOf(second.store, 3);
  });
  after(async () => {
    s3?.destroy();
    s3OfSecond?.destroy();
    await second?.kill();
    await store?.kill();
  });

  it('follow what an operator enters at one of them, while clients write through both', async () => {
    const loads = [startLoad(s3, 'first'), startLoad(s3OfSecond, 'second')];
    await until(() => loads.every((load) => load.done() > 10), 'both loads run');
    await adminOf(second.store).send('POST', '/failover/enter', { subject: 'node-a12' });
    const before = await memberOf(store, 'node-a12');
    const done = loads.map((load) => load.done());
    await until(() => loads.every((load, index) => load.done() > done[index]! + 20), 'both loads go on');
    const now = await memberOf(store, 'node-a12');
    for (const load of loads) await load.stop();
    assert.deepEqual(
      loads.flatMap((load) => load.failures()),
      [],
    );
    assert.deepEqual([before.condition, now.condition, now.stance], ['failed-over', 'failed-over', 'fenced']);
    assert.equal(now.requests, before.requests);
    for (const [name, other] of [
      ['first', s3OfSecond],
      ['second', s3],
    ] as const) {
      const got = await other.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${name}/0` }));
      assert.equal((await got.Body!.transformToByteArray()).length, 2_000);
    }
  });

  it('one that was stopped while the other declared serves its clients at once, and harms nothing', async (t) => {
    const epochs = (await adminOf(store).history()).length;
    const refused = async () =>
      (await adminOf(second.store).status()).members.reduce((sum, m) => sum + (m.refusedRequests ?? 0), 0);
    const refusedBefore = await refused();
    store.signal('gateway-1', 'SIGSTOP');
    store.signal('node-a11', 'SIGSTOP');
    let answers: Promise<unknown>[] = [];
    try {
      await until(
        async () => (await memberOf(second.store, 'node-a11')).condition === 'failed-over',
        'gateway-2 declares',
        60_000,
      );
      const events = await adminOf(second.store).history();
      assert.deepEqual([events[0]!.subject, events[0]!.decidedBy], ['node-a11', 'gateway-2']);
      assert.equal(events.length, epochs + 1);
      // They wait in the sockets of the stopped gateway, which then serves them by what it knew.
      const keys = Array.from({ length: 32 }, (_, index) => `waiting/${index}`);
      answers = keys.map((Key) =>
        s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: bytesOf(Key, 3_000) })),
      );
      await sleep(500);
    } finally {
      store.signal('node-a11', 'SIGCONT');
      store.signal('gateway-1', 'SIGCONT');
    }
    await Promise.all(answers);
    t.diagnostic(`${(await refused()) - refusedBefore} requests were refused by members and repeated`);
    for (let index = 0; index < 32; index += 1) {
      const Key = `waiting/${index}`;
      const got = await s3OfSecond.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
      assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), bytesOf(Key, 3_000));
    }
    const events = await adminOf(store).history();
    assert.equal(events.length, epochs + 1, JSON.stringify(events[0]));
  });
});
