/**
 * The cost of a page is the page: pages of a listing are counted in the blocks that the database looks at, in a bucket
 * where walking over everything would be a hundred times as much.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { statement } from '../../../src/ddm/statements.ts';
import { stopSharedServer, type TestServer, testDatabase } from '../../harness/postgres.ts';

/** 20,000 live keys in 200 folders; 20,000 delete markers; one key with 20,000 versions. */
const FILL = `
INSERT INTO antipode.bucket (id, name, owner, region, created_at, versioning) VALUES (1, 'b', 'o', 'r', now(), 'enabled');
INSERT INTO antipode.version (bucket_id, key, seq, version_id, is_latest, is_delete_marker, size, write_id, last_modified, etag, owner)
SELECT 1, format('folder-%s/%s', lpad((i / 100)::text, 3, '0'), lpad((i % 100)::text, 3, '0')), i, 'v' || i, true, false, 0,
       gen_random_uuid(), now(), '', 'o' FROM generate_series(0, 19999) i
UNION ALL
SELECT 1, 'gone/' || i, 100000 + i, 'v' || i, true, true, 0, gen_random_uuid(), now(), '', 'o' FROM generate_series(1, 20000) i
UNION ALL
SELECT 1, 'many', 200000 + i, 'v' || i, i = 20000, false, 0, gen_random_uuid(), now(), '', 'o' FROM generate_series(1, 20000) i`;

describe('the cost of a page', () => {
  let server: TestServer;
  let database: string;
  before(async () => {
    const made = await testDatabase();
    server = made.server;
    database = made.app.database;
    await server.admin(FILL, database);
  });
  after(stopSharedServer);

  /** Blocks looked at by a listing, and the entries that it gave; the second run, with the plans made. */
  async function cost(call: string): Promise<{ blocks: number; rows: number }> {
    return await costOf(`SELECT * FROM antipode.${call}`);
  }
  async function costOf(select: string): Promise<{ blocks: number; rows: number }> {
    const text = `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${select}`;
    const results = (await server.admin(`${text};${text}`, database)) as unknown as { rows: unknown[] }[];
    const plan = (results[1]!.rows[0] as { 'QUERY PLAN': { Plan: Record<string, number> }[] })[
      'QUERY PLAN'
    ][0]!.Plan;
    return { blocks: plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!, rows: plan['Actual Rows']! };
  }

  for (const analyzed of [false, true])
    describe(analyzed ? 'with statistics' : 'without statistics', () => {
      before(() => (analyzed ? server.admin('ANALYZE', database).then(() => {}) : undefined));

      it('is one probe for a common prefix, however many keys it stands for', async () => {
        const { blocks, rows } = await cost("list_objects(1, '', '/', '', 100)");
        assert.equal(rows, 100);
        assert.ok(blocks < 1000, `${blocks} blocks`);
      });

      it('is a range of an index where there is no delimiter', async () => {
        const values: Record<string, string> = { $1: '1', $2: "'folder-1'", $3: "''", $5: '100' };
        for (const [marker, expected] of [
          ['', 100],
          ['folder-150/050', 100],
          ['folder-199/950', 0],
        ] as const) {
          const text = statement('list-all-objects').text.replace(/^--.*$/gm, '');
          const select = text.replace(/\$\d/g, (name) => values[name] ?? `'${marker}'`);
          const { blocks, rows } = await costOf(select);
          assert.equal(rows, expected);
          assert.ok(blocks < 150, `${blocks} blocks`);
        }
      });

      it('does not depend on where the page is', async () => {
        const first = await cost("list_objects(1, '', '', '', 100)");
        const late = await cost("list_objects(1, 'folder-1', '', 'folder-150/050', 100)");
        assert.deepEqual([first.rows, late.rows], [100, 100]);
        for (const { blocks } of [first, late]) assert.ok(blocks < 100, `${blocks} blocks`);
      });

      it('does not count delete markers or old versions in a plain listing', async () => {
        const markers = await cost("list_objects(1, 'gone/', '', '', 100)");
        assert.equal(markers.rows, 0);
        assert.ok(markers.blocks < 100, `${markers.blocks} blocks`);
        const many = await cost("list_objects(1, 'many', '', '', 100)");
        assert.equal(many.rows, 1);
        assert.ok(many.blocks < 100, `${many.blocks} blocks`);
      });

      it('reads a page of versions in order, however many a key has', async () => {
        const { blocks, rows } = await cost("list_versions(1, '', '', 'many', 210000, 100)");
        assert.equal(rows, 100);
        assert.ok(blocks < 100, `${blocks} blocks`);
        const folded = await cost("list_versions(1, '', '/', '', NULL, 100)");
        assert.equal(folded.rows, 100);
        assert.ok(folded.blocks < 1000, `${folded.blocks} blocks`);
      });
    });
});
