/**
 * Writes to a whole store while parts of it fail: what is acknowledged is there, what is not leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '../../../src/base/clock.ts';
import { type MemberId, newBlobId, newWriteId } from '../../../src/base/ids.ts';
import { readKey } from '../../../src/launcher/secrets.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import { DigestTreeBuilder, digest } from '../../../src/nodes/digest-tree.ts';
import type { NodeClient } from '../../../src/nodes/protocol.ts';
import { type Store, startStore } from '../../harness/store.ts';
import { BUCKET, bytesOf, clientOf, filesOf, getInSteps, MIB, putHalf, sha256, until } from './store-kit.ts';

const MEMBERS = ['node-a11', 'node-b11'] as const;
const INTENT_MS = 15_000;

describe('writes while members fail', () => {
  let store: Store;
  let s3: S3Client;
  let nodes: NodeClient[];
  before(async () => {
    store = await startStore({
      nodesPerCenter: 1,
      settings: { intentMs: INTENT_MS, pendingGraceMs: 500, reapIntervalMs: 400, commitDeadlineMs: 3_000 },
    });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    nodes = MEMBERS.map((member, i) =>
      createNodeClient({
        member: member as MemberId,
        address: `127.${i + 1}.${store.subnets.octet}.11`,
        port: 7100,
        secret: clusterSecret(store),
        deadlines: { connectMs: 1_000, firstByteMs: 5_000, stallMs: 5_000 },
        clock: systemClock,
      }),
    );
  });
  after(async () => {
    s3.destroy();
    await Promise.all(nodes.map((node) => node.close()));
    await store.kill();
  });

  const status = async (key: string) => (await getInSteps(s3, key)).status;
  const inventories = () => Promise.all(nodes.map((node) => node.inventory({ max: 1_000 })));

  it('shows nothing of an upload whose gateway is killed in the middle, and goes on', async () => {
    const size = 32 * MIB;
    const bytes = bytesOf('half', size);
    const upload = await putHalf(s3, 'half', bytes.subarray(0, size / 2), size);
    await until(() => storedTemporaries(store) > 0, 'the first half is on its way to the nodes');
    const before = await inventories();
    store.signal('gateway-1', 'SIGKILL');
    assert.equal(await upload.ended, 'cut');
    await until(async () => (await status('half').catch(() => 0)) === 404, 'a new gateway answers 404');
    await until(() => storedTemporaries(store) === 0, 'the nodes drop the half');
    assert.deepEqual(
      (await inventories()).map((entries) => entries.length),
      before.map((entries) => entries.length),
    );
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'half', Body: bytes }));
    assert.equal(sha256((await getInSteps(s3, 'half')).bytes), sha256(bytes));
  });

  it('reaps what a gateway wrote to both nodes and never committed, and nothing else', async () => {
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'kept', Body: bytesOf('kept', MIB) }));
    const orphan = newBlobId();
    for (const node of nodes) await writeOrphan(node, orphan);
    for (const entries of await inventories()) assert.ok(entries.some((entry) => entry.id === orphan));
    await until(
      async () => (await inventories()).every((entries) => entries.every((entry) => entry.id !== orphan)),
      'the orphan is reaped on both nodes',
    );
    assert.equal(sha256((await getInSteps(s3, 'kept')).bytes), sha256(bytesOf('kept', MIB)));
    const [a, b] = await inventories();
    assert.deepEqual(
      a!.map((entry) => [entry.id, entry.size, entry.root.toString('hex')]),
      b!.map((entry) => [entry.id, entry.size, entry.root.toString('hex')]),
    );
  });

  it('answers 503 and keeps nothing when a replica stops in mid-body', async () => {
    const size = 32 * MIB;
    const bytes = bytesOf('stopped', size);
    const upload = await putHalf(s3, 'stopped', bytes.subarray(0, size / 2), size);
    await until(() => storedTemporaries(store) > 0, 'the first half is on its way to the nodes');
    store.signal('node-b11', 'SIGSTOP');
    upload.finish(bytes.subarray(size / 2));
    const ended = await upload.ended;
    store.signal('node-b11', 'SIGCONT');
    assert.equal(ended, 503);
    assert.equal(await status('stopped'), 404);
    await until(() => storedTemporaries(store) === 0, 'both nodes drop what they had');
  });

  it('does not take a slow client for a slow node', async () => {
    const size = 8 * MIB;
    const bytes = bytesOf('slow', size);
    const upload = await putHalf(s3, 'slow', bytes.subarray(0, size / 2), size);
    await new Promise((done) => setTimeout(done, 5_000));
    upload.finish(bytes.subarray(size / 2));
    assert.equal(await upload.ended, 200);
    assert.equal(sha256((await getInSteps(s3, 'slow')).bytes), sha256(bytes));
  });

  it('shows nothing of an upload that its client abandons', async () => {
    const size = 16 * MIB;
    const upload = await putHalf(s3, 'abandoned', bytesOf('abandoned', size / 2), size);
    await until(() => storedTemporaries(store) > 0, 'the first half is on its way to the nodes');
    upload.destroy();
    await until(() => storedTemporaries(store) === 0, 'the nodes drop the half');
    await assert.rejects(s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'abandoned' })), {
      name: 'NotFound',
    });
  });
});

const clusterSecret = (store: Store): Buffer => readKey(join(store.dataDir, 'secrets'), 'cluster');

/** Files that a node has begun and not named yet, on all nodes. */
function storedTemporaries(store: Store): number {
  return MEMBERS.flatMap((member) => filesOf(join(store.dataDir, member))).filter((file) =>
    file.includes('/store/tmp/'),
  ).length;
}

async function writeOrphan(node: NodeClient, id: ReturnType<typeof newBlobId>): Promise<void> {
  const chunk = bytesOf('orphan', 100_000);
  const tree = new DigestTreeBuilder();
  const writer = await node.write(id, chunk.length, {
    writeId: newWriteId(),
    intentAt: Date.now(),
    bucket: BUCKET,
    key: 'orphan',
  });
  tree.push(digest(chunk));
  await writer.write(chunk, digest(chunk));
  await writer.finish(tree.root());
}
