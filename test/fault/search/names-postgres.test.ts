/**
 * Searches for buckets with Postgres behind them: three pairs (databases of one server), agents that look into them, and a
 * catalog that is served while the root pair is away or its list is behind.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import { type Bucket, type Catalog, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { directoryForName } from '../../../src/ddm/directories.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { type AgentLook, openAgentLook } from '../../../src/launcher/agent-look.ts';
import { blobOf, Kit, mustBeDone, OWNER } from '../../contract/contract-kit.ts';
import { quiet } from '../../harness/catalog.ts';
import { stopSharedServer, type TestServer, testDatabase } from '../../harness/postgres.ts';
import { type NamesRig, P5, P6, P7, PAIRS, startNamesRig } from './names-rig.ts';

/** As long as a bucket may be remembered here: nothing is. */
const SETTINGS_AGE_MS = 1;

describe('buckets by search, on Postgres', () => {
  const databases = new Map<PairId, PostgresConnection>();
  const away = new Set<PairId>();
  const looks: AgentLook[] = [];
  let server: TestServer;
  let rig: NamesRig;
  let catalog: Catalog;
  let kit: Kit;

  before(async () => {
    for (const pair of PAIRS) {
      const made = await testDatabase();
      server = made.server;
      databases.set(pair, made.app);
    }
    const lookOf = (member: MemberId) => {
      const { host, port, database } = databases.get(`directory/${member.at(-1)}` as PairId)!;
      const account = { user: 'postgres', password: '' };
      const looking = openAgentLook({ host, port, database, ...account, clock: systemClock, log: quiet });
      looks.push(looking);
      return looking.look;
    };
    rig = await startNamesRig({ centers: 2, lookOf });
    catalog = await openCatalog({
      root: P5,
      locator: {
        pairs: () => PAIRS,
        primary: (pair) => (away.has(pair) ? null : databases.get(pair)!),
      },
      ...{ log: quiet, clock: systemClock, names: rig.search('auto') },
      settingsAgeMs: SETTINGS_AGE_MS,
      timeouts: { waitMs: 1_000 },
    });
    kit = new Kit(catalog);
  });
  after(async () => {
    for (const look of looks) look.close();
    await catalog?.close();
    await rig?.[Symbol.asyncDispose]();
    await stopSharedServer();
  });

  const sql = (pair: PairId, text: string) => server.admin(text, databases.get(pair)!.database);
  const nameFor = (pair: PairId, prefix: string): string => {
    for (let i = 0; ; i++) if (directoryForName(`${prefix}-${i}`, PAIRS) === pair) return `${prefix}-${i}`;
  };
  const make = async (pair: PairId, prefix: string): Promise<Bucket> => {
    const name = nameFor(pair, prefix);
    return mustBeDone(await catalog.createBucket({ name, owner: OWNER, region: 'r', objectLock: false }));
  };
  /** Behind everybody's back; the root's list stays as it is. */
  const carry = async ({ id, name, createdAt }: Bucket, from: PairId, to: PairId): Promise<void> => {
    const row = `(${id}, '${name}', '${OWNER}', 'r', '${createdAt.toISOString()}')`;
    await sql(to, `INSERT INTO antipode.bucket (id, name, owner, region, created_at) VALUES ${row}`);
    await sql(from, `DELETE FROM antipode.bucket WHERE id = ${id}`);
  };
  const settle = () => systemClock.sleep(10 * SETTINGS_AGE_MS);

  it('a bucket that is not where the list says is found where it is, and served', async () => {
    const bucket = await make(P6, 'moved');
    await carry(bucket, P6, P7);
    await settle();
    const found = await catalog.findBucket(bucket.name);
    assert.deepEqual(found && [found.id, found.directory], [bucket.id, P7]);
    await kit.put(bucket.id, 'key');
    assert.equal((await catalog.findVersion(bucket.id, 'key'))?.key, 'key');
    const { computed, listed, outcome, steps } = await catalog.locateBucket(bucket.name);
    assert.deepEqual([computed, listed, outcome], [P6, P6, 'found']);
    assert.equal(steps[0]!.step, 'computed-pair');
    assert.deepEqual([steps.at(-1)!.answer, steps.at(-1)!.asked.length], ['found', 3]);
  });

  it('a listed bucket whose row nobody has is not there; another one of its name is not it', async () => {
    const bucket = await make(P6, 'gone');
    await sql(P6, `DELETE FROM antipode.bucket WHERE id = ${bucket.id}`);
    await settle();
    assert.equal(await catalog.findBucket(bucket.name), null);
    const older = { ...bucket, id: (bucket.id + 1_000_000) as typeof bucket.id };
    await carry(older, P6, P7);
    await systemClock.sleep(600); // a search's result is remembered
    await assert.rejects(catalog.findBucket(bucket.name), CatalogUnavailable);
    away.add(P7);
    await systemClock.sleep(600);
    await assert.rejects(catalog.findBucket(bucket.name), CatalogUnavailable);
    away.delete(P7);
  });

  it('a name that nobody has is not searched for: the list says so', async () => {
    const before = rig.questions();
    assert.equal(await catalog.findBucket('never-made'), null);
    assert.equal(rig.questions(), before);
  });

  it('while the root pair is away: other pairs’ buckets are read and written, none is made or listed', async () => {
    const [here, there, lost] = [await make(P6, 'stays'), await make(P6, 'strays'), await make(P5, 'roots')];
    await carry(there, P6, P7);
    const blob = blobOf(3);
    await kit.put(here.id, 'before', { content: { kind: 'blob', blob, intentAt: Date.now() } });
    await settle();
    away.add(P5);
    try {
      for (const [bucket, pair] of [
        [here, P6],
        [there, P7],
      ] as const) {
        const found = await catalog.findBucket(bucket.name);
        assert.deepEqual(found && [found.id, found.directory], [bucket.id, pair]);
        await kit.put(bucket.id, 'meanwhile');
        assert.equal((await catalog.findVersion(bucket.id, 'meanwhile'))?.key, 'meanwhile');
        assert.deepEqual((await kit.keys(bucket.id)).includes('meanwhile'), true);
      }
      const listed = { owner: OWNER, prefix: '', after: '', max: 10 };
      const made = { name: 'new', owner: OWNER, region: 'r', objectLock: false };
      await assert.rejects(catalog.listBuckets(listed), CatalogUnavailable);
      await assert.rejects(catalog.createBucket(made), CatalogUnavailable);
      // Nobody can say that they are not there: the root pair has one of them.
      for (const name of [lost.name, 'nobody-knows'])
        await assert.rejects(catalog.findBucket(name), CatalogUnavailable);
      const traced = await catalog.locateBucket(there.name);
      assert.deepEqual([traced.listed, traced.outcome, traced.bucket?.directory], ['unknown', 'found', P7]);
    } finally {
      away.delete(P5);
    }
    await systemClock.sleep(1_500); // the list is asked again after a pause
    assert.equal((await catalog.findBucket(lost.name))?.id, lost.id);
    assert.equal(await catalog.findBucket('nobody-knows'), null);
    assert.equal((await catalog.findBucket('new')) ?? null, null);
  });

  it('1,000 requests for one lost name are one search', async () => {
    away.add(P5);
    try {
      await assert.rejects(catalog.findBucket('warm-up'), CatalogUnavailable);
      const before = rig.questions();
      const ears = [await rig.listen('a'), await rig.listen('b')];
      const asked = Array.from({ length: 1_000 }, () => catalog.findBucket('wanted').catch((e: Error) => e));
      for (const answer of await Promise.all(asked)) assert.ok(answer instanceof CatalogUnavailable);
      assert.deepEqual([rig.questions() - before, ...ears.map((ear) => ear.heard.length)], [6, 1, 1]);
    } finally {
      away.delete(P5);
    }
  });

  it('an agent sees names and nothing else, and cannot write', async () => {
    const { host, port, database } = databases.get(P6)!;
    const client = new pg.Client({
      host,
      port,
      database,
      user: 'postgres',
      options: '-c role=antipode_finder',
    });
    await client.connect();
    try {
      assert.ok((await client.query('SELECT id, name FROM antipode.bucket')).rowCount! > 0);
      for (const text of [
        'SELECT owner FROM antipode.bucket',
        'SELECT * FROM root.access_key',
        'SELECT * FROM antipode.version',
        "UPDATE antipode.bucket SET name = 'x'",
      ])
        await assert.rejects(client.query(text), /permission denied/);
    } finally {
      await client.end();
    }
  });

  it('an agent whose server is away keeps silent, and answers when it is back', async () => {
    const server = { host: '127.0.0.1', port: 1, database: 'none', user: 'postgres', password: '' };
    const looking = openAgentLook({ ...server, clock: systemClock, log: quiet });
    assert.equal(await looking.look('bucket', 'b'), 'silent');
    assert.equal(await looking.look('blob', 'b'), null);
    looking.close();
    const { host, port, database } = databases.get(P6)!;
    const there = openAgentLook({ ...server, host, port, database, clock: systemClock, log: quiet });
    assert.deepEqual(await there.look('bucket', 'no-such'), { has: false });
    await sql(
      P6,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'antipode-name-search'",
    );
    const words = [await there.look('bucket', 'no-such'), await there.look('bucket', 'no-such')];
    assert.deepEqual(words.at(-1), { has: false });
    there.close();
  });
});
