/** Both directories are lost with their folders: the nodes keep every byte, and say so. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateBucketCommand,
  ListBucketsCommand,
  PutObjectCommand,
  type S3Client,
  type S3ServiceException,
} from '@aws-sdk/client-s3';
import { systemClock } from '../../../src/base/clock.ts';
import { type MemberId, newBlobId, newWriteId } from '../../../src/base/ids.ts';
import { readKey } from '../../../src/launcher/secrets.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import { DigestTreeBuilder, digest } from '../../../src/nodes/digest-tree.ts';
import type { NodeStatus } from '../../../src/nodes/protocol.ts';
import { startNode } from '../../../src/nodes/server.ts';
import { type Store, startStore } from '../../harness/store.ts';
import { BUCKET, bytesOf, clientOf } from './store-kit.ts';

/** Rubbish goes at once. */
const HASTY = {
  reapIntervalMs: 100,
  reclaimIntervalMs: 100,
  intentMs: 1_000,
  pendingGraceMs: 1,
  blobGraceMs: 1,
};
const NODES = ['node-a11', 'node-b11'] as const;
const KEYS = ['small', 'large'] as const;

let store: Store;
let s3: S3Client;
const begin = async (from?: Store): Promise<void> => {
  store = await startStore({ nodesPerCenter: 1, settings: HASTY, ...(from ? { from } : {}) });
  s3 = clientOf(store);
};

/** A control request, which a node answers in every state. */
async function statusOf(member: (typeof NODES)[number]): Promise<NodeStatus> {
  const center = member === 'node-a11' ? 1 : 2;
  const client = createNodeClient({
    member: member as MemberId,
    address: `127.${center}.${store.subnets.octet}.11`,
    port: 7100,
    secret: clusterSecret(),
    deadlines: { connectMs: 5_000, firstByteMs: 20_000, stallMs: 20_000 },
    clock: systemClock,
  });
  try {
    return await client.status();
  } finally {
    await client.close();
  }
}
const clusterSecret = (): Buffer => readKey(join(store.dataDir, 'secrets'), 'cluster');

/** A killed process may hold its folder for a moment. */
async function opened<T>(open: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await open();
    } catch (error) {
      if (tries === 200) throw error;
    }
    await sleep(50);
  }
}

/** What a write that broke off long ago has left: to an empty catalog all blobs look like this one. */
async function leavePending(): Promise<void> {
  const node = await opened(() =>
    startNode({
      member: 'node-a11' as MemberId,
      host: '127.0.0.1',
      port: 0,
      dataDir: join(store.dataDir, 'node-a11', 'store'),
      secret: clusterSecret(),
      log: { info() {}, warn() {}, error() {} },
      clock: systemClock,
      reserveBytes: 0,
      admitAtStart: true,
      scrubBytesPerSecondMax: 0,
    }),
  );
  const client = createNodeClient({
    ...{ member: 'node-a11' as MemberId, address: '127.0.0.1', port: node.port, secret: clusterSecret() },
    ...{ deadlines: { connectMs: 5_000, firstByteMs: 20_000, stallMs: 20_000 }, clock: systemClock },
  });
  const bytes = bytesOf('pending', 1_000);
  const tree = new DigestTreeBuilder();
  tree.push(digest(bytes));
  const intent = { writeId: newWriteId(), intentAt: 1, bucket: BUCKET, key: 'broken off' };
  const { epoch } = await client.status();
  const writer = await client.write(newBlobId(), bytes.length, intent, { epoch });
  await writer.write(bytes, digest(bytes));
  await writer.finish(tree.root());

  await client.close();
  await node.close();
}

describe('a store whose directories are both lost', () => {
  const held = new Map<string, number>();

  before(async () => {
    await begin();
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    for (const key of KEYS)
      await s3.send(
        new PutObjectCommand({
          Bucket: BUCKET,
          Key: key,
          Body: bytesOf(key, key === 'small' ? 5_000 : 700_000),
        }),
      );
    await store.kill({ keep: true });
    await leavePending();
  });
  after(async () => {
    s3.destroy();
    await store.kill();
  });

  it('starts with an empty catalog, says what to do, and answers 503', async () => {
    for (const id of ['directory-a5', 'directory-b5']) rmSync(join(store.dataDir, id), { recursive: true });
    s3.destroy();
    await begin(store);
    for (let tries = 0; !store.stderr().includes('antipode rebuild-catalog'); tries += 1) {
      assert.ok(tries < 600, store.stderr());
      await sleep(50);
    }
    await assert.rejects(
      s3.send(new ListBucketsCommand({})),
      ({ $metadata }: S3ServiceException) => $metadata.httpStatusCode === 503,
    );
    await assert.rejects(s3.send(new CreateBucketCommand({ Bucket: 'another' })));
    for (const member of NODES) held.set(member, (await statusOf(member)).blobs);
    assert.deepEqual([...held.values()], [3, 2]);
  });

  it('removes nothing, however long it runs', async () => {
    const before = (await statusOf('node-a11')).controlRequests;
    // The reaper has asked for more than the probes have.
    for (let tries = 0; (await statusOf('node-a11')).controlRequests < before + 30; tries += 1) {
      assert.ok(tries < 600);
      await sleep(50);
    }
    for (const member of NODES) assert.equal((await statusOf(member)).blobs, held.get(member), member);
  });
});
