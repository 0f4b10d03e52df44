/** What the outbox and the records of names say about ACLs, encryption and causes, on Postgres. */
import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { newWriteId } from '../../../src/base/ids.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit, mustBeDone, OWNER } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});
after(stopSharedServer);

async function feed() {
  const { server, app } = await testDatabase();
  const catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  open.push(catalog);
  const sql = async (text: string) =>
    (await server.admin(text, app.database)).rows as Record<string, unknown>[];
  return { catalog, kit: new Kit(catalog), sql };
}

describe('what is recorded of a change', () => {
  it('why, where that is known', async () => {
    const { catalog, kit } = await feed();
    const start = await catalog.feedStart(ROOT, 'beginning');
    const bucketId = await kit.bucket();
    const cause = { via: 'Put', principal: 'ada', ip: '192.0.2.1', requestId: 'r' };
    await kit.put(bucketId, 'a', { cause });
    const named = () => ({ writeId: newWriteId(), bucketId, key: 'a' });
    mustBeDone(await catalog.setTags({ ...named(), tags: {}, cause: { via: 'PutObjectTagging' } }));
    const transition = { storageClass: 'COLD', cause: { via: 'LifecycleTransition' } };
    mustBeDone(await catalog.amendVersion({ ...named(), ...transition }));
    mustBeDone(await catalog.amendVersion({ ...named(), acl: null, encryption: null }));
    mustBeDone(await catalog.amendVersion({ ...named(), encryption: { algorithm: 'AES256' } }));
    mustBeDone(await catalog.deleteVersion({ ...named(), owner: OWNER, cause: { via: 'Delete' } }));
    const upload = await kit.upload(bucketId, 'multi');
    await kit.part(bucketId, upload.uploadId, 1, 7);
    const parts = [{ partNumber: 1, etag: 'part-1' }];
    const whole = { ...named(), key: 'multi', uploadId: upload.uploadId, parts, size: 7, etag: 'whole-1' };
    mustBeDone(await catalog.completeUpload({ ...whole, cause: { via: 'CompleteMultipartUpload' } }));
    const { changes } = await catalog.readChanges(ROOT, { after: start, max: 100 });
    assert.deepEqual(
      changes.slice(1).map((change) => [change.kind, change.cause]),
      [
        ['put', cause],
        ['tags', { via: 'PutObjectTagging' }],
        ['storage-class', { via: 'LifecycleTransition' }],
        ['acl', undefined],
        ['encryption', undefined],
        ['delete', { via: 'Delete' }],
        ['put', { via: 'CompleteMultipartUpload' }],
      ],
    );
  });

  it("in a version's record all of it, and the row is made anew from it", async () => {
    const [from, to] = [await feed(), await feed()];
    const bucketId = await from.kit.bucket({ versioning: 'enabled' });
    const attributes = {
      ...{ system: { contentType: 'text/plain' }, user: { a: '1' }, tags: { t: '2' }, storageClass: 'COLD' },
      acl: [{ grantee: { group: 'AllUsers' }, permission: 'READ' }],
      encryption: { algorithm: 'aws:kms', keyId: 'k', sealedKey: 's' },
    } as const;
    await from.kit.put(bucketId, 'a', { attributes });
    await from.kit.put(bucketId, 'b');
    const records = `SELECT jsonb_agg(antipode.version_record(v))::text AS docs FROM antipode.version v`;
    const [row] = await from.sql(records);
    await to.sql(`SELECT antipode.restore_versions($docs$${String(row!.docs)}$docs$)`);
    assert.deepEqual(await to.sql(records), [row]);
    assert.deepEqual(await to.sql(`SELECT key, acl, encryption FROM antipode.version ORDER BY key`), [
      { key: 'a', acl: attributes.acl, encryption: attributes.encryption },
      { key: 'b', acl: null, encryption: null },
    ]);
  });
});
