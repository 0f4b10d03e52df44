/**
 * Reads of a whole store while nodes are killed, stopped or have lost their bytes: right bytes, 503, or a cut
 * connection; never a short body that looks whole.
 */
import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { type Store, startStore } from '../../harness/store.ts';
import { BUCKET, bytesOf, clientOf, filesOf, getInSteps, MIB, sha256, until } from './store-kit.ts';

const NODES = ['node-a11', 'node-b11'] as const;
const LARGE = bytesOf('large', 48 * MIB);
const SMALL = bytesOf('small', 3_000);

describe('reads while nodes fail', () => {
  let store: Store;
  let s3: S3Client;
  before(async () => {
    store = await startStore({ nodesPerCenter: 1 });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'large', Body: LARGE }));
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'small', Body: SMALL }));
  });
  after(async () => {
    s3.destroy();
    await store.kill();
  });

  const whole = async (key: string, bytes: Buffer) => {
    const got = await getInSteps(s3, key);
    assert.equal(got.status, 200);
    assert.equal(got.cut, false);
    assert.equal(sha256(got.bytes), sha256(bytes));
  };
  const bothServe = () =>
    until(async () => {
      const pids = store.pids();
      if (!NODES.every((node) => pids[node] !== undefined)) return false;
      try {
        await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'probe', Body: 'probe' }));
        return true;
      } catch {
        return false;
      }
    }, 'both nodes serve again');

  for (const node of NODES) {
    it(`goes on byte-exact when ${node} is killed in mid-body, and serves new reads at once`, async () => {
      const pid = store.pids()[node];
      const got = await getInSteps(s3, 'large', {
        stopAfter: 2 * MIB,
        meanwhile: async () => {
          store.signal(node, 'SIGKILL');
          await whole('small', SMALL);
        },
      });
      assert.deepEqual([got.status, got.cut, sha256(got.bytes)], [200, false, sha256(LARGE)]);
      await until(() => store.pids()[node] !== pid, `${node} is started again`);
      await bothServe();
      await whole('large', LARGE);
    });

    it(`goes on byte-exact when ${node} stops answering in mid-body, and serves new reads`, async () => {
      const got = await getInSteps(s3, 'large', {
        stopAfter: 2 * MIB,
        meanwhile: async () => {
          store.signal(node, 'SIGSTOP');
          await whole('small', SMALL);
        },
      });
      await whole('small', SMALL);
      await whole('large', LARGE);
      store.signal(node, 'SIGCONT');
      assert.deepEqual([got.status, got.cut, sha256(got.bytes)], [200, false, sha256(LARGE)]);
      await bothServe();
    });
  }

  it('answers 503 when neither copy can be had, cuts what has begun, and recovers', async () => {
    const got = await getInSteps(s3, 'large', {
      stopAfter: 2 * MIB,
      meanwhile: async () => {
        for (const node of NODES) store.signal(node, 'SIGSTOP');
        const refused = await getInSteps(s3, 'small');
        assert.equal(refused.status, 503);
        assert.ok(refused.retryAfter);
        assert.match(refused.bytes.toString(), /<Code>ServiceUnavailable<\/Code>/);
      },
    });
    for (const node of NODES) store.signal(node, 'SIGCONT');
    assert.equal(got.cut, true);
    assert.ok(got.bytes.length < LARGE.length);
    assert.ok(got.bytes.equals(LARGE.subarray(0, got.bytes.length)));
    await bothServe();
    await whole('large', LARGE);
  });

  it('answers 503, not 404, when the bytes are gone from both nodes', async () => {
    for (const node of NODES) {
      const files = filesOf(join(store.dataDir, node)).filter((file) => statSync(file).size > 40 * MIB);
      assert.equal(files.filter((file) => !file.endsWith('.mdb')).length, 1);
      for (const file of files) if (!file.endsWith('.mdb')) rmSync(file);
    }
    const got = await getInSteps(s3, 'large');
    assert.equal(got.status, 503);
    await whole('small', SMALL);
  });
});
