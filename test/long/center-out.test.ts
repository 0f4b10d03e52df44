/**
 * A whole store while nodes or a whole center are out, declared or not: everything goes on through S3, every new object
 * is on two nodes of the other center, the ones that are out get no data request, and all of it comes home afterwards.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import {
  BUCKET,
  bytesOf,
  clientOf,
  getInSteps,
  MIB,
  putHalf,
  sha256,
  until,
} from '../fault/store/store-kit.ts';
import { runCommand, type Store, startStore } from '../harness/store.ts';

const CENTER_A = ['node-a11', 'node-a12'] as const;
const BOTH = 'both-centers';
const ONE = 'one-first';
/** Wider than the product's, so that a crowded machine does not look like a failed node. */
const DEADLINES = { connectMs: 1_000, firstByteMs: 3_000, stallMs: 4_000 };
const PART_BYTES = 5 * MIB;

interface Located {
  readonly blobs: readonly {
    readonly map: { readonly home: string; readonly twin: string };
    readonly replicas: readonly { readonly member: string; readonly state: string }[];
  }[];
}
interface Status {
  readonly members: readonly {
    readonly id: string;
    readonly condition: string;
    readonly requests: number | null;
  }[];
  readonly repairs: { readonly queued: number };
}

describe('a center that is out', () => {
  let store: Store;
  let s3: S3Client;
  before(async () => {
    store = await startStore({ nodesPerCenter: 2, settings: { nodeDeadlines: DEADLINES } });
    s3 = clientOf(store);
    for (const Bucket of [BUCKET, BOTH, ONE]) await s3.send(new CreateBucketCommand({ Bucket }));
    await run('bucket', 'set', BOTH, '--durability', 'both-centers');
    await run('bucket', 'set', ONE, '--durability', 'one');
    for (const key of ['old', 'old-deleted', 'old-overwritten']) await put(key, bytesOf(key, 2 * MIB));
  });
  after(async () => {
    s3.destroy();
    await store.kill();
  });

  async function run(...args: string[]): Promise<string> {
    const { origin } = new URL(store.adminEndpoint);
    const command = runCommand([...args, '--data', store.dataDir, '--admin', origin]);
    const code = await command.exited;
    if (code === 0 || (args[0] === 'status' && code === 1)) return command.stdout();
    throw new Error(`antipode ${args.join(' ')}: ${code}\n${command.stderr()}`);
  }
  const status = async () => JSON.parse(await run('status', '--json')) as Status;
  const locate = async (key: string, bucket = BUCKET) =>
    JSON.parse(await run('locate', `s3://${bucket}/${key}`, '--json')) as Located;
  const put = (Key: string, Body: Buffer | string, Bucket = BUCKET) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  const assertWhole = async (key: string, bytes: Buffer) => {
    const got = await getInSteps(s3, key);
    assert.deepEqual([got.status, got.cut, sha256(got.bytes)], [200, false, sha256(bytes)], key);
  };
  const conditionOf = async (member: string) =>
    (await status()).members.find(({ id }) => id === member)!.condition;
  const allServe = () =>
    until(
      async () => (await Promise.all(CENTER_A.map(conditionOf))).every((state) => state === 'serving'),
      'the center serves again',
      300_000,
    );

  /** Each blob on two nodes, of center b unless told. */
  async function assertTwice(key: string, where = 'node-b'): Promise<void> {
    const { blobs } = await locate(key);
    assert(blobs.length > 0);
    for (const { replicas } of blobs) {
      const present = replicas.filter(({ state }) => state === 'present').map(({ member }) => member);
      const counted = present.filter((member) => member.startsWith(where));
      assert(counted.length >= 2, `${key} is on ${present.join(' ')}`);
    }
  }

  async function putMultipart(Key: string, parts: readonly Buffer[]): Promise<void> {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
    const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (const [index, Body] of parts.entries()) {
      const part = { Bucket: BUCKET, Key, UploadId, PartNumber: index + 1 };
      const { ETag } = await s3.send(new UploadPartCommand({ ...part, Body }));
      Parts.push({ PartNumber: index + 1, ETag });
    }
    const done = { Bucket: BUCKET, Key, UploadId, MultipartUpload: { Parts } };
    await s3.send(new CompleteMultipartUploadCommand(done));
  }

  /** Every kind of request, each at once successful; `prefix` names the objects it leaves. */
  async function everything(prefix: string): Promise<void> {
    const bodies = { tiny: 10, small: 700_000, large: 12 * MIB };
    for (const [name, size] of Object.entries(bodies)) {
      const key = `${prefix}/${name}`;
      await put(key, bytesOf(key, size));
      await assertWhole(key, bytesOf(key, size));
      await assertTwice(key);
    }
    const parts = [0, 1, 2].map((index) => bytesOf(`${prefix}/part${index}`, PART_BYTES));
    await putMultipart(`${prefix}/parts`, parts);
    await assertWhole(`${prefix}/parts`, Buffer.concat(parts));
    await assertTwice(`${prefix}/parts`);
    await s3.send(
      new CopyObjectCommand({
        Bucket: BUCKET,
        Key: `${prefix}/copy`,
        CopySource: `${BUCKET}/${prefix}/large`,
      }),
    );
    await assertWhole(`${prefix}/copy`, bytesOf(`${prefix}/large`, bodies.large));
    await assertWhole('old', bytesOf('old', 2 * MIB));
    await put(`${prefix}/gone`, 'gone');
    await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: `${prefix}/gone` }));
    assert.equal((await getInSteps(s3, `${prefix}/gone`)).status, 404);
    const { Contents = [] } = await s3.send(
      new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${prefix}/` }),
    );
    assert.deepEqual(
      Contents.map(({ Key }) => Key!.slice(prefix.length + 1)),
      ['copy', 'large', 'parts', 'small', 'tiny'],
    );
  }

  async function assertHome(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      await until(
        async () => {
          const { blobs } = await locate(key);
          return blobs.every(({ map, replicas }) =>
            [map.home, map.twin].every((member) =>
              replicas.some((replica) => replica.member === member && replica.state === 'present'),
            ),
          );
        },
        `${key} is home`,
        180_000,
      );
    }
  }

  it('by an operator’s word: all goes on, and its nodes get no data request', async () => {
    await run('failover', 'enter', 'center', 'a', '--reason', 'a test');
    const requests = async () =>
      (await status()).members.filter(({ id }) => id.startsWith('node-a')).map((node) => node.requests);
    const before = await requests();
    assert(before.every((count) => count !== null));
    await everything('declared');
    await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'old-deleted' }));
    await put('old-overwritten', 'new');
    const refused = await put('kept', 'x', BOTH).catch((error: unknown) => error);
    assert(refused instanceof S3ServiceException);
    assert.equal(refused.$metadata.httpStatusCode, 503);
    await put('kept', 'x', ONE);
    assert.deepEqual(await requests(), before);
    assert((await status()).repairs.queued > 0);

    await run('failover', 'leave', 'center', 'a');
    await allServe();
    await assertHome(['declared/tiny', 'declared/large', 'declared/parts', 'old-overwritten']);
    await until(async () => (await status()).repairs.queued === 0, 'nothing waits', 180_000);
    await put('kept', 'x', BOTH);
    assert.equal((await getInSteps(s3, 'old-deleted')).status, 404);
    assert.equal((await getInSteps(s3, 'old-overwritten')).bytes.toString(), 'new');
  });

  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
    it(`by ${signal}, in the middle of uploads, before anything is declared`, async () => {
      const size = 24 * MIB;
      const keys = [0, 1, 2, 3].map((index) => `${signal}-under-way-${index}`);
      const uploads = await Promise.all(
        keys.map((key) => putHalf(s3, key, bytesOf(key, size).subarray(0, size / 2), size)),
      );
      await new Promise((done) => setTimeout(done, 500));
      for (const node of CENTER_A) store.signal(node, signal);
      for (const [index, upload] of uploads.entries())
        upload.finish(bytesOf(keys[index]!, size).subarray(size / 2));
      assert.deepEqual(await Promise.all(uploads.map(({ ended }) => ended)), [200, 200, 200, 200]);
      for (const key of keys) {
        // Killed ones are started again by the supervisor, and may have theirs by now.
        await assertTwice(key, signal === 'SIGKILL' ? 'node-' : 'node-b');
        await assertWhole(key, bytesOf(key, size));
      }
      if (signal === 'SIGSTOP') {
        await everything(signal);
        await until(
          async () =>
            (await Promise.all(CENTER_A.map(conditionOf))).every((state) => state === 'failed-over'),
          'it is declared',
          60_000,
        );
        await everything(`${signal}-declared`);
        for (const node of CENTER_A) store.signal(node, 'SIGCONT');
      }
      await allServe();
      await assertHome(keys);
      for (const key of keys) await assertWhole(key, bytesOf(key, size));
    });
  }

  it('has kept every object and lost none', async () => {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    for (const { Key, Size } of Contents) {
      const head = await s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key: Key! }));
      assert.equal(head.ContentLength, Size);
      assert.equal((await getInSteps(s3, Key!)).bytes.length, Size);
    }
    await until(async () => (await status()).repairs.queued === 0, 'nothing waits', 180_000);
    const { exceptions } = JSON.parse((await run('verify', '--json')).trim().split('\n').at(-1)!);
    assert.equal(exceptions, 0);
  });
});
