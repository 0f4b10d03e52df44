/**
 * Nodes on disks that fill up: a clean S3 error, nothing acknowledged is damaged, and writes go on when there is room
 * again. Real file systems of 96 MiB, so it needs the right to mount.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { type Store, startStore } from '../../harness/store.ts';
import { BUCKET, bytesOf, clientOf, getInSteps, MIB, sha256, until } from './store-kit.ts';

const NODES = ['node-a11', 'node-b11'];
const SIZES = [5 * MIB, 40_000, 300_000];
const settings = { reserveBytes: 0, blobGraceMs: 500, reclaimIntervalMs: 300 };

function mayMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'antipode-mount-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', folder]).status === 0;
  if (mounted) execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true });
  return mounted;
}

describe('a store whose disks fill up', {
  skip: mayMount() ? false : 'mounting a small file system is not permitted here',
}, () => {
  let store: Store;
  let s3: ReturnType<typeof clientOf>;
  const mounts: string[] = [];
  const kept = new Map<string, Buffer>();

  before(async () => {
    const first = await startStore({ nodesPerCenter: 1, settings });
    await first.stop({ keep: true });
    for (const node of NODES) {
      const folder = join(first.dataDir, node, 'store');
      const aside = `${folder}.aside`;
      cpSync(folder, aside, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'none', folder]);
      mounts.push(folder);
      cpSync(aside, folder, { recursive: true });
    }
    store = await startStore({ from: first, nodesPerCenter: 1, settings });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  after(async () => {
    s3?.destroy();
    await store?.kill({ keep: true });
    for (const folder of mounts) execFileSync('umount', [folder]);
    store?.subnets.release();
    if (store) rmSync(join(store.dataDir, '..'), { recursive: true, force: true });
  });

  const put = (key: string, bytes: Buffer) =>
    s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes }));
  const allAreWhole = async () => {
    for (const [key, bytes] of kept) {
      const got = await getInSteps(s3, key);
      assert.deepEqual([key, got.status, sha256(got.bytes)], [key, 200, sha256(bytes)]);
    }
  };

  for (const size of SIZES) {
    it(`refuses objects of ${size} bytes with 507 when there is no room for them`, async () => {
      for (let n = 0; ; n++) {
        assert.ok(n < 10_000, 'the disk never filled up');
        const key = `${size}-${n}`;
        const bytes = bytesOf(key, size);
        try {
          await put(key, bytes);
          kept.set(key, bytes);
        } catch (error) {
          assert.ok(error instanceof S3ServiceException, String(error));
          assert.deepEqual([error.name, error.$metadata.httpStatusCode], ['InsufficientStorage', 507]);
          assert.equal((await getInSteps(s3, key)).status, 404);
          return;
        }
      }
    });
  }

  it('still reads everything it acknowledged, byte for byte', allAreWhole);

  it('deletes, and takes objects again when the room has come back', async () => {
    for (const key of [...kept.keys()].filter((name) => name.startsWith(`${SIZES[0]}-`)).slice(0, 4)) {
      await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }));
      kept.delete(key);
    }
    const bytes = bytesOf('again', SIZES[0]!);
    await until(
      () =>
        put('again', bytes).then(
          () => true,
          () => false,
        ),
      'a write succeeds again',
    );
    kept.set('again', bytes);
    await allAreWhole();
  });

  it('starts again on the full disks and has everything', async () => {
    await store.stop({ keep: true });
    store = await startStore({ from: store, nodesPerCenter: 1, settings });
    s3.destroy();
    s3 = clientOf(store);
    await allAreWhole();
  });
});
