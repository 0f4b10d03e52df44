/** Migrations of a directory that has been in use: what is there stays, and goes on working. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { A12, B11, ClusterKit, clusterOf, epoch, P11 } from '../../contract/cluster-kit.ts';
import { auditOf } from '../../harness/audit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { migrateTo } from '../../harness/migrate-to.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

after(stopSharedServer);

const BLOB = 'aa'.repeat(16);
/** As the release before conditions wrote it: a version with a handoff, an open upload, a few conditions. */
const FILL = `
INSERT INTO root.bucket_name (name, owner, directory, state) VALUES ('old', 'owner-1', 'directory/5', 'ready');
SELECT antipode.create_bucket(1, 'old', 'owner-1', 'r', now(), false, '{"cors": [1]}');
SELECT antipode.commit_batch('[{"op": "put", "bucket": 1, "key": "k", "writeId": "00000000-0000-0000-0000-000000000001",
  "owner": "owner-1", "size": 3, "etag": "e", "content": "blob", "intentAt": 99999999999999,
  "blob": {"id": "${BLOB}", "pair": "${P11}", "size": 3, "root": "${'00'.repeat(32)}", "offMap": ["node-a12"]}}]', 1);
SELECT antipode.create_upload('{"bucket": 1, "uploadId": "u", "key": "w", "owner": "owner-1", "attributes": {}}');
SELECT antipode.put_part('{"bucket": 1, "uploadId": "u", "partNumber": 1, "size": 4, "etag": "p", "content": "blob",
  "writeId": "00000000-0000-0000-0000-000000000002", "intentAt": 99999999999999,
  "blob": {"id": "${'bb'.repeat(16)}", "pair": "${P11}", "size": 4, "root": "${'11'.repeat(32)}", "offMap": []}}', 1);
INSERT INTO root.pair (id, kind) VALUES ('${P11}', 'node');
INSERT INTO root.member (id, pair_id, center, address, port) VALUES ('node-a11', '${P11}', 'a', '10.9.0.11', 7100);
INSERT INTO root.condition (subject, state, epoch) VALUES ('node-a11', 'suspect', 4), ('node-b11', 'failed-over', 7);
INSERT INTO root.condition_history (subject, state, epoch) VALUES ('node-a11', 'suspect', 4)`;

describe('a directory in use', () => {
  it('keeps what it has when conditions come, and goes on from there', async () => {
    const { server } = await testDatabase();
    await server.admin('CREATE DATABASE in_use');
    const owner = server.connection('in_use');
    const sql = async (text: string) =>
      (await server.admin(text, 'in_use')).rows as Record<string, unknown>[];
    await migrateTo(owner, 12);
    await sql(FILL);
    await migrate(owner);

    const connection = server.connection('in_use', 'antipode_app');
    const catalog = await openCatalog({
      ...{ root: ROOT, locator: locatorOf(connection), log: quiet, clock: systemClock },
    });
    try {
      const k = new ClusterKit(catalog);
      assert.deepEqual(await auditOf(sql), {});
      const bucket = await catalog.findBucket('old');
      assert.deepEqual(bucket?.settings, { cors: [1] });
      const version = await catalog.findVersion(bucket!.id, 'k');
      assert.ok(version?.content.kind === 'blob');
      assert.equal(version.content.blob.id, BLOB);
      assert.deepEqual(version.content.blob.offMap, [A12]);
      assert.ok(!('absent' in version.content.blob));
      const { parts } = await catalog.listParts(bucket!.id, 'u' as never, { after: 0, max: 10 });
      assert.equal(parts[0]?.blob?.size, 4);

      await catalog.registerTopology(clusterOf());
      const conditions = await catalog.readConditions();
      assert.equal(conditions.epoch, 7);
      assert.equal(conditions.members.get(B11)?.state, 'failed-over');
      assert.equal(conditions.members.get('node-a11' as never)?.state, 'serving');
      assert.deepEqual(await sql("SELECT address FROM root.member WHERE id = 'node-a11'"), [
        { address: '10.1.0.11' },
      ]);
      assert.equal((await catalog.conditionHistory({ max: 9 })).length, 1);
      const next = await k.changed(B11, 'resyncing', { expectedEpoch: epoch(1) });
      assert.equal(next.epoch, 8);
      assert.equal(next.pairEpochs.get(P11), 8);
      await catalog.recordOffMap(BLOB as never, 'node-b12' as never);
      assert.deepEqual(await k.repairs(), ['node-a11:missing', 'node-b11:missing']);
    } finally {
      await catalog.close();
    }
  });
});
