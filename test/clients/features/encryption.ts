/** Encryption as `aws` and rclone ask for it; what lies on the disks of nodes and directories then; a new master key's day. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CreateBucketCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { FeatureStore } from '../feature-store.ts';

const KMS_ENV = 'ANTIPODE_FEATURE_KMS_KEY';
process.env[KMS_ENV] = randomBytes(32).toString('hex');
export const ENCRYPTION_SETTINGS = { kmsKeys: [{ id: 'feature-key', env: KMS_ENV }] } as const;

/** Stands in every chunk, and in nothing else on the disks. */
const MARK = `mark-${randomBytes(12).toString('hex')}`;
const SMALL = Buffer.from(`${MARK} small`);
/** Three parts for clients that are told to cut at 5 MiB. */
const LARGE = Buffer.alloc(11 * 1024 * 1024 + 17, `${MARK} large. `);
const KEY = randomBytes(32);

/** Of every file of the nodes, directories and gateways, databases and logs too: how many hold each text. */
function countFiles(dataDir: string, ...texts: readonly string[]): number[] {
  const counts = texts.map(() => 0);
  for (const bytes of filesOf(dataDir))
    for (const [i, text] of texts.entries()) if (bytes.includes(text)) counts[i]! += 1;
  return counts;
}

function* filesOf(dataDir: string): Generator<Buffer> {
  const members = readdirSync(dataDir).filter((name) => /^(?:node|directory|gateway)-/.test(name));
  for (const member of members)
    for (const entry of readdirSync(join(dataDir, member), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) yield readOrNothing(join(entry.parentPath, entry.name));
}

/** A file may go while it is looked for. */
function readOrNothing(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

export function encryption(store: () => FeatureStore): void {
  describe('encryption', () => {
    const write = (name: string, bytes: Buffer): string => {
      const path = join(store().home, name);
      writeFileSync(path, bytes);
      return path;
    };
    const bucket = async (): Promise<string> => {
      const Bucket = store().bucketName();
      await store().s3().send(new CreateBucketCommand({ Bucket }));
      return Bucket;
    };
    const head = (Bucket: string, Key: string) => store().s3().send(new HeadObjectCommand({ Bucket, Key }));
    const back = (name: string): Buffer => readFileSync(join(store().home, name));

    it('under declared keys and clients’ own goes and comes with `aws s3 cp`, and leaves no plain byte on a disk', async () => {
      const { aws, dataDir } = { ...store(), dataDir: store().store.dataDir };
      const name = await bucket();
      const [small, large, key] = [write('small', SMALL), write('large', LARGE), write('key', KEY)];
      const ways: readonly (readonly [string, string, readonly string[]])[] = [
        ['kms', small, ['--sse', 'aws:kms', '--sse-kms-key-id', 'feature-key']],
        ['c', large, ['--sse-c', 'AES256', '--sse-c-key', `fileb://${key}`]],
      ];
      for (const [way, path, flags] of ways) {
        await aws(['s3', 'cp', path, `s3://${name}/${way}`, ...flags]);
        await aws(['s3', 'cp', `s3://${name}/${way}`, 'out', ...(way === 'c' ? flags : [])]);
        assert.ok(back('out').equals(readFileSync(path)), way);
      }
      const { ServerSideEncryption, SSEKMSKeyId } = await head(name, 'kms');
      assert.deepEqual([ServerSideEncryption, SSEKMSKeyId], ['aws:kms', 'feature-key']);
      const refused = await aws(['s3', 'cp', `s3://${name}/c`, 'out'], { code: null });
      assert.match(refused.stderr, /400/);
      const plain = `plain-${MARK.slice(5)}`;
      await store()
        .s3()
        .send(new PutObjectCommand({ Bucket: name, Key: 'plain', Body: plain }));
      const [marked, unencrypted] = countFiles(dataDir, MARK, plain);
      assert.equal(marked, 0);
      assert.ok(unencrypted! >= 2, 'what is not encrypted is found on both nodes');
    });

    it('of a bucket by default holds for whoever says nothing', async () => {
      const name = await bucket();
      const rules = { Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }] };
      const set = ['--server-side-encryption-configuration', JSON.stringify(rules)];
      await store().api(['put-bucket-encryption', '--bucket', name, ...set]);
      await store()
        .s3()
        .send(new PutObjectCommand({ Bucket: name, Key: 'k', Body: SMALL }));
      assert.equal((await head(name, 'k')).ServerSideEncryption, 'AES256');
    });

    // With keys of its own (SSE-C) rclone wants TLS, whatever the address.
    it('under the store’s key goes and comes with rclone, in parts', async () => {
      const name = await bucket();
      write('large', LARGE);
      const flags = [
        '--s3-server-side-encryption',
        'AES256',
        '--s3-upload-cutoff',
        '5M',
        '--s3-chunk-size',
        '5M',
      ];
      await store().rclone(['copyto', 'large', `store:${name}/k`, ...flags]);
      await store().rclone(['copyto', `store:${name}/k`, 'out']);
      assert.ok(back('out').equals(LARGE));
      assert.equal((await head(name, 'k')).ServerSideEncryption, 'AES256');
    });

    it('is sealed anew by `antipode reseal`, which finds nothing to do under the first key', async () => {
      const summary = (await store().antipode('reseal')) as { masterKey: number; left: number };
      assert.deepEqual([summary.masterKey, summary.left], [0, 0]);
    });
  });
}
