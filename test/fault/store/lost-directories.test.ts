/** Both directories are lost with their folders: the nodes keep every byte, and say so. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before as before_, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  ListBucketsCommand,
  ListObjectVersionsCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { RebuildLine, RebuildSummary } from '../../../src/admin/rebuild/report.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { type MemberId, newBlobId, newWriteId } from '../../../src/base/ids.ts';
import { readKey } from '../../../src/launcher/secrets.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import { DigestTreeBuilder, digest } from '../../../src/nodes/digest-tree.ts';
import type { NodeStatus } from '../../../src/nodes/protocol.ts';
import { startNode } from '../../../src/nodes/server.ts';
import { runCommand, type Store, startStore } from '../../harness/store.ts';
import { antipode } from './cluster-kit.ts';
import { BUCKET, bytesOf, clientOf, MIB, sha256 } from './store-kit.ts';

/** Rubbish goes at once. */
const HASTY = {
  reapIntervalMs: 100,
  reclaimIntervalMs: 100,
  intentMs: 1_000,
  pendingGraceMs: 1,
  blobGraceMs: 1,
};
const NODES = ['node-a11', 'node-b11'] as const;

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

/** Everything that a client can see of the bucket: versions, and for each what HEAD, GET, tags and locks say. */
async function seen(): Promise<unknown> {
  const { Versions = [], DeleteMarkers = [] } = await s3.send(
    new ListObjectVersionsCommand({ Bucket: BUCKET }),
  );
  const facts = [];
  for (const { Key, VersionId } of Versions) {
    const version = { Bucket: BUCKET, Key: Key!, VersionId: VersionId! };
    const { $metadata: _, Body, ...got } = await s3.send(new GetObjectCommand(version));
    const { TagSet } = await s3.send(new GetObjectTaggingCommand(version));
    const { ObjectParts } = await s3.send(
      new GetObjectAttributesCommand({ ...version, ObjectAttributes: ['ObjectParts', 'Checksum'] }),
    );
    facts.push({
      version,
      got,
      TagSet,
      ObjectParts,
      bytes: sha256(Buffer.from(await Body!.transformToByteArray())),
    });
  }
  const { Status } = await s3.send(new GetBucketVersioningCommand({ Bucket: BUCKET }));
  const { TagSet } = await s3.send(new GetBucketTaggingCommand({ Bucket: BUCKET }));
  const { Buckets } = await s3.send(new ListBucketsCommand({}));
  return { Versions, DeleteMarkers, facts, Status, TagSet, Buckets };
}

/** Accounts and quotas, as the operator is shown them. */
async function settings(): Promise<unknown> {
  const users = await antipode(store, 'user', 'list', '--json');
  const quotas = await Promise.all([
    antipode(store, 'bucket', 'quota', 'second', '--json'),
    antipode(store, 'user', 'quota', 'alice', '--json'),
  ]);
  assert.deepEqual([users.code, ...quotas.map(({ code }) => code)], [0, 0, 0], users.stderr);
  return [users.stdout, ...quotas.map(({ stdout }) => stdout)].map((text) => JSON.parse(text) as unknown);
}

async function fill(): Promise<void> {
  assert.equal((await antipode(store, 'user', 'create', 'alice', '--email', 'a@example.org')).code, 0);
  assert.equal((await antipode(store, 'user', 'quota', 'alice', '--objects', '7')).code, 0);
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET, ObjectLockEnabledForBucket: true }));
  await s3.send(new CreateBucketCommand({ Bucket: 'second' }));
  await s3.send(
    new PutBucketTaggingCommand({ Bucket: BUCKET, Tagging: { TagSet: [{ Key: 'a', Value: 'b' }] } }),
  );
  const put = (Key: string, seed: string, size: number, more: Partial<PutObjectCommandInput> = {}) =>
    s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: bytesOf(seed, size), ...more }));
  await put('small', 'first', 5_000, {
    Metadata: { who: 'one "quoted" \\u0041' },
    ContentType: 'text/x',
    Tagging: 'x=1',
  });
  await put('small', 'second', 6_000, { ObjectLockLegalHoldStatus: 'ON' });
  await put('large', 'large', 700_000, {
    ObjectLockMode: 'GOVERNANCE',
    ObjectLockRetainUntilDate: new Date(Date.now() + 86_400_000),
  });
  await put('empty', 'empty', 0);
  await put('путь/ключ \u{1F600}', 'odd', 10);
  const { VersionId } = await put('removed', 'removed', 100);
  await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'removed', VersionId: VersionId! }));
  await put('hidden', 'hidden', 100);
  await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'hidden' }));
  const upload = { Bucket: BUCKET, Key: 'multipart' };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(upload));
  const Parts = [];
  for (const [i, size] of [5 * MIB, 300_000].entries()) {
    const part = { ...upload, UploadId: UploadId!, PartNumber: i + 1, Body: bytesOf(`part ${i}`, size) };
    Parts.push({ PartNumber: i + 1, ETag: (await s3.send(new UploadPartCommand(part))).ETag! });
  }
  await s3.send(
    new CompleteMultipartUploadCommand({ ...upload, UploadId: UploadId!, MultipartUpload: { Parts } }),
  );
  await s3.send(new CopyObjectCommand({ Bucket: BUCKET, Key: 'copy', CopySource: `${BUCKET}/multipart` }));
  await s3.send(new PutObjectCommand({ Bucket: 'second', Key: 'over', Body: 'before' }));
  await s3.send(new PutObjectCommand({ Bucket: 'second', Key: 'over', Body: 'after' }));
  await s3.send(new PutObjectCommand({ Bucket: 'second', Key: 'gone', Body: 'gone' }));
  await s3.send(new DeleteObjectCommand({ Bucket: 'second', Key: 'gone' }));
  assert.equal((await antipode(store, 'bucket', 'quota', 'second', '--bytes', '1MB')).code, 0);
  // The last of the settings: nodes that have been told of it have been told of all.
  assert.equal((await antipode(store, 'user', 'create', 'bob')).code, 0);
}

interface Rebuilt {
  readonly summary: RebuildSummary;
  readonly lines: readonly RebuildLine[];
  readonly code: number | null;
}
async function rebuild(...flags: string[]): Promise<Rebuilt> {
  const run = runCommand([
    'rebuild-catalog',
    '--json',
    ...flags,
    '--admin',
    store.adminEndpoint,
    '--data',
    store.dataDir,
  ]);
  const code = await run.exited;
  const lines = run
    .stdout()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as RebuildLine);
  const summary = lines.at(-1);
  assert.equal(summary?.type, 'summary', run.stderr());
  return { summary, lines, code };
}

/** The nodes have been told everything. */
async function untilTold(): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const { summary, lines } = await rebuild('--diff');
    if (summary.differences === 0 && summary.versions >= VERSIONS && summary.accounts === ACCOUNTS) return;
    assert.ok(tries < 60, JSON.stringify(lines));
    assert.equal(summary.unexplained, 0, JSON.stringify(lines));
    await sleep(200);
  }
}
/** In both buckets, delete markers too. */
const VERSIONS = 10;
/** And the root account. */
const ACCOUNTS = 3;

describe('a store whose directories are both lost', () => {
  const held = new Map<string, number>();
  let before: unknown;

  before_(async () => {
    await begin();
    await fill();
    await untilTold();
    before = [await seen(), await settings()];
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
    assert.equal(held.get('node-a11'), held.get('node-b11')! + 1);
  });

  it('removes nothing, however long it runs', async () => {
    const asked = (await statusOf('node-a11')).controlRequests;
    // The reaper has asked for more than the probes have.
    for (let tries = 0; (await statusOf('node-a11')).controlRequests < asked + 30; tries += 1) {
      assert.ok(tries < 600);
      await sleep(50);
    }
    for (const member of NODES) assert.equal((await statusOf(member)).blobs, held.get(member), member);
  });

  it('has every version again after a rebuild from the nodes, byte for byte', async () => {
    const { summary, lines, code } = await rebuild();
    assert.equal(code, 0, JSON.stringify(lines));
    assert.deepEqual([summary.buckets, summary.versions, summary.disagreements], [2, VERSIONS, 0]);
    const unnamed = lines.filter((line) => line.type === 'unconfirmed');
    assert.deepEqual(
      unnamed.map(({ bucket, key, members }) => [bucket, key, members]),
      [[BUCKET, 'broken off', ['node-a11']]],
    );
    for (let tries = 0; ; tries += 1) {
      try {
        await s3.send(new ListBucketsCommand({}));
        assert.deepEqual([await seen(), await settings()], before);
        break;
      } catch (error) {
        // The nodes are admitted by the next probe.
        if (tries === 100 || error instanceof assert.AssertionError) throw error;
        await sleep(100);
      }
    }
  });

  it('goes on like any other store', async () => {
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'new', Body: 'new' }));
    await s3.send(new CreateBucketCommand({ Bucket: 'third' }));
    await assert.rejects(rebuild(), /not empty/);
    await untilTold();
    const { code, summary } = await rebuild('--diff');
    assert.deepEqual([code, summary.differences, summary.buckets], [0, 0, 3]);
  });
});
