/**
 * The cluster's record and repairs on Postgres, beyond the contract: several gateways at once, several directories, what
 * SQL shows, and what it costs.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import type { PairId } from '../../../src/base/ids.ts';
import { type Catalog, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import type { DirectoryLocator, PostgresConnection } from '../../../src/ddm/locator.ts';
import type { CatalogTimeouts } from '../../../src/ddm/options.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { statement } from '../../../src/ddm/statements.ts';
import {
  A11,
  A12,
  B11,
  B12,
  ClusterKit,
  clusterOf,
  epoch,
  P11,
  replicaOf,
} from '../../contract/cluster-kit.ts';
import { blobOf, mustBeDone, newName, OWNER, reasonOf } from '../../contract/contract-kit.ts';
import { auditOf } from '../../harness/audit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

const open: Catalog[] = [];
const openWith = async (locator: DirectoryLocator, timeouts: Partial<CatalogTimeouts> = {}) => {
  const catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, timeouts });
  open.push(catalog);
  return catalog;
};

after(async () => {
  await Promise.all(open.map((catalog) => catalog.close()));
  await stopSharedServer();
});

/** Two gateways on one directory, and its SQL. */
async function twoGateways() {
  const { server, app } = await testDatabase();
  const kits = [await openWith(locatorOf(app)), await openWith(locatorOf(app))].map((c) => new ClusterKit(c));
  const [one, two] = [kits[0]!, kits[1]!];
  await Promise.all([one, two].map((k) => k.catalog.registerTopology(clusterOf())));
  const sql = async (text: string) =>
    (await server.admin(text, app.database)).rows as Record<string, unknown>[];
  const deadlocks = async () => {
    const [row] = await sql(
      `SELECT deadlocks::integer AS n FROM pg_stat_database WHERE datname = '${app.database}'`,
    );
    return row?.n;
  };
  return { one, two, sql, deadlocks, server, app };
}

describe('two gateways', () => {
  it('declare at once: one wins, and the other hears that its epoch has passed', async () => {
    const { one, two, sql } = await twoGateways();
    for (let round = 0; round < 10; round++) {
      const [at] = (await sql(`SELECT epoch::integer FROM root.pair WHERE id = '${P11}'`)) as {
        epoch: number;
      }[];
      const change = { expectedEpoch: epoch(at!.epoch), mayReturn: true };
      const outcomes = await Promise.all([
        one.change(A11, 'failed-over', { ...change, decidedBy: 'gateway-1' }),
        two.change(round % 2 ? A11 : B11, 'failed-over', { ...change, decidedBy: 'gateway-2' }),
      ]);
      assert.deepEqual(outcomes.map(reasonOf).sort(), ['done', 'stale-epoch']);
      const [failed] = Object.keys(await one.states());
      await two.changed(failed!, 'resyncing');
      await two.changed(failed!, 'serving');
    }
    assert.deepEqual(await one.epochs(), [31, 31, 1]);
    const [history] = await sql(
      'SELECT count(*)::integer AS n, count(DISTINCT epoch)::integer AS e FROM root.condition_history',
    );
    assert.deepEqual(history, { n: 30, e: 30 });
  });

  it('commit under the old epoch until one of them changes it, and never after', async () => {
    const { one, two, sql } = await twoGateways();
    const bucketId = await one.bucket();
    const put = (k: ClusterKit, key: string, at: number) =>
      k.tryPut(bucketId, key, {
        content: { kind: 'blob', blob: blobOf(3), intentAt: Date.now(), epoch: epoch(at) },
      });
    let isChanged = false;
    const change = two.changed(A11, 'failed-over').then(() => {
      isChanged = true;
    });
    const after: string[] = [];
    const during: string[] = [];
    for (let i = 0; i < 60; i++) {
      const sentAfter = isChanged;
      const outcomes = await Promise.all([put(one, `a${i}`, 1), put(two, `b${i}`, 1), put(one, `c${i}`, 2)]);
      assert.equal(outcomes[2]!.outcome, 'done');
      (sentAfter ? after : during).push(...outcomes.slice(0, 2).map(reasonOf));
      if (after.length > 10) break;
    }
    await change;
    assert.ok(after.length > 0 && after.every((outcome) => outcome === 'stale-epoch'), String(after));
    assert.ok(during.every((outcome) => ['done', 'stale-epoch'].includes(outcome)));
    // What was done has its row, what was refused has left no trace.
    const [rows] = await sql(
      `SELECT count(*) FILTER (WHERE key < 'c')::integer AS n FROM antipode.version WHERE bucket_id = ${bucketId}`,
    );
    assert.equal(rows?.n, during.filter((outcome) => outcome === 'done').length);
    assert.deepEqual(await auditOf(sql), {});
  });

  it('end the two repairs of a blob at once, and one of them hears what is to be dropped', async () => {
    const { one, two, sql, deadlocks, server, app } = await twoGateways();
    const bucketId = await one.bucket();
    const blobs = await Promise.all(
      Array.from({ length: 20 }, () => one.putBlob(bucketId, { offMap: [A12, B12], absent: [B11, A11] })),
    );
    // The first is all but committed when the second comes.
    const first = new pg.Client({ ...server.connection(app.database) });
    await first.connect();
    const done = blobs.map(({ id }) => ({ blob: id, member: A11 }));
    await first.query('BEGIN');
    await first.query('SELECT antipode.finish_repairs($1)', [JSON.stringify(done)]);
    const second = two.catalog.finishRepairs(blobs.map((blob) => replicaOf(blob, B11)));
    let isOver = false;
    void second.then(() => {
      isOver = true;
    });
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = '${app.database}' AND wait_event_type = 'Lock'`;
    while (!isOver && (await sql(waiting)).length === 0) await systemClock.sleep(10);
    await first.query('COMMIT');
    await first.end();
    assert.equal((await second).length, 40);
    assert.deepEqual(await sql('SELECT FROM antipode.off_map_replica WHERE NOT surplus'), []);
    assert.equal(await deadlocks(), 0);
  });

  it('adopt a data folder once, also when both had found none', async () => {
    const { one, two, server, app } = await twoGateways();
    assert.equal(await one.catalog.adoptStore(A11, 'disk-1'), 'disk-1');
    // What the slower one does, having looked before the faster one wrote.
    const late = new pg.Client({ ...server.connection(app.database) });
    await late.connect();
    const { rowCount } = await late.query(statement('adopt-store').text, [A11, 'disk-2']);
    await late.end();
    assert.equal(rowCount, 0);
    assert.equal(await two.catalog.adoptStore(A11, 'disk-2'), 'disk-1');
  });

  it('keep to the rows whatever they do at once', async () => {
    const { one, two, sql, deadlocks } = await twoGateways();
    const bucketId = await one.bucket();
    const kits = [one, two];
    const worker = async (n: number) => {
      const k = kits[n % 2]!;
      for (let i = 0; i < 12; i++) {
        const blob = await k.putBlob(bucketId, i % 3 ? { offMap: [A12], absent: [B11] } : { lagging: [A11] });
        await k.miss(A11, [blob], i % 2 ? 'corrupt' : 'missing');
        const taken = await k.catalog.takeRepairs({ max: 5, leaseMs: i % 2 ? 0 : 5 });
        const done = taken.map((r) => ({ blobId: r.blob.id, member: r.member }));
        await k.catalog.postponeRepairs(done.slice(3).map((r) => ({ ...r, error: 'not now', retryMs: 1 })));
        await k.catalog.forgetOffMap(await k.catalog.finishRepairs(done.slice(0, 3)));
        if (i % 2) mustBeDone(await k.delete(bucketId, blob.id));
        await k.catalog.recordOffMap(blob.id, B12);
        const dying = await k.catalog.takeDyingBlobs(3, 0);
        await k.catalog.forgetBlobs(dying.map((d) => d.blob.id));
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, n) => worker(n)));
    await one.miss(A11, [blobOf(3)]);
    // Nobody takes this one's repair between its death and its end.
    const last = await one.putBlob(bucketId, { offMap: [A12], absent: [B11] });
    mustBeDone(await one.delete(bucketId, last.id));
    await one.dying();
    await two.catalog.forgetBlobs([last.id]);
    assert.equal(await one.known(last), 0);
    assert.deepEqual(await auditOf(sql), {});
    assert.equal(await deadlocks(), 0);
  });
});

describe('catalog.exceptions', () => {
  it('names what lacks a replica, once for each version or part that the blob is in', async () => {
    const { one: k, sql } = await twoGateways();
    const bucketId = await k.bucket();
    const blob = await k.putBlob(bucketId);
    await k.put(bucketId, 'copy', { content: { kind: 'share', content: { kind: 'blob', blob } } });
    await k.putBlob(bucketId);
    const upload = await k.upload(bucketId, 'whole');
    const part = await k.part(bucketId, upload.uploadId, 7, 5);
    mustBeDone(await k.complete(bucketId, upload, [7], 5));
    const unfinished = await k.upload(bucketId, 'open');
    const lost = await k.part(bucketId, unfinished.uploadId, 2, 6);
    const gone = await k.putBlob(bucketId);
    await k.miss(B11, [blob, part, gone], 'corrupt');
    await k.miss(A11, [lost], 'lost');
    mustBeDone(await k.delete(bucketId, gone.id));
    const [taken] = await k.catalog.takeRepairs({ max: 1, leaseMs: 0, member: A11 });
    const failed = { blobId: taken!.blob.id, member: A11, error: 'nobody has it', retryMs: 0 };
    await k.catalog.postponeRepairs([failed]);

    const rows = await sql(
      `SELECT replace(blob::text, '-', '') AS blob, pair, member, reason, key, version_id, upload_id, part_number, attempts, last_error, found_by
       FROM catalog.exceptions ORDER BY member, key`,
    );
    const shared = { pair: P11, member: B11, reason: 'corrupt', found_by: 'test', version_id: 'null' };
    const plain = { ...shared, upload_id: null, part_number: null, attempts: 0, last_error: null };
    const ofLost = { key: 'open', version_id: null, upload_id: unfinished.uploadId, part_number: 2 };
    assert.deepEqual(
      rows,
      [
        {
          ...{ ...plain, ...ofLost, blob: lost.id, member: A11, reason: 'lost' },
          ...{ attempts: 1, last_error: 'nobody has it' },
        },
        ...[
          { ...plain, blob: blob.id, key: blob.id },
          { ...plain, blob: blob.id, key: 'copy' },
          { ...plain, blob: part.id, key: 'whole', part_number: 7 },
        ].sort((a, b) => (a.key < b.key ? -1 : 1)),
      ].map((row) => ({ ...row })),
    );
    const [grants] = await sql(
      `SELECT has_table_privilege('antipode_app', 'catalog.exceptions', 'SELECT') AS app,
              has_table_privilege('public', 'catalog.exceptions', 'SELECT') AS everybody`,
    );
    assert.deepEqual(grants, { app: true, everybody: false });
  });

  it('and every view of its schema are described, in the database and in docs/catalog.md', async () => {
    const { sql } = await twoGateways();
    const columns = (await sql(
      `SELECT c.relname AS view, a.attname AS name,
              obj_description(c.oid) IS NOT NULL AND col_description(c.oid, a.attnum) IS NOT NULL AS commented
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
       WHERE c.relnamespace = 'catalog'::regnamespace AND c.relkind = 'v' ORDER BY c.relname, a.attnum`,
    )) as { view: string; name: string; commented: boolean }[];
    assert.deepEqual(
      columns.filter((column) => !column.commented),
      [],
    );
    const text = await readFile(join(import.meta.dirname, '../../../docs/catalog.md'), 'utf8');
    const sections = text.split(/^## /m);
    for (const [view, own] of Map.groupBy(columns, (column) => column.view)) {
      const section = sections.find((part) => part.startsWith(`\`catalog.${view}\``)) ?? '';
      const rows = section.split('\n').filter((line) => line.startsWith('| `'));
      const described = rows.flatMap((row) =>
        [...row.split(' | ')[0]!.matchAll(/`(\w+)`/g)].map((match) => match[1]!),
      );
      assert.deepEqual(
        described,
        own.map((column) => column.name),
      );
    }
  });
});

describe('several directories', () => {
  it('hear of new epochs, now or later, and their blobs and repairs are seen as one', async () => {
    const pairs = [ROOT, 'directory/6' as PairId];
    const databases = new Map<PairId, PostgresConnection | null>();
    for (const pair of pairs) databases.set(pair, (await testDatabase()).app);
    const away = databases.get(pairs[1]!)!;
    const k = new ClusterKit(
      await openWith({ pairs: () => pairs, primary: (pair) => databases.get(pair) ?? null }, { waitMs: 500 }),
    );
    await k.catalog.registerTopology(clusterOf());
    const buckets = new Map<PairId, Awaited<ReturnType<ClusterKit['bucket']>>>();
    while (buckets.size < 2) {
      const b = { name: newName(), owner: OWNER, region: 'r', objectLock: false };
      const { id, directory } = mustBeDone(await k.catalog.createBucket(b));
      buckets.set(directory, id);
    }
    const [here, there] = pairs.map((pair) => buckets.get(pair)!) as [never, never];
    const outcomes = async (at: number) =>
      Promise.all(
        [here, there].map(async (id) => {
          const content = { kind: 'blob', blob: blobOf(3), intentAt: Date.now(), epoch: epoch(at) } as const;
          return reasonOf(await k.tryPut(id, 'k', { content }));
        }),
      );
    await k.changed(A11, 'failed-over', { mayReturn: true });
    assert.deepEqual(await outcomes(1), ['stale-epoch', 'stale-epoch']);
    databases.set(pairs[1]!, null);
    await k.changed(A11, 'resyncing');
    databases.set(pairs[1]!, away);
    assert.deepEqual(await outcomes(2), ['stale-epoch', 'done']);
    assert.deepEqual(await outcomes(3), ['done', 'done']);
    await k.catalog.registerTopology(clusterOf());
    assert.deepEqual(await outcomes(2), ['stale-epoch', 'stale-epoch']);

    const blobs = [];
    for (let i = 0; i < 6; i++) blobs.push(await k.putBlob(i % 2 ? here : there));
    await k.miss(A11, blobs);
    const ids = blobs.map((blob) => blob.id).sort();
    assert.deepEqual(
      (await k.catalog.listRepairs({ max: 4 })).map((r) => r.blob.id),
      ids.slice(0, 4),
    );
    assert.equal((await k.catalog.countRepairs()).queued, 6);
    assert.equal(await k.catalog.countObjects(), 8);
    assert.deepEqual(
      (await k.catalog.findBlobs(ids)).map((blob) => blob.id),
      ids,
    );
    const firstPage = await k.catalog.listBlobs({ max: 5 });
    const secondPage = await k.catalog.listBlobs({ max: 5, after: firstPage.at(-1)!.id });
    assert.equal(firstPage.length + secondPage.length, 8);
    assert.equal((await k.catalog.takeRepairs({ max: 5, leaseMs: 60_000 })).length, 5);
    await k.catalog.recordOffMap(ids[0]!, B12);
    assert.deepEqual((await k.catalog.findBlobs([ids[0]!]))[0]?.offMap, [B12]);
    databases.set(pairs[1]!, null);
    await assert.rejects(k.catalog.countRepairs(), CatalogUnavailable);
    await assert.rejects(k.catalog.listBlobs({ max: 1 }), CatalogUnavailable);
  });
});

describe('what waits for a member in failover', () => {
  const EACH = 20_000;
  it('is not walked through to find what is due for others', async () => {
    const { one: k, sql, server, app } = await twoGateways();
    const bucketId = await k.bucket();
    const blob = await k.putBlob(bucketId);
    await sql(
      `INSERT INTO antipode.blob (id, pair, size, root)
       SELECT gen_random_uuid(), '${P11}', 1, decode(repeat('00', 32), 'hex') FROM generate_series(1, ${EACH})`,
    );
    await sql(
      `INSERT INTO antipode.repair (blob_id, member, reason, found_by)
       SELECT b.id, '${A11}', 'handoff', 'write' FROM antipode.blob b`,
    );
    await k.miss(B11, [blob]);
    const text = `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)
      SELECT * FROM antipode.take_repairs(100, 0, NULL, ARRAY['${A11}'])`;
    // Twice in one connection: the second run has its plans made.
    const results = (await server.admin(`${text};${text}`, app.database)) as unknown as {
      rows: { 'QUERY PLAN': { Plan: Record<string, number> }[] }[];
    }[];
    const plan = results[1]!.rows[0]!['QUERY PLAN'][0]!.Plan;
    assert.equal(plan['Actual Rows'], 1);
    const blocks = plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!;
    assert.ok(blocks < 100, `${blocks} blocks`);
    assert.deepEqual(
      (await k.catalog.takeRepairs({ max: 5, leaseMs: 0, except: [A11] })).map((r) => r.member),
      [B11],
    );
    // A page of a pair that few blobs are of comes from more than one statement, and is whole all the same.
    const rare = await k.putBlob(bucketId, { pair: 'node/13' as PairId });
    const found = await k.catalog.listBlobs({ max: 2, pair: 'node/13' as PairId });
    assert.deepEqual(
      found.map((b) => b.id),
      [rare.id],
    );
  });
});
