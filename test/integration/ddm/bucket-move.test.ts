/**
 * Buckets that move between directories: step by step, with the mover killed before each step; and there and back, again
 * and again, while random concurrent programs run on them, whose answers must all be explained by an order of their calls.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { type BucketId, newWriteId, type PairId } from '../../../src/base/ids.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import {
  ATTRIBUTES,
  blobOf,
  Kit,
  mustBeDone,
  newName,
  OWNER,
  reasonOf,
} from '../../contract/contract-kit.ts';
import { auditOf } from '../../harness/audit.ts';
import { locatorOfAll, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import { repeated } from '../../history/postgres.ts';
import { seedsFrom, sweep } from '../../history/sweep.ts';

after(stopSharedServer);

const HERE = ROOT;
const THERE = 'directory/6' as PairId;
const otherOf = (pair: PairId) => (pair === HERE ? THERE : HERE);
const never = new AbortController().signal;
class Killed extends Error {}

async function openPair() {
  const databases = [await testDatabase(), await testDatabase()];
  const locator = locatorOfAll(databases.map(({ app }) => app));
  const open = () => openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, settingsAgeMs: 50 });
  const catalogs = [await open(), await open(), await open()] as const;
  const rows = async (at: 0 | 1, sql: string) =>
    (await databases[at]!.server.admin(sql, databases[at]!.app.database)).rows as Record<string, unknown>[];
  let runs = 0;
  return {
    catalogs,
    rows,
    /** Carries moves on as a gateway of its own; killed before its n-th step. */
    async carryOn(killBefore = Number.POSITIVE_INFINITY, steps: string[] = []) {
      let step = 0;
      const onStep = (name: string) => {
        if (++step >= killBefore) throw new Killed(name);
        steps.push(name);
      };
      await catalogs[runs % 3]!.carryOnBucketMoves({
        owner: `run-${++runs}`,
        signal: never,
        leaseMs: 1,
        onStep,
      });
    },
    async audit() {
      for (const at of [0, 1] as const) {
        assert.deepEqual(await auditOf((sql) => rows(at, sql)), {}, `directory ${at}`);
        assert.deepEqual(await rows(at, 'SELECT * FROM antipode.audit_usage()'), [], `directory ${at}`);
        assert.deepEqual(await rows(at, "SELECT * FROM antipode.bucket_move WHERE state <> 'ended'"), []);
      }
    },
    close: () => Promise.all(catalogs.map((catalog) => catalog.close())),
  };
}
type Opened = Awaited<ReturnType<typeof openPair>>;

/** A bucket in a directory, with a bit of everything. */
async function fullBucket(o: Opened, directory: PairId) {
  const kit = new Kit(o.catalogs[0]);
  const [catalog] = o.catalogs;
  const made = async (pair: PairId) => {
    for (;;) {
      const bucket = mustBeDone(
        await catalog.createBucket({ name: newName(), owner: OWNER, region: 'r', objectLock: false }),
      );
      if (bucket.directory === pair) return bucket;
      mustBeDone(await catalog.deleteBucket(bucket.id));
    }
  };
  const bucket = await made(directory);
  const beside = await made(directory);
  const { id } = bucket;
  const acl = [{ grantee: { group: 'AllUsers' }, permission: 'READ' }] as const;
  const attributes = { ...ATTRIBUTES, acl, encryption: { algorithm: 'AES256', keyId: 'k' } };
  await kit.put(id, 'plain', { attributes });
  mustBeDone(await catalog.setVersioning(id, 'enabled'));
  for (let i = 0; i < 7; i++) await kit.put(id, 'versions', { size: i + 1 });
  await kit.delete(id, 'versions');
  mustBeDone(await catalog.setTags({ writeId: newWriteId(), bucketId: id, key: 'plain', tags: { a: 'b' } }));
  const upload = await kit.upload(id, 'parts');
  for (const number of [1, 2, 3]) await kit.part(id, upload.uploadId, number, number);
  mustBeDone(await kit.complete(id, upload, [1, 3], 4));
  // The part that was left out.
  await catalog.forgetBlobs([...(await kit.dying())] as never);
  const open = await kit.upload(id, 'open');
  await kit.part(id, open.uploadId, 1, 9);
  // Shared with a bucket that stays.
  for (const key of ['plain', 'parts']) {
    const { size, content } = (await catalog.findVersion(id, key))!;
    await kit.put(beside.id, key, { size, content: { kind: 'share', content } });
  }
  const handoff = { ...blobOf(5), offMap: ['node-a12'], absent: ['node-b11'] } as never;
  await kit.put(id, 'handoff', { size: 5, content: { kind: 'blob', blob: handoff, intentAt: Date.now() } });
  mustBeDone(await catalog.setBucketQuota(id, { objects: 100, bytes: 1000 }));
  mustBeDone(await catalog.setBucketSetting(id, 'policy', { x: 1 }));
  return { bucket, beside, kit, open, completed: upload };
}

/** All that a client can see of a bucket. */
async function sightOf(o: Opened, id: BucketId, name: string, gateway = 1) {
  const catalog = o.catalogs[gateway]!;
  const kit = new Kit(catalog);
  const versions = await kit.versions(id);
  const rows = [];
  for (const key of versions.map((text) => text.split('@')[0]!)) {
    const row = await catalog.findVersion(id, key);
    const parts =
      row?.content.kind === 'manifest' ? await catalog.readManifest(id, row.content.manifestId) : null;
    rows.push({ row, parts });
  }
  const query = { bucketId: id, prefix: '', delimiter: '', keyMarker: '', maxKeys: 100 };
  const uploads = await catalog.listUploads(query);
  const parts = [];
  for (const entry of uploads.entries)
    if (entry.kind === 'item')
      parts.push(await catalog.listParts(id, entry.item.uploadId, { after: 0, max: 10 }));
  const { directory: _, ...bucket } = (await catalog.findBucket(name))!;
  const usage = await catalog.listBucketUsage({ name, after: '', max: 1 });
  const repairs = await catalog.listRepairs({ max: 100 });
  return { versions, rows, uploads, parts, bucket, usage, repairs: repairs.map(({ since: _, ...r }) => r) };
}

const SEED = process.env.HISTORY_SEED;
const FOR_MS = 6_000;
const replay = (seed: number) => `HISTORY_SEED=${seed} node --test test/integration/ddm/bucket-move.test.ts`;

/** Moves whatever buckets the programs have, all the time; a mover is killed now and then. */
function keepMoving(o: Opened, buckets: { name: string; id: BucketId }[]) {
  let running = true;
  let moves = 0;
  let kills = 0;
  const loop = async () => {
    for (let turn = 1; running; turn++) {
      for (const { name, id } of buckets.slice(-4)) {
        const { bucket } = await o.catalogs[0].locateBucket(name);
        if (!bucket || bucket.id !== id) continue;
        const to = otherOf(bucket.directory);
        const started = await o.catalogs[0].startBucketMove({ name, to, decidedBy: 'test' });
        if (started.outcome === 'done') moves++;
      }
      const kill = turn % 3 === 0 ? 1 + (turn % 23) : undefined;
      await o.carryOn(kill).catch((error) => {
        if (!(error instanceof Killed)) throw error;
        kills++;
      });
      await systemClock.sleep(5);
    }
  };
  const ended = loop();
  return {
    stop() {
      running = false;
    },
    async end() {
      running = false;
      await ended;
      await o.carryOn();
      return { moves, kills };
    },
  };
}

describe('histories of concurrent clients while their buckets move', () => {
  it('are explained', async (t) => {
    const o = await openPair();
    const buckets: { name: string; id: BucketId }[] = [];
    const catalogs = o.catalogs.map((catalog) => ({
      ...catalog,
      createBucket: async (b: Parameters<typeof catalog.createBucket>[0]) => {
        const made = await catalog.createBucket(b);
        if (made.outcome === 'done') buckets.push(made.value);
        return made;
      },
    }));
    const moving = keepMoving(o, buckets);
    const seeds = SEED === undefined ? seedsFrom(1) : repeated(Number(SEED), 100);
    const forMs = SEED === undefined ? FOR_MS : Number.POSITIVE_INFINITY;
    const swept = await sweep({
      ...{ catalogs, seeds, forMs, programsMin: 12, atOnce: 2, replay, isSpread: true },
    }).finally(() => moving.stop());
    const { moves, kills } = await moving.end();
    t.diagnostic(`${swept.programs} programs, ${swept.calls} calls, ${moves} moves, ${kills} kills`);
    t.diagnostic(JSON.stringify(swept.outcomes));
    assert.ok(moves > 5);
    for (const { name } of await o.catalogs[0].listBucketMoves({ max: 10_000 }))
      assert.equal((await o.catalogs[0].listBucketMoves({ name, max: 1 }))[0]?.phase, 'done');
    await o.audit();
    await o.close();
  });
});

describe('a bucket that moves', () => {
  it('is the same there and back, and leaves nothing behind', async () => {
    const o = await openPair();
    const { bucket, beside, kit, completed } = await fullBucket(o, HERE);
    const { id, name } = bucket;
    mustBeDone(await o.catalogs[0].createAccount({ id: OWNER, displayName: 'Owner', isRoot: false }));
    mustBeDone(await o.catalogs[0].setAccountQuota(OWNER, { bytes: 500 }));
    const before = await sightOf(o, id, name);
    const besides = await sightOf(o, beside.id, beside.name);
    for (const to of [THERE, HERE, THERE]) {
      mustBeDone(await o.catalogs[0].startBucketMove({ name, to, decidedBy: 'test' }));
      await o.carryOn();
      const [move] = await o.catalogs[0].listBucketMoves({ name, max: 1 });
      assert.equal(move?.phase, 'done', `${move?.lastError}`);
      for (const gateway of [0, 1, 2]) assert.deepEqual(await sightOf(o, id, name, gateway), before);
      assert.equal((await o.catalogs[2].locateBucket(name)).bucket?.directory, to);
      await o.audit();
      assert.deepEqual(await sightOf(o, beside.id, beside.name), besides);
      // What is named elsewhere does not die with the rows that are left here.
      assert.deepEqual(await kit.dying(), new Set());
    }
    // New versions come after those that moved; a completion said again has the first answer.
    const again = mustBeDone(await kit.complete(id, completed, [1, 3], 4));
    assert.equal(again.versionId, before.rows.find(({ parts }) => parts)!.row!.versionId);
    const { versionId } = await kit.put(id, 'versions');
    assert.equal((await o.catalogs[2].findVersion(id, 'versions'))?.versionId, versionId);
    assert.equal(reasonOf(await kit.tryPut(id, 'big', { size: 990 })), 'over-quota');
    await o.audit();
    await o.close();
  });

  it('is never read where it was, while its rows are still there', async () => {
    const o = await openPair();
    const { bucket, kit, open } = await fullBucket(o, HERE);
    const { id, name } = bucket;
    await sightOf(o, id, name, 2);
    const steps: string[] = [];
    mustBeDone(await o.catalogs[0].startBucketMove({ name, to: THERE, decidedBy: 'test' }));
    await o.carryOn(undefined, steps);
    mustBeDone(await o.catalogs[0].startBucketMove({ name, to: HERE, decidedBy: 'test' }));
    await sightOf(o, id, name, 2);
    const purge = steps.findIndex((step) => step.startsWith('purge-bucket'));
    await assert.rejects(o.carryOn(purge + 1), Killed);
    assert.ok((await o.rows(1, 'SELECT FROM antipode.version')).length > 5, 'the rows are still there');
    const { versionId } = await kit.put(id, 'plain');
    mustBeDone(await o.catalogs[0].abortUpload(id, open.key, open.uploadId));
    const [, , unaware] = o.catalogs;
    assert.equal((await unaware.findVersion(id, 'plain'))?.versionId, versionId);
    assert.ok((await new Kit(unaware).versions(id)).includes(`plain@${versionId}*`));
    assert.equal(await unaware.findUpload(id, open.key, open.uploadId), null);
    await o.carryOn();
    await o.audit();
    await o.close();
  });

  it('gets there however often its mover is killed, before whatever step', async () => {
    const o = await openPair();
    const { bucket } = await fullBucket(o, HERE);
    const { id, name } = bucket;
    const before = await sightOf(o, id, name);
    const steps: string[] = [];
    mustBeDone(await o.catalogs[0].startBucketMove({ name, to: THERE, decidedBy: 'test' }));
    await o.carryOn(undefined, steps);
    assert.ok(steps.length > 12, steps.join(', '));
    let to = HERE;
    for (let kill = 1; kill <= steps.length + 1; kill++) {
      mustBeDone(await o.catalogs[0].startBucketMove({ name, to, decidedBy: 'test' }));
      await o.carryOn(kill).catch((error) => assert.ok(error instanceof Killed, error));
      // The killed one's lease, of a millisecond, is over.
      await systemClock.sleep(20);
      await o.carryOn();
      assert.equal((await o.catalogs[0].listBucketMoves({ name, max: 1 }))[0]?.phase, 'done', `step ${kill}`);
      assert.equal((await o.catalogs[0].locateBucket(name)).bucket?.directory, to, `step ${kill}`);
      to = otherOf(to);
    }
    assert.deepEqual(await sightOf(o, id, name), before);
    await o.audit();
    await o.close();
  });
});
