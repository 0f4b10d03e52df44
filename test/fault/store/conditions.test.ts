/**
 * Conditions of a whole store: what detection declares and when, what an operator may enter and leave, and that a member
 * in failover receives no data request. With shortened times; the load of clients goes on meanwhile.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import type { LocateReport } from '../../../src/admin/api.ts';
import type { BlobId, Epoch, WriteId } from '../../../src/base/ids.ts';
import { type NodeClient, NodeError, type NodeErrorKind } from '../../../src/nodes/protocol.ts';
import { type Store, startStore } from '../../harness/store.ts';
import { adminOf, antipode, memberOf, nodeClientOf, startLoad } from './cluster-kit.ts';
import { BUCKET, clientOf, until } from './store-kit.ts';

const SETTINGS = {
  monitor: { probeMs: 200, failAfterMs: 3_000, backAfterMs: 2_000 },
  replication: { repairMs: 300, resyncMs: 300 },
};

async function open(options: Parameters<typeof startStore>[0] = {}): Promise<{ store: Store; s3: S3Client }> {
  const store = await startStore({ settings: SETTINGS, ...options });
  const s3 = clientOf(store, 3);
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return { store, s3 };
}

const isIn = (store: Store, member: string, condition: string) =>
  until(
    async () => (await memberOf(store, member)).condition === condition,
    `${member} is ${condition}`,
    60_000,
  );
const isWhole = (store: Store) =>
  until(async () => (await adminOf(store).status()).redundant, 'every pair is whole', 90_000);

async function refusedAs(kind: NodeErrorKind, call: Promise<unknown>): Promise<NodeError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof NodeError, `not refused: ${error}`);
  assert.equal(error.kind, kind);
  return error;
}

/** A gateway that knows of no change since `epoch`. */
function writeUnder(node: NodeClient, epoch: Epoch): Promise<unknown> {
  const intent = {
    writeId: '00000000-0000-4000-8000-000000000000' as WriteId,
    intentAt: Date.now(),
    bucket: BUCKET,
    key: 'from a gateway that has not heard',
  };
  return node.write('00112233445566778899aabbccddeeff' as BlobId, 5, intent, { epoch, oneShot: false });
}

describe('conditions of two centers', () => {
  let store: Store;
  let s3: S3Client;
  before(async () => {
    ({ store, s3 } = await open());
  });
  after(async () => {
    s3.destroy();
    await store.kill();
  });

  it('start prints ready when every node is admitted', async () => {
    const { members, epoch, redundant } = await adminOf(store).status();
    assert.deepEqual(
      members.filter((m) => m.kind === 'node').map((m) => m.stance),
      Array.from({ length: 4 }, () => 'serving'),
    );
    assert.deepEqual([epoch, redundant], [1, true]);
    assert.equal((await antipode(store, 'status')).code, 0);
  });

  it('a stopped node is declared, receives no data request when it goes on, and comes back', async (t) => {
    const load = startLoad(s3, 'stopped');
    await until(() => load.done() > 20, 'the load runs');
    const stoppedAt = Date.now();
    store.signal('node-a11', 'SIGSTOP');
    await isIn(store, 'node-a11', 'failed-over');
    const [event] = await adminOf(store).history();
    t.diagnostic(`declared ${Date.parse(event!.at) - stoppedAt} ms after SIGSTOP (set: 3,000)`);
    assert.deepEqual(
      [event!.subject, event!.state, event!.decidedBy],
      ['node-a11', 'failed-over', 'gateway-1'],
    );
    assert.match(event!.why, /has not answered for \d/);
    const status = await antipode(store, 'status');
    assert.equal(status.code, 1);
    assert.match(status.stdout, /node-a11 .*failed-over/);

    store.signal('node-a11', 'SIGCONT');
    const node = nodeClientOf(store, 'node-a11');
    try {
      await until(async () => (await node.status()).state !== 'serving', 'it is fenced');
      const before = await node.status();
      const doneBefore = load.done();
      await until(() => load.done() > doneBefore + 20, 'the load goes on');
      const now = await node.status();
      assert.notEqual(now.state, 'serving', 'the load took longer than the way back: choose a longer one');
      assert.equal(now.requests, before.requests);
      await refusedAs('fenced', writeUnder(node, now.epoch));
      assert.equal((await node.status()).refusedRequests, now.refusedRequests + 1);

      await isIn(store, 'node-a11', 'serving');
      const doneThen = load.done();
      await until(() => load.done() > doneThen + 40, 'the load goes on');
      assert.ok((await node.status()).requests > now.requests, 'it takes part again');
    } finally {
      await node.close();
      await load.stop();
    }
    assert.deepEqual(load.failures(), []);
    await isWhole(store);
  });

  it('a node that is killed again and again is declared, and comes back when it is left alone', async (t) => {
    let killedAt = 0;
    let isOver = false;
    const killing = (async () => {
      for (let last = 0; !isOver; await sleep(20)) {
        const pid = store.pids()['node-b12'];
        if (pid === undefined || pid === last) continue;
        process.kill(pid, 'SIGKILL');
        killedAt ||= Date.now();
        last = pid;
      }
    })();
    try {
      await isIn(store, 'node-b12', 'failed-over');
      const at = Date.parse((await adminOf(store).history())[0]!.at);
      t.diagnostic(`declared ${at - killedAt} ms after the first SIGKILL (set: 3,000)`);
    } finally {
      isOver = true;
      await killing;
    }
    await isWhole(store);
  });

  it('members refuse what a gateway asks that has not heard of the change, and say the epoch', async () => {
    const { epoch: old } = await adminOf(store).status();
    const { code, stderr } = await antipode(store, 'failover', 'enter', 'node-a12', '--reason', 'a new disk');
    assert.equal(code, 0, stderr);
    const { epoch } = await adminOf(store).status();
    assert.ok(epoch > old);
    for (const [member, kind] of [
      ['node-a12', 'stale-epoch'],
      ['node-b12', 'stale-epoch'],
    ] as const) {
      const node = nodeClientOf(store, member);
      try {
        const before = await node.status();
        const error = await refusedAs(kind, writeUnder(node, old as Epoch));
        assert.equal(error.epoch, epoch);
        const now = await node.status();
        assert.deepEqual([now.requests, now.refusedRequests], [before.requests, before.refusedRequests + 1]);
      } finally {
        await node.close();
      }
    }
  });

  it('what an operator has entered stays until leave, although the node answers', async () => {
    const load = startLoad(s3, 'entered');
    const before = await memberOf(store, 'node-a12');
    await sleep(4_000);
    const now = await memberOf(store, 'node-a12');
    await load.stop();
    assert.deepEqual(load.failures(), []);
    assert.deepEqual([now.condition, now.stance, now.mayReturn], ['failed-over', 'fenced', false]);
    assert.equal(now.requests, before.requests);
    assert.match(now.reason!, /a new disk; until failover leave/);
    assert.match(now.decidedBy!, /^root \(/);
  });

  it('a member whose twin does not serve cannot be entered, by command or by the admin API', async () => {
    const byCommand = await antipode(store, 'failover', 'enter', 'node-b12');
    assert.equal(byCommand.code, 1);
    assert.match(
      byCommand.stderr,
      /^antipode: node-b12 stays as it is: node-a12, .* is failed-over; --force/,
    );
    await assert.rejects(
      adminOf(store).send('POST', '/failover/enter', { subject: 'node-b12' }),
      /node-b12 stays as it is/,
    );
    const center = await antipode(store, 'failover', 'enter', 'center', 'b');
    assert.equal(center.code, 1);
    const { members } = await adminOf(store).status();
    assert.deepEqual(
      members.filter((m) => m.kind === 'node' && m.condition !== 'serving').map((m) => m.id),
      ['node-a12'],
    );
  });

  it('leave brings it back, by the admin API too, and the history tells who said what', async () => {
    await adminOf(store).send('POST', '/failover/leave', { subject: 'node-a12' });
    await isWhole(store);
    const { code, stdout } = await antipode(store, 'failover', 'history', '--json', '--max', '5');
    assert.equal(code, 0);
    const events = JSON.parse(stdout) as { subject: string; state: string; why: string; decidedBy: string }[];
    const own = events.filter((event) => event.subject === 'node-a12').map((event) => event.state);
    assert.deepEqual(own.slice(0, 2), ['serving', 'resyncing']);
    assert.ok(events.some((event) => /^root \(/.test(event.decidedBy)));
  });

  it('a whole center that falls silent is declared in one change, and comes back', async () => {
    const load = startLoad(s3, 'center');
    await until(() => load.done() > 10, 'the load runs');
    const { epoch } = await adminOf(store).status();
    for (const node of ['node-b11', 'node-b12']) store.signal(node, 'SIGSTOP');
    try {
      await until(
        async () => (await adminOf(store).status()).centers[1]!.condition === 'failed-over',
        'center b is declared',
        60_000,
      );
      const status = await adminOf(store).status();
      assert.equal(status.epoch, epoch + 1);
      const events = (await adminOf(store).history()).filter((event) => event.epoch === status.epoch);
      assert.deepEqual(events.map((event) => event.subject).toSorted(), ['center b', 'node-b11', 'node-b12']);
    } finally {
      for (const node of ['node-b11', 'node-b12']) store.signal(node, 'SIGCONT');
    }
    await isWhole(store);
    await load.stop();
    assert.deepEqual(load.failures(), []);
    assert.equal((await adminOf(store).status()).centers[1]!.condition, 'serving');
  });

  it('a node with an empty data folder is not admitted: it is taken out, and filled from its twin', async () => {
    assert.ok((await memberOf(store, 'node-a11')).blobs! > 0);
    rmSync(join(store.dataDir, 'node-a11', 'store'), { recursive: true });
    store.signal('node-a11', 'SIGKILL');
    await until(
      async () => (await adminOf(store).history()).some((event) => /another disk/.test(event.why)),
      'the other disk is seen',
      60_000,
    );
    await isWhole(store);
    const onNode = new Set<string>();
    for (let turn = 0; turn < 64; turn += 1) {
      const query = new URLSearchParams({ bucket: BUCKET, key: `center/${turn}` });
      const found = await adminOf(store)
        .send<LocateReport>('GET', `/locate?${query}`)
        .catch(() => null);
      const replicas = found?.blobs.flatMap((blob) => blob.replicas) ?? [];
      assert.deepEqual(
        replicas.filter((replica) => replica.state !== 'present'),
        [],
        `center/${turn}`,
      );
      for (const { member } of replicas) onNode.add(member);
    }
    assert.ok(onNode.has('node-a11'), 'some of them live there');
  });
});
