/**
 * The change feed on Postgres: what is recorded, in which order it is read while transactions interleave, and what consumers
 * and trimming do to each other.
 */
import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import { type BucketId, newWriteId } from '../../../src/base/ids.ts';
import type { Catalog } from '../../../src/ddm/catalog.ts';
import {
  type Change,
  type ChangeFeed,
  comparePositions,
  NoSuchReader,
  type Position,
} from '../../../src/ddm/change-feed.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit, mustBeDone, OWNER } from '../../contract/contract-kit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});
after(stopSharedServer);

const DAY_MS = 24 * 3_600_000;

async function feed(o: { feedWaitMs?: number } = {}) {
  const { server, app } = await testDatabase();
  const catalog = await openCatalog({
    root: ROOT,
    locator: locatorOf(app),
    log: quiet,
    clock: systemClock,
    ...o,
  });
  open.push(catalog);
  const sql = async (text: string) =>
    (await server.admin(text, app.database)).rows as Record<string, unknown>[];
  /** A transaction of its own, that deletes keys one by one (each leaves a delete marker), and commits when told. */
  const transaction = async () => {
    const client = new pg.Client(app);
    await client.connect();
    open.push({ close: async () => client.end() });
    await client.query('BEGIN');
    return {
      /** Takes its place among transactions before it has the lock of a key. */
      begin: () => client.query('SELECT pg_current_xact_id()'),
      async delete(bucket: BucketId, key: string) {
        const op = { op: 'delete', writeId: newWriteId(), bucket, key, owner: OWNER };
        await client.query('SELECT antipode.commit_batch($1, 1000)', [JSON.stringify([op])]);
        return op.writeId as string;
      },
      async end(how: 'COMMIT' | 'ROLLBACK' = 'COMMIT') {
        await client.query(how);
        await client.end();
      },
    };
  };
  return { catalog, kit: new Kit(catalog), sql, transaction };
}

/** Reads on from a position to the end of what is to be had. */
async function readAll(catalog: ChangeFeed, after: Position, max = 1000) {
  const changes: Change[] = [];
  let position = after;
  for (;;) {
    const page = await catalog.readChanges(ROOT, { after: position, max });
    assert.equal(page.gap, undefined);
    changes.push(...page.changes);
    position = page.position;
    if (!page.more) return { changes, position, events: changes.map((change) => change.event) };
  }
}
const trim = (sql: (text: string) => Promise<unknown>, keepMs: number, waitMs: number, max = 1000) =>
  sql(`SELECT antipode.trim_outbox(${keepMs}, ${waitMs}, ${max})`);

describe('what is recorded', () => {
  it('every change of the namespace, with what a reader needs to know', async () => {
    const { catalog, kit } = await feed();
    const start = await catalog.feedStart(ROOT, 'beginning');
    const bucket = await kit.bucket({ objectLock: true });
    const { name } = (await catalog.listBuckets({ owner: OWNER, prefix: '', after: '', max: 10 }))
      .buckets[0]!;
    const put = await kit.put(bucket, 'a', { size: 3, etag: 'etag-a' });
    const version = put.versionId;
    const named = { bucketId: bucket, key: 'a', versionId: version };
    mustBeDone(await catalog.setTags({ ...named, writeId: newWriteId(), tags: { color: 'blue' } }));
    mustBeDone(await catalog.setLegalHold({ ...named, writeId: newWriteId(), legalHold: true }));
    mustBeDone(await catalog.setLegalHold({ ...named, writeId: newWriteId(), legalHold: false }));
    const marker = mustBeDone(await kit.delete(bucket, 'a'));
    mustBeDone(await kit.delete(bucket, 'a', { versionId: version }));
    mustBeDone(await kit.delete(bucket, 'a', { versionId: marker.versionId! }));
    const upload = await kit.upload(bucket, 'multi');
    await kit.part(bucket, upload.uploadId, 1, 7);
    const multi = mustBeDone(await kit.complete(bucket, upload, [1], 7));
    mustBeDone(await kit.delete(bucket, 'multi', { versionId: multi.versionId }));
    mustBeDone(await catalog.setBucketSetting(bucket, 'policy', { some: 'thing' }));
    mustBeDone(await catalog.deleteBucket(bucket));
    const { changes } = await readAll(catalog, start, 3);
    assert.deepEqual(
      changes.map(({ kind, bucket: b, key, size, etag, deleteMarker, bucketRecord }) => [
        kind,
        b === name,
        ...[key, size, etag, deleteMarker].filter((value) => value !== undefined),
        ...(bucketRecord ? [bucketRecord.versioning, bucketRecord.objectLock, bucketRecord.settings] : []),
      ]),
      [
        ['bucket-created', true, 'enabled', true, {}],
        ['put', true, 'a', 3, 'etag-a'],
        ['tags', true, 'a'],
        ['legal-hold', true, 'a'],
        ['legal-hold', true, 'a'],
        ['delete-marker', true, 'a'],
        ['delete', true, 'a', false],
        ['delete', true, 'a', true],
        ['put', true, 'multi', 7, 'whole-1'],
        ['delete', true, 'multi', false],
        ['bucket-changed', true, 'enabled', true, { policy: { some: 'thing' } }],
        ['bucket-deleted', true, 'enabled', true, { policy: { some: 'thing' } }],
      ],
    );
    assert.deepEqual(
      changes.slice(1, 7).map(({ versionId }) => versionId),
      [version, version, version, version, marker.versionId, version],
    );
    assert.equal(new Set(changes.map(({ event }) => event)).size, changes.length);
  });

  it('nothing for what changes nothing', async () => {
    const { catalog, kit } = await feed();
    const bucket = await kit.bucket();
    const { position } = await readAll(catalog, await catalog.feedStart(ROOT, 'beginning'));
    mustBeDone(await kit.delete(bucket, 'never-there'));
    mustBeDone(await catalog.setBucketQuota(bucket, { bytes: 1000 }));
    assert.deepEqual((await readAll(catalog, position)).changes, []);
  });
});

describe('the order, while transactions interleave', () => {
  it('reads nothing behind a transaction that is under way, and skips nothing when it ends', async () => {
    const { catalog, kit, transaction } = await feed();
    const bucket = await kit.bucket({ versioning: 'enabled' });
    const { position } = await readAll(catalog, await catalog.feedStart(ROOT, 'beginning'));
    const slow = await transaction();
    const early = await slow.delete(bucket, 'held');
    const later: string[] = [];
    for (let i = 0; i < 5; i++) {
      const other = await transaction();
      later.push(await other.delete(bucket, `later-${i}`));
      await other.end();
    }
    assert.deepEqual((await readAll(catalog, position)).events, [], 'all of it is above the horizon');
    await slow.end();
    assert.deepEqual((await readAll(catalog, position, 2)).events, [early, ...later]);
  });

  it('begins with what is under way when it is asked for what comes from now on', async () => {
    const { catalog, kit, transaction } = await feed();
    const bucket = await kit.bucket({ versioning: 'enabled' });
    const slow = await transaction();
    const held = await slow.delete(bucket, 'held');
    const now = await catalog.feedStart(ROOT, 'now');
    await slow.end();
    assert.deepEqual((await readAll(catalog, now)).events, [held]);
    const idle = await catalog.feedStart(ROOT, 'now');
    assert.deepEqual((await readAll(catalog, idle)).events, []);
  });

  for (const lockFirst of ['the older transaction', 'the younger transaction'] as const)
    it(`keeps a key's commit order when ${lockFirst} has its lock first`, async () => {
      const { catalog, kit, transaction } = await feed();
      const bucket = await kit.bucket({ versioning: 'enabled' });
      const { position } = await readAll(catalog, await catalog.feedStart(ROOT, 'beginning'));
      const older = await transaction();
      await older.begin();
      // Keeps the horizon between the two when both have ended.
      const between = await transaction();
      await between.begin();
      const younger = await transaction();
      await younger.begin();
      const [first, second] = lockFirst === 'the older transaction' ? [older, younger] : [younger, older];
      const expected = [await first.delete(bucket, 'contended')];
      const waiting = second.delete(bucket, 'contended');
      await first.end();
      expected.push(await waiting);
      const seen: string[] = [];
      let at = position;
      const look = async () => {
        const { events, position: end } = await readAll(catalog, at);
        seen.push(...events);
        at = end;
      };
      await look();
      await second.end();
      await look();
      await between.end();
      await look();
      assert.deepEqual(seen, expected);
    });

  it('reads each change once and each key in order, beside random transactions', async () => {
    const { catalog, kit, transaction, sql } = await feed();
    const bucket = await kit.bucket({ versioning: 'enabled' });
    const start = (await readAll(catalog, await catalog.feedStart(ROOT, 'beginning'))).position;
    let running = 4;
    const writer = async (seed: number) => {
      for (let round = 0; round < 12; round++) {
        const t = await transaction();
        if ((seed + round) % 2) await t.begin();
        // Keys in one order, as everybody locks them.
        for (const key of ['k1', 'k2', 'k3'].filter((_, i) => (seed * 7 + round * 3 + i) % 3)) {
          await t.delete(bucket, key);
          if (round % 4 === seed) await new Promise((resolve) => setTimeout(resolve, 2));
        }
        await t.end(round % 5 === seed ? 'ROLLBACK' : 'COMMIT');
      }
      running--;
    };
    const seen: Change[] = [];
    let at = start;
    const reader = async () => {
      while (running > 0) {
        const page = await catalog.readChanges(ROOT, { after: at, max: 3 });
        seen.push(...page.changes);
        at = page.position;
      }
      seen.push(...(await readAll(catalog, at)).changes);
    };
    await Promise.all([reader(), ...[0, 1, 2, 3].map(writer)]);
    const rows = await sql(`SELECT event::text FROM antipode.outbox WHERE key <> '' ORDER BY key, id`);
    const byKey = seen.toSorted((a, b) => (a.key === b.key ? 0 : a.key! < b.key! ? -1 : 1));
    assert.deepEqual(
      byKey.map(({ event }) => event),
      rows.map(({ event }) => event),
    );
    const versions = await sql('SELECT version_id FROM antipode.version ORDER BY key, seq');
    assert.deepEqual(
      byKey.map(({ versionId }) => versionId),
      versions.map((row) => row.version_id),
    );
  });
});

describe('consumers', () => {
  const written = async (kit: Kit, n: number) => {
    const bucket = await kit.bucket();
    for (let i = 0; i < n; i++) await kit.put(bucket, `key-${i}`);
  };
  const put = (changes: readonly Change[]) => changes.flatMap(({ key }) => key ?? []);

  it('have a durable place that only goes forwards', async () => {
    const { catalog, kit } = await feed();
    await written(kit, 4);
    await catalog.openReader(ROOT, 'c1', 'beginning');
    const first = await catalog.readChanges(ROOT, { reader: 'c1', max: 3 });
    assert.deepEqual(put(first.changes), ['key-0', 'key-1']);
    assert.equal(first.more, true);
    const again = await catalog.readChanges(ROOT, { reader: 'c1', max: 3 });
    assert.deepEqual(again, first, 'not advanced: the same again');
    await catalog.advanceReader(ROOT, 'c1', first.position);
    const second = await catalog.readChanges(ROOT, { reader: 'c1', max: 3 });
    assert.deepEqual(put(second.changes), ['key-2', 'key-3']);
    await catalog.advanceReader(ROOT, 'c1', second.position);
    await catalog.advanceReader(ROOT, 'c1', first.position);
    assert.deepEqual((await catalog.readChanges(ROOT, { reader: 'c1', max: 3 })).changes, []);
    assert.equal(await catalog.openReader(ROOT, 'c1', 'beginning'), second.position, 'it is there already');
  });

  it('are listed with what they have before them, and go when they are dropped', async () => {
    const { catalog, kit } = await feed();
    await written(kit, 3);
    await catalog.openReader(ROOT, 'behind', 'beginning');
    await catalog.openReader(ROOT, 'at-the-end', 'now');
    const states = await catalog.listReaders();
    assert.deepEqual(
      states.map(({ name, unread, unreadSince }) => [name, unread, unreadSince !== undefined]),
      [
        ['at-the-end', 0, false],
        ['behind', 4, true],
      ],
    );
    assert.equal(await catalog.dropReader('behind'), true);
    assert.equal(await catalog.dropReader('behind'), false);
    await assert.rejects(catalog.readChanges(ROOT, { reader: 'behind', max: 1 }), NoSuchReader);
    await assert.rejects(catalog.advanceReader(ROOT, 'behind', states[0]!.position), NoSuchReader);
    await assert.rejects(catalog.openReader(ROOT, 'no spaces', 'now'), TypeError);
  });

  it('keep what they have not read; what is kept for nobody goes after its time', async () => {
    const { catalog, kit, sql } = await feed();
    await written(kit, 4);
    await catalog.openReader(ROOT, 'slow', 'beginning');
    const two = await catalog.readChanges(ROOT, { reader: 'slow', max: 2 });
    await catalog.advanceReader(ROOT, 'slow', two.position);
    await trim(sql, DAY_MS, 7 * DAY_MS);
    assert.equal((await sql('SELECT FROM antipode.outbox')).length, 5, 'younger than a day');
    await sql(`UPDATE antipode.outbox SET at = at - interval '2 days'`);
    await trim(sql, DAY_MS, 7 * DAY_MS);
    assert.deepEqual(
      put((await readAll(catalog, await catalog.feedStart(ROOT, 'beginning'))).changes),
      ['key-1', 'key-2', 'key-3'],
      'what the slow one has read is gone',
    );
    assert.equal((await catalog.readChanges(ROOT, { reader: 'slow', max: 9 })).gap, undefined);
    await catalog.dropReader('slow');
    await trim(sql, DAY_MS, 7 * DAY_MS);
    assert.deepEqual(await sql('SELECT FROM antipode.outbox'), []);
  });

  it('are told of the gap until they have passed it, and never after', async () => {
    const { catalog, kit, sql } = await feed();
    await written(kit, 4);
    await catalog.openReader(ROOT, 'late', 'beginning');
    const one = await catalog.readChanges(ROOT, { reader: 'late', max: 1 });
    await catalog.advanceReader(ROOT, 'late', one.position);
    await sql(`UPDATE antipode.outbox SET at = at - interval '8 days' WHERE key <> 'key-3'`);
    await trim(sql, DAY_MS, 7 * DAY_MS, 2);
    const told = await catalog.readChanges(ROOT, { reader: 'late', max: 9 });
    assert.deepEqual(
      [told.gap?.from, told.gap?.changes, told.changes, told.more],
      [one.position, 1, [], true],
    );
    await trim(sql, DAY_MS, 7 * DAY_MS);
    const grown = await catalog.readChanges(ROOT, { reader: 'late', max: 9 });
    assert.equal(grown.gap?.changes, 3);
    assert.notEqual(grown.gap?.event, told.gap?.event);
    assert.deepEqual(await catalog.readChanges(ROOT, { reader: 'late', max: 9 }), grown, 'still untold');
    assert.equal((await catalog.listReaders())[0]?.gapChanges, 3);
    await catalog.advanceReader(ROOT, 'late', grown.position);
    const after = await catalog.readChanges(ROOT, { reader: 'late', max: 9 });
    assert.deepEqual([after.gap, put(after.changes)], [undefined, ['key-3']]);
    // Who has no name is told, too, but not how many.
    const stranger = await catalog.readChanges(ROOT, { after: one.position, max: 9 });
    assert.deepEqual([stranger.gap?.to, stranger.gap?.changes], [grown.gap?.to, null]);
    assert.equal(comparePositions(stranger.gap!.from, stranger.gap!.to) < 0, true);
  });

  it('are waited for as long as the settings say, by whoever keeps the directory tidy', async () => {
    for (const [feedWaitMs, gap] of [
      [DAY_MS * 3, undefined],
      [DAY_MS, 4],
    ] as const) {
      const { catalog, kit, sql } = await feed({ feedWaitMs });
      await written(kit, 3);
      await catalog.openReader(ROOT, 'late', 'beginning');
      await sql(`UPDATE antipode.outbox SET at = at - interval '2 days'`);
      await catalog.takeDyingBlobs(1, DAY_MS);
      assert.equal((await catalog.readChanges(ROOT, { reader: 'late', max: 9 })).gap?.changes, gap);
    }
  });

  it('lose nothing to a transaction that is older than what is trimmed', async () => {
    const { catalog, kit, sql, transaction } = await feed();
    const bucket = await kit.bucket({ versioning: 'enabled' });
    const slow = await transaction();
    const held = await slow.delete(bucket, 'held');
    await kit.put(bucket, 'later');
    await sql(`UPDATE antipode.outbox SET at = at - interval '30 days'`);
    await trim(sql, DAY_MS, 7 * DAY_MS);
    const beginning = await catalog.feedStart(ROOT, 'beginning');
    await slow.end();
    const { events, changes } = await readAll(catalog, beginning);
    assert.deepEqual([events[0], changes[1]?.key], [held, 'later']);
  });
});

describe('the name of a bucket that is gone', () => {
  it('is known as long as its changes are kept', async () => {
    const { catalog, kit, sql } = await feed();
    const bucket = await kit.bucket();
    await kit.put(bucket, 'key');
    mustBeDone(await kit.delete(bucket, 'key'));
    mustBeDone(await (catalog as Catalog).deleteBucket(bucket));
    const { changes } = await readAll(catalog, await catalog.feedStart(ROOT, 'beginning'));
    assert.equal(new Set(changes.map((change) => change.bucket)).size, 1);
    assert.notEqual(changes[1]!.bucket, '');
    await sql(`UPDATE antipode.outbox SET at = at - interval '9 days'`);
    await sql(`UPDATE antipode.past_bucket SET gone_at = gone_at - interval '9 days'`);
    await kit.put(await kit.bucket(), 'young');
    await trim(sql, DAY_MS, 7 * DAY_MS);
    assert.deepEqual(await sql('SELECT FROM antipode.past_bucket'), []);
  });
});
