/**
 * Notifications from the change feed on Postgres to real receivers that are down, slow, refuse, or cut their answers, while
 * gateways die: nothing is lost, of a key nothing comes out of order, and nobody waits for somebody else's receiver.
 */
import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { type BucketId, newWriteId } from '../../../src/base/ids.ts';
import { NOTIFICATION } from '../../../src/ddm/notification-config.ts';
import { openCatalog, type PostgresCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { networkOf } from '../../../src/jobs/notifications/outgoing-addresses.ts';
import {
  type NotificationsOptions,
  type NotificationTimings,
  startNotifications,
} from '../../../src/jobs/notifications/start.ts';
import { Kit, mustBeDone } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { freePort, stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import {
  answerWith,
  cutAnswer,
  type Received,
  type Receiver,
  startReceiver,
} from '../../harness/webhook-receiver.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
after(stopSharedServer);

const FAST: Partial<NotificationTimings> = { pollMs: 10, backoffMs: 10, backoffMsMax: 40, leaseMs: 2_000 };

async function rig() {
  const { server, app } = await testDatabase();
  const catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  open.push(catalog);
  const sql = async (text: string) =>
    (await server.admin(text, app.database)).rows as Record<string, unknown>[];
  return { catalog, kit: new Kit(catalog), sql };
}
async function receiverAt(port = 0): Promise<Receiver> {
  const receiver = await startReceiver(port);
  open.push(receiver);
  return receiver;
}
interface TargetOptions {
  readonly retryForMs?: number;
  readonly timeoutMs?: number;
}
function start(
  source: PostgresCatalog,
  urls: Readonly<Record<string, string>>,
  o: Partial<NotificationsOptions> & TargetOptions = {},
) {
  const { retryForMs = 600_000, timeoutMs = 30_000, ...more } = o;
  const rules = { cluster: [], allowed: [networkOf('127.0.0.0/8')] };
  const targets = Object.entries(urls).map(([name, url]) => ({
    name,
    url,
    timeoutMs,
    concurrency: 4,
    retryForMs,
    rules,
  }));
  const job = startNotifications({
    ...{
      source,
      targets,
      owner: 'gateway-1',
      timings: FAST,
      clock: systemClock,
      random: Math.random,
      log: quiet,
    },
    ...more,
  });
  open.push(job);
  return job;
}
async function configure(
  catalog: PostgresCatalog,
  bucket: BucketId,
  target: string,
  requestId = 'R',
  events = ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'],
) {
  const rule = {
    kind: 'queue',
    id: 'i',
    arn: `arn:antipode:sqs::${target}:webhook`,
    target,
    events,
    prefix: '',
    suffix: '',
  };
  const value = { requestId, skipsTest: requestId === '', rules: [rule] };
  mustBeDone(await catalog.setBucketSetting(bucket, NOTIFICATION, value));
}
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  assert.fail(`${what}: never`);
}
interface Told {
  readonly eventName: string;
  readonly s3: { readonly object: { readonly key: string; readonly sequencer: string } };
}
const toldBy = ({ body }: Received): Told => (JSON.parse(body) as { Records: Told[] }).Records[0]!;
const isTest = ({ body }: Received) => body.includes('s3:TestEvent');
const keyOf = (received: Received) => toldBy(received).s3.object.key;

/** Of what was taken, each event at its first coming: per key the sequencers rise. */
function assertOrdered(taken: readonly Received[]): number {
  const seen = new Set<string>();
  const last = new Map<string, string>();
  for (const received of taken.filter((r) => !isTest(r))) {
    if (seen.has(received.id)) continue;
    seen.add(received.id);
    const { key, sequencer } = toldBy(received).s3.object;
    assert.ok((last.get(key) ?? '') < sequencer, `${key} came out of order`);
    last.set(key, sequencer);
  }
  return seen.size;
}

describe('notifications', () => {
  it('tell a receiver of its test, and of each change once, in order per key', async () => {
    const { catalog, kit, sql } = await rig();
    const receiver = await receiverAt();
    const bucket = await kit.bucket({ objectLock: true });
    start(catalog, { audit: receiver.url });
    await until('the reader', async () =>
      (await catalog.listReaders()).some(({ name }) => name === 'notifications'),
    );
    await configure(catalog, bucket, 'audit');
    for (let i = 0; i < 5; i += 1) {
      await kit.put(bucket, 'a', { cause: { via: 'Copy', principal: 'AWS:ada' } });
      await kit.put(bucket, 'b');
    }
    mustBeDone(await kit.delete(bucket, 'a'));
    await until('all told', () => receiver.taken.some(isTest) && assertOrdered(receiver.taken) === 11);
    const ofA = receiver.taken.filter((r) => !isTest(r) && keyOf(r) === 'a').map((r) => toldBy(r).eventName);
    assert.deepEqual(ofA, [
      ...Array<string>(5).fill('ObjectCreated:Copy'),
      'ObjectRemoved:DeleteMarkerCreated',
    ]);
    const changes = await sql("SELECT event::text FROM catalog.changes WHERE key IN ('a', 'b')");
    const ids = new Set(receiver.taken.map(({ id }) => id));
    assert.ok(changes.every(({ event }) => ids.has(String(event))));
    await until(
      'an empty queue',
      async () => (await sql('SELECT 1 FROM antipode.notification')).length === 0,
    );
    assert.equal(receiver.received.length, 12, 'each came once');
  });

  it('keep what a receiver that is down, fails or cuts does not take, in order, and others do not wait for it', async () => {
    const { catalog, kit } = await rig();
    const port = await freePort();
    const well = await receiverAt();
    const [ill, fine] = [await kit.bucket(), await kit.bucket()];
    await configure(catalog, ill, 'ill', '');
    await configure(catalog, fine, 'well', '');
    start(catalog, { ill: `http://127.0.0.1:${port}/`, well: well.url }, { timeoutMs: 300 });
    await until('the reader', async () =>
      (await catalog.listReaders()).some(({ name }) => name === 'notifications'),
    );
    for (let i = 0; i < 24; i += 1) {
      await kit.put(ill, `key-${i % 3}`);
      await kit.put(fine, 'k');
    }
    await until('the well one has all', () => assertOrdered(well.taken) === 24);
    const back = await receiverAt(port);
    let asked = 0;
    back.answer = (request, response) => {
      asked += 1;
      const odd = [
        answerWith(500),
        cutAnswer,
        answerWith(200),
        () => false,
        answerWith(429),
        answerWith(200),
      ];
      return asked > 30 ? answerWith(200)(request, response) : odd[asked % odd.length]!(request, response);
    };
    await until('the ill one has all', () => assertOrdered(back.taken) === 24);
  });

  it('go on under another gateway when one is killed: nothing is lost, the order stays', async () => {
    const { catalog, kit } = await rig();
    const receiver = await receiverAt();
    const bucket = await kit.bucket();
    await configure(catalog, bucket, 'audit', '');
    let isKilled = false;
    /** From a moment on nothing that this gateway does reaches the catalog any more. */
    const dying = new Proxy(catalog, {
      get: (of, name) => {
        const value = Reflect.get(of, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (isKilled && name !== 'feedPairs') return Promise.reject(new Error('killed'));
          return (value as (...a: unknown[]) => unknown).apply(of, args);
        };
      },
    });
    start(dying, { audit: receiver.url }, { owner: 'gateway-1', timeoutMs: 200 });
    await until('the reader', async () =>
      (await catalog.listReaders()).some(({ name }) => name === 'notifications'),
    );
    receiver.answer = async (request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (receiver.taken.length === 12) isKilled = true;
      return answerWith(200)(request, response);
    };
    for (let i = 0; i < 30; i += 1) await kit.put(bucket, `key-${i % 2}`);
    await until('the first is killed', () => isKilled);
    // It comes back under its name; another one would wait for the lease to run out.
    start(catalog, { audit: receiver.url }, { owner: 'gateway-1', timeoutMs: 200 });
    await until('all told', () => assertOrdered(receiver.taken) === 30);
  });
});

describe('dead letters', () => {
  it('are what is refused or too old; they can be sent again, or dropped', async () => {
    const { catalog, kit, sql } = await rig();
    const receiver = await receiverAt();
    const bucket = await kit.bucket();
    await configure(catalog, bucket, 'audit', '');
    const job = start(catalog, { audit: receiver.url });
    await until('the reader', async () =>
      (await catalog.listReaders()).some(({ name }) => name === 'notifications'),
    );
    receiver.answer = (request, response) =>
      answerWith(keyOf(request) === 'bad' ? 400 : 200)(request, response);
    for (const key of ['bad', 'bad', 'good']) await kit.put(bucket, key);
    await until('two are dead', async () => (await sql('SELECT 1 FROM catalog.dead_letters')).length === 2);
    await until('the good one', () => receiver.taken.length === 1);
    assert.equal(receiver.received.length, 11, 'each of the bad ones is tried five times');
    const letters = await catalog.listDeadLetters({ target: 'audit' }, 10);
    assert.deepEqual(
      letters.map(({ key, attempts, error, name }) => [key, attempts, error, name]),
      Array(2).fill(['bad', 5, 'the receiver answered 400', 'ObjectCreated:Put']),
    );
    assert.deepEqual(
      (await catalog.notificationBacklog()).map(({ target, queued, dead }) => [target, queued, dead]),
      [['audit', 0, 2]],
    );
    receiver.answer = answerWith(200);
    assert.equal(await catalog.redeliverDeadLetters({ event: letters[0]!.event }), 1);
    await until('it is sent again', () => receiver.taken.length === 2);
    assert.equal(receiver.taken[1]!.id, letters[0]!.event);
    assert.equal(await catalog.dropDeadLetters({ bucket: 'another' }), 0);
    assert.equal(await catalog.dropDeadLetters({ target: 'audit' }), 1);
    assert.deepEqual(await catalog.listDeadLetters({}, 10), []);
    assert.equal(job.counts().get('audit')!.dead, 2);
  });

  it('are events whose time is over, one key at a time in order', async () => {
    const { catalog, kit } = await rig();
    const receiver = await receiverAt();
    receiver.answer = answerWith(503);
    const bucket = await kit.bucket();
    await configure(catalog, bucket, 'audit', '');
    start(catalog, { audit: receiver.url }, { retryForMs: 1 });
    await until('the reader', async () =>
      (await catalog.listReaders()).some(({ name }) => name === 'notifications'),
    );
    for (let i = 0; i < 3; i += 1) await kit.put(bucket, 'k');
    await until('all are dead', async () => (await catalog.listDeadLetters({}, 10)).length === 3);
    receiver.answer = answerWith(200);
    assert.equal(await catalog.redeliverDeadLetters({}), 3);
    await until('all are told', () => assertOrdered(receiver.taken) === 3);
  });
});

describe('the queue', () => {
  it('takes a page of the feed once, and says who may settle', async () => {
    const { catalog } = await rig();
    await catalog.openNotifications(ROOT);
    const from = await catalog.openReader(ROOT, 'notifications', 'now');
    const to = await catalog.feedStart(ROOT, 'now');
    const one = { target: 't', bucketId: 1, bucket: 'b', key: 'k', name: 'ObjectCreated:Put', body: '{}' };
    const notifications = [0, 1].map(() => ({ ...one, event: newWriteId(), at: new Date() }));
    const further = `${BigInt(to.split('-')[0]!) + 1n}-0` as typeof to;
    const page = { from, to: further, buckets: new Map(), notifications };
    assert.equal(await catalog.queueNotifications(ROOT, page), true);
    assert.equal(await catalog.queueNotifications(ROOT, page), false);
    const [first, ...others] = await catalog.dueNotifications(ROOT, 't', [], 10);
    assert.deepEqual([first!.event, others.length], [notifications[0]!.event, 0]);
    assert.equal(await catalog.leaseNotifications(ROOT, 't', 'a', 60_000), true);
    assert.equal(await catalog.leaseNotifications(ROOT, 't', 'b', 60_000), false);
    const done = { delivered: [first!.id], failed: [], dead: [] };
    assert.equal(await catalog.settleNotifications(ROOT, 't', 'b', done), false);
    assert.equal(await catalog.settleNotifications(ROOT, 't', 'a', done), true);
    const [second] = await catalog.dueNotifications(ROOT, 't', [], 10);
    assert.equal(second!.event, notifications[1]!.event);
    assert.deepEqual(await catalog.dueNotifications(ROOT, 't', [second!.id], 10), []);
    const failed = [{ id: second!.id, error: 'no', dueInMs: 3_600_000 }];
    await catalog.settleNotifications(ROOT, 't', 'a', { delivered: [], failed, dead: [] });
    assert.deepEqual(await catalog.dueNotifications(ROOT, 't', [], 10), []);
  });
});
