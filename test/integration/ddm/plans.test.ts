/**
 * The plans of the statements that requests wait for, those inside functions too, as the gateway's sessions run them: by the
 * index that was meant, whatever the statistics say. test/fixtures/plans.txt holds them; UPDATE_PLANS=1 writes it anew.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { newWriteId, type PairId } from '../../../src/base/ids.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { blobOf, Kit, mustBeDone, OWNER } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { explainRole, PlanLog, type Plans } from '../../harness/plans.ts';
import { initCluster, startServer, type TestServer } from '../../harness/postgres.ts';

const FILE = join(import.meta.dirname, '../../fixtures/plans.txt');
/** Tables that grow with what is stored, or with what happens. */
const GROWING =
  /Seq Scan (?:version|blob|manifest|manifest_part|upload|upload_part|off_map_replica|repair|outbox|usage_delta|bucket|bucket_name|account|access_key)\b/;
const FILL = `
INSERT INTO antipode.bucket (id, name, owner, region, created_at) SELECT i, 'filled-' || i, 'o', 'r', now() FROM generate_series(1000001, 1000500) i;
INSERT INTO antipode.blob (id, pair, size, root, ref_count, state, dying_since)
SELECT gen_random_uuid(), 'node/11', 1, sha256(i::text::bytea), CASE WHEN i % 20 = 0 THEN 0 ELSE 1 END,
       CASE WHEN i % 20 = 0 THEN 'dying' ELSE 'live' END, CASE WHEN i % 20 = 0 THEN now() END FROM generate_series(1, 3000) i;
INSERT INTO antipode.version (bucket_id, key, seq, version_id, is_latest, is_delete_marker, size, write_id, last_modified, etag, owner)
SELECT 1000001 + i % 500, 'key-' || i / 3, -i, 'v' || i, i % 3 = 0, false, 0, gen_random_uuid(), now(), '', 'o' FROM generate_series(1, 6000) i;
INSERT INTO antipode.upload (upload_id, bucket_id, key, initiated, owner, attributes)
SELECT 'filled-' || i, 1000001 + i % 500, 'key-' || i, now(), 'o', '{}' FROM generate_series(1, 2000) i;
INSERT INTO antipode.upload_part (upload_id, part_number, size, etag, last_modified, write_id)
SELECT 'filled-' || (1 + i % 2000), 1 + i / 2000, 1, '', now(), gen_random_uuid() FROM generate_series(1, 4000) i;
ANALYZE`;

describe('the plans of statements that requests wait for', () => {
  let server: TestServer;
  let log: PlanLog;
  before(async () => {
    server = await startServer(await initCluster(), { settings: { autovacuum: 'off' } });
    await migrate(server.connection('postgres'));
    await explainRole(server, 'antipode_app');
    log = new PlanLog(server);
  });
  after(() => server?.stop());

  it('are those of the snapshot, with and without statistics', async (t: TestContext) => {
    await work();
    await server.admin(FILL);
    await work();
    // The server writes its log before it answers, but not before we read it.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const plans = log.plans();
    assert.ok(plans.size > 40, `${plans.size} statements`);
    const walking = [...plans].filter(([, kinds]) => [...kinds].some((plan) => GROWING.test(plan)));
    assert.deepEqual(
      walking.map(([query, kinds]) => `${query}\n${[...kinds].join('\n')}`),
      [],
    );
    if (process.env.UPDATE_PLANS === '1') writeFileSync(FILE, write(plans));
    const known = read(readFileSync(FILE, 'utf8'));
    const differing: string[] = [];
    let compared = 0;
    for (const [query, kinds] of plans) {
      const expected = known.get(query);
      if (!expected) continue;
      compared++;
      for (const plan of kinds)
        if (!expected.has(plan))
          differing.push(`${query}\n${plan}\ninstead of\n${[...expected].join('\nor\n')}`);
    }
    t.diagnostic(`${compared} of ${plans.size} statements compared, ${known.size} in the snapshot`);
    assert.deepEqual(differing, []);
    assert.ok(compared > known.size / 2, 'most statements are others than in the snapshot: UPDATE_PLANS=1');
  });

  /** One of everything that clients wait for, and of what the reaper takes. */
  async function work(): Promise<void> {
    const catalog = await openCatalog({
      ...{ root: ROOT, locator: locatorOf(server.connection('postgres', 'antipode_app')) },
      ...{ log: quiet, clock: systemClock },
    });
    const k = new Kit(catalog);
    const plain = await k.bucket();
    const versioned = await k.bucket({ versioning: 'enabled' });
    for (const bucketId of [plain, versioned]) {
      for (const key of ['a/1', 'a/2', 'b/1', 'c', 'c']) await k.put(bucketId, key);
      const { versionId } = await k.put(bucketId, 'twice');
      await catalog.findVersion(bucketId, 'c');
      await catalog.findVersion(bucketId, 'twice', versionId);
      await k.delete(bucketId, 'a/1');
      await k.delete(bucketId, 'twice', { versionId });
      const page = { bucketId, prefix: '', maxKeys: 1_000 };
      for (const delimiter of ['', '/']) {
        await catalog.listObjects({ ...page, delimiter, after: 'a' });
        await catalog.listVersions({ ...page, delimiter, keyMarker: 'a' });
      }
      const upload = await k.upload(bucketId, 'parts');
      for (const number of [1, 2, 2]) await k.part(bucketId, upload.uploadId, number, 5);
      await catalog.findUpload(bucketId, 'parts', upload.uploadId);
      await catalog.listUploads({ ...page, delimiter: '/', keyMarker: '' });
      mustBeDone(await k.complete(bucketId, upload, [1, 2], 10));
      const made = await catalog.findVersion(bucketId, 'parts');
      if (made?.content.kind === 'manifest') await catalog.readManifest(bucketId, made.content.manifestId);
      const other = await k.upload(bucketId, 'aborted');
      await k.part(bucketId, other.uploadId, 1, 5);
      await catalog.abortUpload(bucketId, 'aborted', other.uploadId);
    }
    const lagging = { ...blobOf(3), lagging: ['node-b11'] };
    await k.tryPut(plain, 'lags', {
      content: { kind: 'blob', blob: lagging, intentAt: Date.now() } as never,
      writeId: newWriteId(),
    });
    await catalog.findBucket('filled-1000001');
    await catalog.listBuckets({ owner: OWNER, prefix: '', after: '', max: 100 });
    await catalog.findAccessKey('nobody');
    await catalog.knownBlobs([blobOf(1).id]);
    await catalog.listBlobs({ pair: 'node/11' as PairId, max: 100 });
    const dying = await catalog.takeDyingBlobs(100, 0);
    await catalog.forgetBlobs(dying.map(({ blob }) => blob.id));
    await catalog.close();
  }
});

const write = (plans: Plans): string =>
  [...plans]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([query, kinds]) => `## ${query}\n${[...kinds].toSorted().join('\nor\n')}\n`)
    .join('\n');

function read(text: string): Plans {
  const entries = text
    .split(/^## /m)
    .slice(1)
    .map((entry): [string, Set<string>] => {
      const end = entry.indexOf('\n');
      return [
        entry.slice(0, end),
        new Set(
          entry
            .slice(end + 1)
            .trimEnd()
            .split('\nor\n'),
        ),
      ];
    });
  return new Map(entries);
}
