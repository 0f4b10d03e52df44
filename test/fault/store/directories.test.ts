/**
 * A whole store whose directories grow: a pair is added under load and takes buckets; a bucket moves there and back while
 * clients write, read and list, and while the gateway that carries the move is killed. Nothing is lost, nothing old is read.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { BucketReport } from '../../../src/admin/api.ts';
import type { BucketMoveReport } from '../../../src/admin/bucket-moves-api.ts';
import { type Store, startStore } from '../../harness/store.ts';
import { antipode } from './cluster-kit.ts';
import { bytesOf, clientOf, until } from './store-kit.ts';

const INSIST_MS = 60_000;
/** While the only gateway is started again nobody listens, for longer than an SDK tries. */
async function insist<T>(act: () => Promise<T>): Promise<T> {
  const until = performance.now() + INSIST_MS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const isDown = /ECONNREFUSED|ECONNRESET|EPIPE|socket hang up|aborted/.test(String(error));
      if (!isDown || performance.now() > until) throw error;
    }
    await sleep(100);
  }
}

/** Puts, reads, deletes, lists and copies, one after the other; knows what each key must be. */
class Writer {
  readonly failures: string[] = [];
  turns = 0;
  #isOver = false;
  readonly #running: Promise<void>;
  readonly keys = new Map<string, Buffer>();
  readonly #s3: S3Client;
  readonly #bucket: string;
  readonly #name: string;
  constructor(s3: S3Client, bucket: string, name: string) {
    this.#s3 = s3;
    this.#bucket = bucket;
    this.#name = name;
    this.#running = this.#loop();
  }
  async #loop(): Promise<void> {
    const Bucket = this.#bucket;
    for (; !this.#isOver; this.turns++) {
      const Key = `${this.#name}/${this.turns % 24}`;
      const body = bytesOf(`${this.#name} ${this.turns}`, 2_000);
      try {
        await insist(() => this.#s3.send(new PutObjectCommand({ Bucket, Key, Body: body })));
        this.keys.set(Key, body);
        await this.read(Key);
        if (this.turns % 5 === 0) {
          const copy = `${Key}-copy`;
          const CopySource = `${Bucket}/${Key}`;
          await insist(() => this.#s3.send(new CopyObjectCommand({ Bucket, Key: copy, CopySource })));
          this.keys.set(copy, body);
        }
        if (this.turns % 7 === 3) {
          await insist(() => this.#s3.send(new DeleteObjectCommand({ Bucket, Key })));
          this.keys.delete(Key);
        }
        if (this.turns % 9 === 0) await this.list();
      } catch (error) {
        this.failures.push(`${Key}: ${error}`);
      }
    }
  }
  async read(Key: string): Promise<void> {
    const bytes = await insist(async () => {
      const got = await this.#s3.send(new GetObjectCommand({ Bucket: this.#bucket, Key }));
      return Buffer.from(await got.Body!.transformToByteArray());
    });
    assert.ok(bytes.equals(this.keys.get(Key)!), `${Key} is old`);
  }
  async list(): Promise<void> {
    const query = { Bucket: this.#bucket, Prefix: `${this.#name}/` };
    const page = await insist(() => this.#s3.send(new ListObjectsV2Command(query)));
    const seen = (page.Contents ?? []).map(({ Key }) => Key!);
    assert.deepEqual(seen, [...this.keys.keys()].sort());
  }
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    assert.deepEqual(this.failures, []);
    await this.list();
    for (const key of this.keys.keys()) await this.read(key);
  }
}

describe('a store whose directories grow', () => {
  let store: Store;
  let s3: S3Client;
  before(async () => {
    store = await startStore({ settings: { blobGraceMs: 500, reclaimIntervalMs: 500 } });
    s3 = clientOf(store, 8);
  });
  after(() => store?.stop());
  const json = async <T>(...args: string[]): Promise<T> => {
    const { code, stdout, stderr } = await antipode(store, ...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
  };
  const buckets = () => json<BucketReport[]>('bucket', 'list');

  it('adds a pair, gives it buckets, and moves one there and back under load', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: 'moving' }));
    const writers = [1, 2].map((n) => new Writer(s3, 'moving', `w${n}`));
    await until(() => writers.every(({ turns }) => turns > 5), 'the writers write');
    const added = await json<{ id: string }>('pair', 'add', '--directories');
    assert.equal(added.id, 'directory/6');
    for (let i = 0; i < 12; i++) await s3.send(new CreateBucketCommand({ Bucket: `spread-${i}` }));
    const spread = new Set((await buckets()).map(({ directory }) => directory));
    assert.deepEqual([...spread].sort(), ['directory/5', 'directory/6']);

    for (const to of ['6', 'directory/5']) {
      const moved = await json<BucketMoveReport>('bucket', 'move', 'moving', '--to', to);
      assert.equal(moved.phase, 'done');
      const [moving] = (await buckets()).filter(({ name }) => name === 'moving');
      assert.equal(moving?.directory, moved.target);
    }
    // Begun, and left to whoever runs: the gateway is killed under it.
    await json('bucket', 'move', 'moving', '--to', '6', '--no-wait');
    store.signal('gateway-1', 'SIGKILL');
    await until(
      async () => {
        const { code, stdout } = await antipode(store, 'bucket', 'moves', 'moving', '--json');
        return code === 0 && (JSON.parse(stdout) as BucketMoveReport[])[0]?.phase === 'done';
      },
      'the move ends, whoever carries it',
      60_000,
    );
    for (const writer of writers) await writer.end();
    const names = (await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name);
    assert.equal(names?.length, 13);
    await until(async () => {
      const { code, stdout } = await antipode(store, 'verify', '--json');
      const { exceptions, unknown } = JSON.parse(stdout.trim().split('\n').at(-1)!);
      return code === 0 && exceptions === 0 && unknown === 0;
    }, 'verify finds nothing');
  });
});
