/** Buckets beyond the contract: halves that are finished, two gateways with caches, several directory pairs. */
import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { AccountId, PairId } from '../../../src/base/ids.ts';
import { type Catalog, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import type { DirectoryLocator, PostgresConnection } from '../../../src/ddm/locator.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { blobOf, Kit, mustBeDone, OTHER, OWNER, reasonOf } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, type TestServer, testDatabase } from '../../harness/postgres.ts';

const open: Catalog[] = [];
const openWith = async (locator: DirectoryLocator, settingsAgeMs = 60_000) => {
  const catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, settingsAgeMs });
  open.push(catalog);
  return catalog;
};
const named = (name: string, owner: AccountId = OWNER) => ({ name, owner, region: 'r', objectLock: false });

after(async () => {
  await Promise.all(open.map((catalog) => catalog.close()));
  await stopSharedServer();
});

describe('half-made and half-deleted buckets', () => {
  let server: TestServer;
  let database: string;
  let catalog: Catalog;
  const sql = async (text: string) => (await server.admin(text, database)).rows;
  beforeEach(async () => {
    const made = await testDatabase();
    server = made.server;
    database = made.app.database;
    catalog = await openWith(locatorOf(made.app));
  });

  it('finishes a creation that stopped after the name', async () => {
    const insert = `INSERT INTO root.bucket_name (name, owner, directory) VALUES ('half', '${OWNER}', '${ROOT}') RETURNING bucket_id::integer AS id`;
    const [row] = await sql(insert);
    assert.equal(await catalog.findBucket('half'), null);
    assert.deepEqual((await catalog.listBuckets({ prefix: '', after: '', max: 10 })).buckets, []);
    assert.equal(reasonOf(await catalog.createBucket(named('half', OTHER))), 'exists');
    const bucket = mustBeDone(await catalog.createBucket(named('half')));
    assert.equal(bucket.id, row.id);
    assert.deepEqual(await catalog.findBucket('half'), bucket);
    assert.equal(reasonOf(await catalog.createBucket(named('half'))), 'owned-by-you');
  });

  it('finishes a creation that stopped before the name was ready', async () => {
    const first = mustBeDone(await catalog.createBucket(named('half')));
    await sql("UPDATE root.bucket_name SET state = 'creating'");
    assert.deepEqual(mustBeDone(await catalog.createBucket(named('half'))), first);
  });

  for (const owner of [OWNER, OTHER])
    it(`finishes a deletion that stopped after the row, for ${owner}`, async () => {
      const first = mustBeDone(await catalog.createBucket(named('half')));
      await sql('DELETE FROM antipode.bucket');
      const second = mustBeDone(await catalog.createBucket(named('half', owner)));
      assert.notEqual(second.id, first.id);
      assert.equal((await catalog.findBucket('half'))?.owner, owner);
    });

  it('drops the name when a deletion is repeated', async () => {
    const { id } = mustBeDone(await catalog.createBucket(named('half')));
    await sql('DELETE FROM antipode.bucket');
    assert.equal(reasonOf(await catalog.deleteBucket(id)), 'no-such-bucket');
    assert.deepEqual(await sql('SELECT FROM root.bucket_name'), []);
  });
});

describe('two gateways', () => {
  it('never take a bucket that was made anew for an empty one', async () => {
    const { app } = await testDatabase();
    const [here, there] = [await openWith(locatorOf(app)), await openWith(locatorOf(app))];
    const old = mustBeDone(await here.createBucket(named('b')));
    await here.findBucket('b');
    mustBeDone(await there.deleteBucket(old.id));
    const made = mustBeDone(await there.createBucket(named('b')));
    await new Kit(there).put(made.id, 'k');
    // The old id is still cached here; none of these may say that the key is not there.
    assert.equal((await here.findBucket('b'))?.id, old.id);
    await assert.rejects(here.findVersion(old.id, 'k'), CatalogUnavailable);
    assert.equal((await here.findBucket('b'))?.id, made.id);
    const query = { bucketId: old.id, prefix: '', delimiter: '', after: '', maxKeys: 1 };
    await assert.rejects(here.listObjects(query), CatalogUnavailable);
    assert.equal(reasonOf(await new Kit(here).tryPut(old.id, 'k')), 'bucket-gone');
  });

  it('let one conditional put win, and no put pass the removal of its bucket', async () => {
    const { app } = await testDatabase();
    const kits = [new Kit(await openWith(locatorOf(app))), new Kit(await openWith(locatorOf(app)))] as const;
    const bucketId = await kits[0].bucket();
    for (let round = 0; round < 10; round++) {
      const puts = Array.from({ length: 20 }, (_, i) =>
        kits[i % 2]!.tryPut(bucketId, `k${round}`, { condition: { ifNoneMatch: '*' } }),
      );
      const winners = (await Promise.all(puts)).filter((outcome) => outcome.outcome === 'done');
      assert.equal(winners.length, 1);
      const id = await kits[0].bucket();
      const both = await Promise.all([kits[0].tryPut(id, 'k'), kits[1].catalog.deleteBucket(id)]);
      assert.ok(['done, not-empty', 'bucket-gone, done'].includes(both.map(reasonOf).join(', ')));
    }
  });

  it('see each other’s keys and settings after the age that caches may have', async () => {
    const { app } = await testDatabase();
    const [here, there] = [await openWith(locatorOf(app), 50), await openWith(locatorOf(app), 50)];
    const { id } = mustBeDone(await here.createBucket(named('b')));
    await here.findBucket('b');
    mustBeDone(await there.setVersioning(id, 'enabled'));
    await new Promise((resolve) => setTimeout(resolve, 80));
    assert.equal((await here.findBucket('b'))?.versioning, 'enabled');
  });
});

describe('several directory pairs', () => {
  it('spread buckets, list them all or not at all, and know all blobs or none', async () => {
    const pairs = [ROOT, 'directory/6' as PairId];
    const databases = new Map<PairId, PostgresConnection | null>();
    for (const pair of pairs) databases.set(pair, (await testDatabase()).app);
    const catalog = await openWith({ pairs: () => pairs, primary: (pair) => databases.get(pair) ?? null });
    const kit = new Kit(catalog);
    const made = [];
    for (let i = 0; i < 12; i++) made.push(mustBeDone(await catalog.createBucket(named(`spread-${i}`))));
    assert.deepEqual(new Set(made.map((bucket) => bucket.directory)), new Set(pairs));
    const blobs = [];
    for (const { id, name } of made) {
      const blob = blobOf(3);
      blobs.push(blob);
      await kit.put(id, name, { content: { kind: 'blob', blob, intentAt: Date.now() } });
      assert.deepEqual(await kit.keys(id), [name]);
    }
    assert.equal(await kit.known(...blobs), 12);
    const list = () => catalog.listBuckets({ owner: OWNER, prefix: '', after: '', max: 100 });
    assert.deepEqual(
      (await list()).buckets.map((bucket) => bucket.name),
      made.map((b) => b.name).sort(),
    );

    databases.set(pairs[1]!, null);
    await assert.rejects(list(), CatalogUnavailable);
    await assert.rejects(kit.known(...blobs), CatalogUnavailable);
    const [away, there] = [made.find((b) => b.directory !== ROOT)!, made.find((b) => b.directory === ROOT)!];
    await assert.rejects(kit.tryPut(away.id, 'x'), CatalogUnavailable);
    await kit.put(there.id, 'x');
    assert.deepEqual(
      (await catalog.status()).map((status) => status.writable),
      [true, false],
    );
  });
});
