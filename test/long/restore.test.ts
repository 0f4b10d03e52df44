/** The catalog goes back to an earlier point; the nodes do not. Every object of that time reads back. */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { VerifySummary } from '../../src/admin/api.ts';
import type { RebuildSummary } from '../../src/admin/rebuild/report.ts';
import { antipode, nodeClientOf } from '../fault/store/cluster-kit.ts';
import { BUCKET, bytesOf, clientOf, sha256 } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';

/** Bytes without a name would go at once, were it not for keepDeletedMs. */
const SETTINGS = {
  ...{ reapIntervalMs: 100, reclaimIntervalMs: 100, blobGraceMs: 1, keepDeletedMs: 3_600_000 },
  monitor: { backAfterMs: 200 },
  replication: { resyncMs: 200 },
};
const OLD = ['small', 'large', 'overwritten'] as const;
const sizeOf = (key: string): number => (key === 'large' ? 700_000 : 4_000);

let store: Store;
let s3: S3Client;
async function begin(from?: Store): Promise<void> {
  s3?.destroy();
  store = await startStore({ nodesPerCenter: 1, settings: SETTINGS, ...(from ? { from } : {}) });
  s3 = clientOf(store, 5);
}
const put = (Key: string, seed = Key) =>
  s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: bytesOf(seed, sizeOf(Key)) }));
const lastLine = (stdout: string): unknown => JSON.parse(stdout.trim().split('\n').at(-1)!);

/** Waits for a command's answer to be as it should be; says the last one where it is not. */
async function until(what: string, looks: () => Promise<string | null>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const wrong = await looks();
    if (wrong === null) return;
    assert.ok(tries < 40, `${what}: ${wrong}`);
    await sleep(500);
  }
}
const isServing = async (member: string): Promise<boolean> => {
  const client = nodeClientOf(store, member);
  try {
    return (await client.status()).state === 'serving';
  } finally {
    await client.close();
  }
};
const epochOf = async (member: string): Promise<number> => {
  const client = nodeClientOf(store, member);
  try {
    return (await client.status()).epoch;
  } finally {
    await client.close();
  }
};

async function isTold(versions: number): Promise<string | null> {
  const { stdout } = await antipode(store, 'rebuild-catalog', '--diff', '--json');
  const last = lastLine(stdout) as RebuildSummary;
  return last.differences === 0 && last.versions === versions ? null : stdout;
}

describe('a catalog that is restored to an earlier point', () => {
  const folder = (id: string) => join(store.dataDir, id, 'pg');
  const copy = () => join(store.dataDir, '..', 'earlier');
  let epoch = 0;

  after(async () => {
    s3.destroy();
    if (process.env.KEEP) {
      await store.kill({ keep: true });
      console.log(store.dataDir);
      return;
    }
    await store.kill();
  });

  it('is copied; then objects are purged, overwritten and added, and a node leaves and returns', async () => {
    await begin();
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    for (const key of OLD) await put(key);
    assert.equal(await store.stop({ keep: true }), 0);
    cpSync(folder('directory-a5'), copy(), { recursive: true, preserveTimestamps: true });
    await begin(store);
    for (const Key of ['small', 'large']) await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key }));
    await put('overwritten', 'later');
    await put('added');
    assert.equal((await antipode(store, 'failover', 'enter', 'node-b11')).code, 0);
    assert.equal((await antipode(store, 'failover', 'leave', 'node-b11')).code, 0);
    await until('node-b11 serves again', async () => ((await isServing('node-b11')) ? null : 'it does not'));
    epoch = await epochOf('node-b11');
    assert.ok(epoch > 1);
    await until('the nodes have been told', () => isTold(2));
    assert.equal(await store.stop({ keep: true }), 0);
  });

  it('gives back every object of that time, and none of later', async () => {
    rmSync(folder('directory-a5'), { recursive: true });
    cpSync(copy(), folder('directory-a5'), { recursive: true, preserveTimestamps: true });
    rmSync(join(store.dataDir, 'directory-b5'), { recursive: true });
    await begin(store);
    await until('the nodes serve', async () => {
      const serve = (await isServing('node-a11')) && (await isServing('node-b11'));
      return serve ? null : 'one does not';
    });
    const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    assert.deepEqual(
      Contents?.map(({ Key }) => Key),
      [...OLD].sort(),
    );
    for (const Key of OLD) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
      assert.equal(
        sha256(Buffer.from(await Body!.transformToByteArray())),
        sha256(bytesOf(Key, sizeOf(Key))),
        Key,
      );
    }
  });

  it('goes on above the epochs and the names that the nodes know', async () => {
    assert.ok((await epochOf('node-b11')) > epoch);
    await put('new');
    await until('what has no name any more waits for the reaper, and all else is in its place', async () => {
      const { stdout } = await antipode(store, 'verify', '--json');
      return (lastLine(stdout) as VerifySummary).exceptions === 0 ? null : stdout;
    });
    await until('the nodes know the names of now', () => isTold(OLD.length + 1));
  });
});
