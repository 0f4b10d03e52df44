/**
 * A whole store whose pairs of nodes grow and shrink under a steady load: an added pair, a rebalance, a drain whose gateway is
 * killed in the middle, a later start. Every read is right all the time, and in the end every node has what the catalog names.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { NodePairReport } from '../../src/admin/pairs-api.ts';
import { antipode } from '../fault/store/cluster-kit.ts';
import { BUCKET, bytesOf, clientOf, getInSteps, MIB, until } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';

const SETTINGS = {
  monitor: { probeMs: 200 },
  replication: { drainMs: 500, moveGraceMs: 1_000, repairMs: 500 },
  nodeDeadlines: { connectMs: 1_000, firstByteMs: 3_000, stallMs: 4_000 },
  blobGraceMs: 500,
  reclaimIntervalMs: 500,
};
const PART_BYTES = 5 * MIB;
const STANDING = 60;
/** Placement prefers the first pair for it also when there are two; more than sockets and read-ahead hold. */
const SLOW_KEY = 'old/big';
const SLOW_BYTES = 48 * MIB;

/** Puts, reads, overwrites and deletes under a few keys; knows what each of them must be. */
class Mixed {
  readonly failures: string[] = [];
  turns = 0;
  readonly #s3: S3Client;
  readonly #standing: ReadonlyMap<string, Buffer>;
  #isOver = false;
  readonly #running: Promise<void>;
  constructor(s3: S3Client, standing: ReadonlyMap<string, Buffer>) {
    this.#s3 = s3;
    this.#standing = standing;
    this.#running = this.#loop();
  }
  async #loop(): Promise<void> {
    const old = [...this.#standing].filter(([, bytes]) => bytes.length < MIB);
    for (; !this.#isOver; this.turns += 1) {
      const Key = `mixed/${this.turns % 32}`;
      const Body = bytesOf(`mixed ${this.turns}`, 3_000);
      const [key, bytes] = old[this.turns % old.length]!;
      await this.#must('PUT', Key, () => this.#s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body })));
      await this.#mustRead(Key, Body);
      await this.#mustRead(key, bytes);
      if (this.turns % 3 === 0) {
        await this.#must('DELETE', Key, () =>
          this.#s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key })),
        );
        await this.#must('GET', Key, () =>
          assert.rejects(this.#s3.send(new GetObjectCommand({ Bucket: BUCKET, Key })), NoSuchKey),
        );
      }
      await sleep(5);
    }
  }
  #mustRead = (Key: string, bytes: Buffer) =>
    this.#must('GET', Key, async () => {
      const got = await this.#s3.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
      assert(Buffer.from(await got.Body!.transformToByteArray()).equals(bytes), 'other bytes');
    });
  async #must(what: string, key: string, act: () => Promise<unknown>): Promise<void> {
    await act().catch((error: unknown) => this.failures.push(`${what} ${key}: ${error}`));
  }
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }
  async stop(): Promise<void> {
    await this.end();
    assert.deepEqual(this.failures, []);
  }
}

describe('pairs of nodes', { timeout: 240_000 }, () => {
  let store: Store;
  let s3: S3Client;
  const standing = new Map<string, Buffer>();
  const pairs = async () =>
    JSON.parse((await antipode(store, 'pair', 'list', '--json')).stdout) as readonly NodePairReport[];
  const pair = async (id: string) => (await pairs()).find((one) => one.id === id)!;
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await antipode(store, ...args);
    assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const verified = async () => {
    const report = await antipode(store, 'verify', '--json');
    const { exceptions } = JSON.parse(report.stdout.trim().split('\n').at(-1)!);
    assert.equal(exceptions, 0, report.stdout);
  };
  const put = async (Key: string, size: number) => {
    standing.set(Key, bytesOf(Key, size));
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: standing.get(Key)! }));
  };
  const allRead = async () => {
    for (const [key, bytes] of standing) assert((await getInSteps(s3, key)).bytes.equals(bytes), key);
  };
  before(async () => {
    store = await startStore({ nodesPerCenter: 1, settings: SETTINGS });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    for (let n = 0; n < STANDING; n += 1) await put(`old/${n}`, 4_000 + n);
    await put(SLOW_KEY, SLOW_BYTES);
  });
  after(async () => {
    s3?.destroy();
    await store?.kill();
  });

  it('are refused in one clear line where they would do harm', async () => {
    for (const [args, line] of [
      [['pair', 'drain', 'node/11'], /last pair that takes new objects/],
      [['pair', 'drain', 'node/77'], /no pair of nodes node\/77/],
      [['pair', 'add', '10.9.9.9'], /in no subnet of the centers/],
    ] as const) {
      const { code, stderr } = await antipode(store, ...args);
      assert.equal(code, 1, stderr);
      assert.match(stderr, line);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    assert.deepEqual(
      (await pairs()).map(({ id, weight }) => [id, weight]),
      [['node/11', 1]],
    );
  });

  it('join, are filled and drained under load, with an upload open and a read under way', async (t) => {
    const load = new Mixed(s3, standing);
    t.after(() => load.end());
    const target = { Bucket: BUCKET, Key: 'upload' };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
    const parts = [1, 2, 3].map((n) => bytesOf(`part ${n}`, n < 3 ? PART_BYTES : 9_000));
    const send = async (n: number) => {
      const part = { ...target, UploadId, PartNumber: n, Body: parts[n - 1]! };
      return { PartNumber: n, ETag: (await s3.send(new UploadPartCommand(part))).ETag };
    };
    const Parts = [await send(1)];
    assert.match(await done('pair', 'add'), /added node\/12: node-a12 and node-b12/);
    Parts.push(await send(2));
    assert.match(await done('rebalance'), /moved [1-9]/);
    assert((await pair('node/12')).blobs! > 0);

    // The reader is slower than the grace: what it still reads is dropped under it.
    const located = await done('locate', `s3://${BUCKET}/${SLOW_KEY}`, '--json');
    assert.match(located, /node-a11/, 'the rebalance left it where it was');
    const slow = getInSteps(s3, SLOW_KEY, {
      stopAfter: MIB,
      meanwhile: async () => {
        await done('pair', 'drain', 'node/11');
        await until(async () => (await pair('node/11')).state === 'drained', 'it is empty', 90_000);
      },
    });
    const { status, bytes, cut } = await slow;
    assert.deepEqual([status, cut], [200, false]);
    assert(bytes.equals(standing.get(SLOW_KEY)!), 'the slow reader got other bytes');
    Parts.push(await send(3));
    await s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
    standing.set('upload', Buffer.concat(parts));
    await load.stop();
    assert(load.turns > 10, `${load.turns}`);
    await allRead();
    assert.equal((await pair('node/11')).blobs, 0);
    await verified();
  });

  it('go on draining when the gateway is killed in the middle', async () => {
    await done('pair', 'weight', 'node/11', '1');
    await done('pair', 'drain', 'node/12');
    await sleep(700);
    store.signal('gateway-1', 'SIGKILL');
    await until(
      () =>
        fetch(`${store.endpoint}/-/ready`).then(
          (answer) => answer.ok,
          () => false,
        ),
      'the gateway is back',
    );
    await until(async () => (await pair('node/12')).state === 'drained', 'it is empty', 90_000);
    await allRead();
    await verified();
    await done('pair', 'drain', 'node/12', '--cancel');
    assert.equal((await pair('node/12')).state, 'takes new objects');
    assert.match(await done('rebalance'), /moved [1-9]/);
  });

  it('that were added are there after the next start', async () => {
    const { dataDir, subnets } = store;
    await store.stop({ keep: true });
    s3.destroy();
    store = await startStore({ from: { dataDir, subnets }, nodesPerCenter: 1, settings: SETTINGS });
    s3 = clientOf(store);
    assert.deepEqual(
      (await pairs()).map(({ id, state }) => [id, state]),
      [
        ['node/11', 'takes new objects'],
        ['node/12', 'takes new objects'],
      ],
    );
    assert((await pair('node/12')).blobs! > 0);
    await allRead();
    await verified();
  });

  it('whose node does not answer are refused, and nothing is recorded', async () => {
    const address = `127.1.${store.subnets.octet}.90`;
    const { code, stderr } = await antipode(store, 'pair', 'add', address);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /node-[ab]90 \(.*\) does not answer/);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.equal((await pairs()).length, 2);
  });
});
