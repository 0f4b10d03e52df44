/**
 * Clients that work as programs over an SDK do, with its retries: PUT, GET of what was put, LIST, and a conditional PUT that
 * counts. What was acknowledged must be read and listed from then on; errors that came through the retries are kept.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { Store } from '../../harness/store.ts';

const BUCKET = 'promotion';
/** As many keys as one page lists. */
const LISTED_MAX = 900;

export class SdkClients {
  /** Requests that failed although they were repeated. */
  readonly errors: { readonly what: string; readonly error: Error }[] = [];
  /** What was read and was not what it must be. */
  readonly wrong: string[] = [];
  acknowledged = 0;
  #s3: S3Client;
  readonly #known = new Map<string, string>();
  /** What counters are if the last PUT, which nobody acknowledged, took effect. */
  readonly #mayBe = new Map<string, string>();
  readonly #run = String(Date.now());
  #stop = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(store: Store) {
    this.#s3 = clientOf(store);
  }

  /** The same store, started again, at another port. */
  moveTo(store: Store): void {
    this.#s3.destroy();
    this.#s3 = clientOf(store);
  }

  async start(count: number): Promise<void> {
    this.#stop = false;
    if (this.#known.size === 0) await this.#s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    this.#running = Promise.all(Array.from({ length: count }, (_, index) => this.#work(`w${index}`)));
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#running;
  }

  /** Until so many PUTs more have been acknowledged. */
  async more(count: number, ms = 60_000): Promise<void> {
    const until = performance.now() + ms;
    for (const wanted = this.acknowledged + count; this.acknowledged < wanted; await sleep(10))
      assert.ok(
        performance.now() < until,
        `${this.acknowledged} of ${wanted} PUTs within ${ms} ms: ${this.said()}`,
      );
  }

  /** Of the objects that were acknowledged. */
  keys(): string[] {
    return [...this.#known.keys()];
  }

  said(): string {
    return this.errors.map(({ what, error }) => `${what}: ${error.name} ${error.message}`).join('\n');
  }

  /** Every acknowledged object has its bytes. */
  async checkAll(): Promise<void> {
    for (const [key, body] of this.#known) {
      const got = await this.#get(key);
      if (got !== this.#mayBe.get(key)) assert.equal(got, body, key);
    }
    assert.deepEqual(this.wrong, []);
  }

  async #work(name: string): Promise<void> {
    const own: string[] = [];
    for (let n = this.#known.size; !this.#stop; n++) {
      const key = `${this.#run}/${name}/${String(n).padStart(6, '0')}`;
      const done = await this.#try('PUT', () => this.#put(key, `${name} ${n}`));
      if (!done) continue;
      this.acknowledged++;
      this.#known.set(key, `${name} ${n}`);
      if (own.length < LISTED_MAX) own.push(key);
      await this.#try('GET', async () => {
        const got = await this.#get(key);
        if (got !== `${name} ${n}`) this.wrong.push(`GET ${key} gave ${got}`);
      });
      await this.#try('LIST', () => this.#list(name, own));
      await this.#try('conditional PUT', () => this.#count(name));
    }
  }

  async #try(what: string, act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.errors.push({ what, error: error as Error });
      return false;
    }
  }

  #put(key: string, body: string, IfMatch?: string) {
    return this.#s3.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body, ...(IfMatch ? { IfMatch } : {}) }),
    );
  }

  async #get(key: string): Promise<string> {
    const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    return Body!.transformToString();
  }

  /** No list goes back in time. */
  async #list(name: string, own: readonly string[]): Promise<void> {
    const listed = await this.#s3.send(
      new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${this.#run}/${name}/` }),
    );
    const keys = new Set(listed.Contents?.map(({ Key }) => Key));
    for (const key of own) if (!keys.has(key)) this.wrong.push(`LIST without ${key}`);
  }

  /** A counter that only its worker raises: nobody else can have changed it. */
  async #count(name: string): Promise<void> {
    const key = `${this.#run}/count-${name}`;
    const before = this.#known.get(key);
    if (before === undefined) {
      await this.#put(key, '0');
      this.#known.set(key, '0');
      return;
    }
    const { Body, ETag } = await this.#s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    const seen = await Body!.transformToString();
    if (Number(seen) < Number(before)) this.wrong.push(`${key} went back from ${before} to ${seen}`);
    const next = String(Number(seen) + 1);
    this.#mayBe.set(key, next);
    try {
      await this.#put(key, next, ETag);
    } catch (error) {
      // A try whose answer was lost took effect: the SDK's next one meets its own work.
      if ((error as Error).name !== 'PreconditionFailed' || (await this.#get(key)) !== next) throw error;
    }
    this.#known.set(key, next);
    this.#mayBe.delete(key);
  }
}

/** The SDK's own number of tries, 3. */
const clientOf = (store: Store): S3Client =>
  new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    credentials: { ...store.credentials },
    forcePathStyle: true,
  });
