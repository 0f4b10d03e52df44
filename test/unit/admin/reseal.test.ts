/** `antipode reseal`: everything that an older master key has sealed opens under the newest alone afterwards. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createReseal, type ResealLine, type ResealSummary } from '../../../src/admin/reseal.ts';
import { type AccountId, newWriteId } from '../../../src/base/ids.ts';
import type { Bucket, Outcome } from '../../../src/ddm/catalog.ts';
import {
  DataKey,
  type Envelope,
  type Keyring,
  openEnvelope,
  sealEnvelope,
} from '../../../src/identity/envelope.ts';
import { createMasterKey, openSecret, sealSecret } from '../../../src/identity/secret-box.ts';
import { ModelCatalog } from '../../model/model-catalog.ts';

const old = createMasterKey(Buffer.alloc(32, 1), 0);
const newest = createMasterKey(Buffer.alloc(32, 2), 1);
const before: Keyring = { master: old, masters: [old], kms: new Map() };
const between: Keyring = { master: newest, masters: [old, newest], kms: new Map() };
const afterwards: Keyring = { master: newest, masters: [newest], kms: new Map() };
const owner = 'alice' as AccountId;
const KEYS = ['one', 'two', 'three'];

function done<T>(outcome: Outcome<T, string>): T {
  assert.equal(outcome.outcome, 'done');
  return (outcome as { value: T }).value;
}

async function run(
  catalog: ModelCatalog,
  keyring: Keyring,
): Promise<{ lines: ResealLine[]; summary: ResealSummary }> {
  const lines: ResealLine[] = [];
  for await (const line of createReseal({ catalog, keyring })(new AbortController().signal)) lines.push(line);
  return { lines, summary: lines.at(-1) as ResealSummary };
}

async function filled(): Promise<{ catalog: ModelCatalog; bucket: Bucket }> {
  const catalog = new ModelCatalog();
  await catalog.createAccount({ id: owner, displayName: 'Alice', isRoot: false });
  await catalog.createAccessKey({
    accessKeyId: 'AKALICE',
    account: owner,
    sealedSecret: sealSecret(old, 'secret', 'AKALICE'),
  });
  const bucket = done(
    await catalog.createBucket({ name: 'b', owner, region: 'us-east-1', objectLock: false }),
  );
  for (const key of [...KEYS, 'plain', 'upload']) {
    const encryption = sealEnvelope(before, { algorithm: 'AES256' }, { bucket: 'b', key }, DataKey.random());
    const attributes = {
      ...{ system: {}, user: {}, tags: {}, storageClass: 'STANDARD' },
      ...(key === 'plain' ? {} : { encryption }),
    };
    const row = { writeId: newWriteId(), bucketId: bucket.id, key, owner, attributes };
    if (key === 'upload') done(await catalog.createUpload(row));
    else done(await catalog.putVersion({ ...row, size: 0, etag: 'etag', content: { kind: 'empty' } }));
  }
  return { catalog, bucket };
}

describe('reseal', () => {
  it('seals versions and access keys anew, and counts the uploads that wait', async () => {
    const { catalog, bucket } = await filled();
    const { summary } = await run(catalog, between);
    assert.deepEqual(summary, {
      ...{ type: 'summary', masterKey: 1, versions: 4, resealed: 3, accessKeys: 1, left: 0, uploads: 1 },
    });
    for (const key of KEYS) {
      const version = await catalog.findVersion(bucket.id, key);
      openEnvelope(afterwards, version?.encryption as Envelope, { bucket: 'b', key });
    }
    assert.equal((await catalog.findVersion(bucket.id, 'plain'))?.encryption, undefined);
    const accessKey = await catalog.findAccessKey('AKALICE');
    assert.equal(openSecret(afterwards.masters, accessKey!.sealedSecret, 'AKALICE').toString(), 'secret');
    const again = await run(catalog, between);
    assert.deepEqual([again.summary.resealed, again.summary.accessKeys], [0, 0]);
  });

  it('leaves alone, and names, what does not open', async () => {
    const { catalog } = await filled();
    const { lines, summary } = await run(catalog, afterwards);
    assert.deepEqual([summary.resealed, summary.left], [0, 4]);
    assert.equal(lines.filter((line) => line.type === 'exception').length, 4);
  });
});
