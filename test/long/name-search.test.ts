/**
 * A store with two directory pairs: a bucket that is not where its name and the root's list say is found by its agents'
 * word, and served. `locate` shows how.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import pg from 'pg';
import type { LocateReport } from '../../src/admin/api.ts';
import type { PairId } from '../../src/base/ids.ts';
import { directoryForName } from '../../src/ddm/directories.ts';
import { adminOf, antipode } from '../fault/store/cluster-kit.ts';
import { clientOf } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';

const PAIRS = ['directory/5', 'directory/6'] as PairId[];

/** One whose computed pair is the root pair. */
function bucketName(): string {
  for (let i = 0; ; i++) if (directoryForName(`searched-${i}`, PAIRS) === PAIRS[0]) return `searched-${i}`;
}

describe('a bucket that is in another directory than it should be', () => {
  const bucket = bucketName();
  let store: Store;
  let s3: S3Client;
  before(async () => {
    store = await startStore({
      nodesPerCenter: 1,
      search: { waitMs: 1_500 },
      args: ['--directories-per-center', '2'],
    });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: bucket }));
    await carry(bucket);
  });
  after(async () => {
    s3?.destroy();
    await store?.kill();
  });

  /** Behind everybody's back, from one directory's server to the other's. */
  const carry = async (name: string): Promise<void> => {
    const secret = join(store.dataDir, 'secrets', 'postgres-superuser.password');
    const password = readFileSync(secret, 'utf8').trim();
    const connect = async (host: number) => {
      const address = `127.1.${store.subnets.octet}.${host}`;
      const client = new pg.Client({
        host: address,
        port: 7432,
        user: 'postgres',
        password,
        database: 'antipode',
      });
      await client.connect();
      return client;
    };
    const [from, to] = [await connect(5), await connect(6)];
    try {
      const columns = 'id, name, owner, region, created_at';
      const { rows } = await from.query(`SELECT ${columns} FROM antipode.bucket WHERE name = $1`, [name]);
      const row = Object.values(rows[0] as Record<string, unknown>);
      await to.query(`INSERT INTO antipode.bucket (${columns}) VALUES ($1, $2, $3, $4, $5)`, row);
      await from.query('DELETE FROM antipode.bucket WHERE name = $1', [name]);
    } finally {
      await from.end();
      await to.end();
    }
  };
  const locate = async (): Promise<LocateReport['directory']> => {
    const { code, stdout, stderr } = await antipode(store, 'locate', `s3://${bucket}/key`, '--json');
    assert.equal(code, 0, stderr);
    return (JSON.parse(stdout) as LocateReport).directory;
  };

  it('is read and written all the same', async () => {
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'key', Body: 'where it is' }));
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: 'key' }));
    assert.equal(await Body!.transformToString(), 'where it is');
  });

  it('is found in the twin’s center, by a standby’s word', async () => {
    const { computed, listed, pair, search } = await locate();
    assert.deepEqual([computed, listed, pair], [PAIRS[0], PAIRS[0], PAIRS[1]]);
    assert.deepEqual([search[0]!.step, search[0]!.answer], ['computed-pair', 'nowhere']);
    const found = search.at(-1)!;
    assert.deepEqual([found.step, found.center, found.answer], ['twin-center', 'b', 'found']);
    assert.deepEqual(found.foundAt, ['directory-b6']);
  });

  it('is found in the first center while that standby is out', async () => {
    const admin = adminOf(store);
    await admin.send('POST', '/failover/enter', { subject: 'directory-b6', assertDown: true });
    const { search } = await locate();
    const twins = search.filter(({ step }) => step === 'twin-center');
    assert.ok(twins.length > 0 && twins.every(({ leftOut }) => leftOut.includes('directory-b6')));
    const found = search.at(-1)!;
    assert.deepEqual([found.step, found.center, found.foundAt], ['first-center', 'a', ['directory-a6']]);
  });
});
