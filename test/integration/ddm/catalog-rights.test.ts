/** What people may do in SQL, and what not; and that the views are as cheap as the tables below them. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { type FilledCatalog, fillCatalog, SECRET } from '../../harness/filled-catalog.ts';
import { stopSharedServer, type TestServer, testDatabase } from '../../harness/postgres.ts';

const REPO = join(import.meta.dirname, '../../..');
const ROLES = ['antipode_reader', 'antipode_writer'] as const;

let filled: FilledCatalog;
let server: TestServer;
let database: string;
const clients = new Map<string, pg.Client>();
before(async () => {
  const { app, owner, server: started } = await testDatabase();
  server = started;
  database = owner.database;
  filled = await fillCatalog(app, owner);
  await filled.sql(await readFile(join(REPO, 'src/launcher/confine-postgres.sql'), 'utf8').then(asOwnerHere));
  // A copied database has not the rights of its template.
  await filled.sql(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`);
  await filled.sql(`GRANT CONNECT ON DATABASE ${database} TO antipode_reader, antipode_writer`);
  for (const role of ROLES) {
    const client = new pg.Client({ ...(server.connection(database, role) satisfies PostgresConnection) });
    await client.connect();
    clients.set(role, client);
  }
});
after(async () => {
  for (const client of clients.values()) await client.end();
  await filled.close();
  await stopSharedServer();
});

/** The schema's owner is the superuser here. */
const asOwnerHere = (sql: string) => sql.replaceAll('antipode_owner, antipode_app', 'antipode_app');
const as = (role: string) => clients.get(role)!;
const names = async (query: string) => (await filled.sql(query)).map((row) => String(row.name));

describe('who reads the catalog', () => {
  it('has no right to a table, a sequence or a function below it', async () => {
    for (const role of ROLES) {
      const rights = await names(
        `SELECT format('%s %s', c.oid::regclass, p.privilege) AS name
         FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p(privilege)
         WHERE c.relnamespace IN ('antipode'::regnamespace, 'root'::regnamespace, 'antipode_migrations'::regnamespace)
           AND c.relkind IN ('r', 'v', 'm', 'p') AND has_table_privilege('${role}', c.oid, p.privilege)
         UNION ALL
         SELECT c.oid::regclass::text FROM pg_class c
         WHERE c.relnamespace IN ('antipode'::regnamespace, 'root'::regnamespace)
           AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('${role}', c.oid, 'USAGE, SELECT, UPDATE') ELSE false END
         UNION ALL
         SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace IN ('antipode'::regnamespace, 'root'::regnamespace) AND has_function_privilege('${role}', p.oid, 'EXECUTE')
         UNION ALL
         SELECT n.nspname FROM pg_namespace n
         WHERE n.nspname IN ('antipode', 'root', 'antipode_migrations') AND has_schema_privilege('${role}', n.oid, 'USAGE')
            OR n.nspname IN ('catalog', 'public') AND has_schema_privilege('${role}', n.oid, 'CREATE')`,
      );
      assert.deepEqual(rights, [], role);
    }
  });

  it('is refused by each table and each function', async () => {
    const tables = await names(
      "SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace IN ('antipode'::regnamespace, 'root'::regnamespace) AND c.relkind IN ('r', 'v')",
    );
    const functions = await names(
      `SELECT format('%s(%s)', p.oid::regproc, array_to_string(ARRAY(SELECT 'NULL::' || format_type(t, NULL) FROM unnest(p.proargtypes) t), ', ')) AS name
       FROM pg_proc p WHERE p.pronamespace IN ('antipode'::regnamespace, 'root'::regnamespace) AND p.prorettype <> 'trigger'::regtype`,
    );
    assert.ok(tables.length > 20 && functions.length > 40);
    for (const what of [...tables.map((t) => `SELECT 1 FROM ${t}`), ...functions.map((f) => `SELECT ${f}`)])
      for (const role of ROLES)
        await assert.rejects(as(role).query(what), { code: '42501' }, `${role}: ${what}`);
  });

  it('gets nothing by way of files, other databases, large objects, locks or temporary tables', async () => {
    const ways = [
      "COPY (SELECT 1) TO '/tmp/antipode-out'",
      "COPY (SELECT 1) TO PROGRAM 'true'",
      'COPY antipode.blob TO STDOUT',
      "SELECT pg_read_file('postgresql.conf')",
      "SELECT pg_ls_dir('.')",
      "SELECT lo_import('/etc/passwd')",
      "SELECT lo_from_bytea(0, 'x')",
      'SELECT pg_advisory_lock(3, 4)',
      'SELECT pg_current_xact_id()',
      "SELECT pg_logical_emit_message(false, 'a', 'b')",
      'SELECT * FROM pg_authid',
      'SELECT * FROM pg_hba_file_rules',
      'CREATE EXTENSION dblink',
      'CREATE TEMP TABLE mine AS SELECT 1',
      'CREATE TABLE catalog.mine (a text)',
      'CREATE FUNCTION catalog.mine() RETURNS text LANGUAGE sql AS $$ SELECT 1 $$',
      'ALTER VIEW catalog.objects SET (security_barrier = true)',
      'SET ROLE antipode_app',
      'SET SESSION AUTHORIZATION antipode_app',
      'SELECT * FROM objects FOR UPDATE',
      'DO $x$ BEGIN SET ROLE antipode_app; END $x$',
    ];
    const reader = as('antipode_reader');
    // Rights are what refuses, not that the transaction only reads.
    await reader.query('SET default_transaction_read_only = off');
    for (const way of ways) await assert.rejects(reader.query(way), { code: '42501' }, way);
  });

  it('sees no secret in any view, nor in what Postgres says of itself', async () => {
    const client = as('antipode_reader');
    const views = await names(
      "SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = 'catalog'::regnamespace AND c.relkind = 'v'",
    );
    const hex = Buffer.from(SECRET).toString('hex');
    for (const view of [...views, 'pg_stat_activity', 'pg_stats', 'pg_settings', 'pg_roles']) {
      const { rows } = await client.query<{ text: string }>(`SELECT v::text FROM ${view} v`);
      for (const secret of [SECRET, hex]) assert.ok(!rows.some((row) => row.text?.includes(secret)), view);
    }
    const { rows } = await client.query(
      "SELECT to_jsonb(k) - 'created_at' AS k FROM access_keys k ORDER BY 1",
    );
    assert.deepEqual(
      rows.map((row) => row.k),
      [
        { access_key_id: 'AKNEW', account: 'ada', status: 'active', user_name: null },
        { access_key_id: 'AKOLD', account: 'ada', status: 'active', user_name: null },
      ],
    );
  });

  it('has limits: connections, time, and transactions that only read', async () => {
    const { rows } = await as('antipode_reader').query(
      `SELECT current_setting('statement_timeout') AS statement, current_setting('idle_in_transaction_session_timeout') AS idle,
              (SELECT setting FROM pg_settings WHERE name = 'default_transaction_read_only') IS NOT NULL AS known,
              (SELECT rolconfig::text LIKE '%default_transaction_read_only=on%' FROM pg_roles WHERE rolname = 'antipode_reader') AS read_only,
              (SELECT rolconnlimit FROM pg_roles WHERE rolname = 'antipode_reader') AS connections`,
    );
    assert.deepEqual(rows, [
      { statement: '1min', idle: '1min', known: true, read_only: true, connections: 20 },
    ]);
    await assert.rejects(as('antipode_reader').query("SET statement_timeout = '50ms'; SELECT pg_sleep(30)"), {
      code: '57014',
    });
  });
});

describe('the views', () => {
  /** Of the owner of no rights but to the views. */
  async function plan(query: string): Promise<string> {
    const client = as('antipode_writer');
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${query}`);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  }

  it('let a filter through to the index that is made for it', async () => {
    await filled.sql(`
      INSERT INTO antipode.version (bucket_id, key, seq, version_id, is_latest, size, write_id, last_modified, etag, owner, tags)
      SELECT (SELECT id FROM antipode.bucket WHERE name = 'photos'), 'many/' || g, 1000 + g, 'null', true, g, gen_random_uuid(), now(), 'e', 'ada',
             CASE WHEN g % 500 = 0 THEN '{"rare": "yes"}' ELSE '{}' END::jsonb
      FROM generate_series(1, 20000) g`);
    await filled.sql('VACUUM ANALYZE antipode.version');
    const plans: [string, RegExp][] = [
      [
        "SELECT key FROM objects WHERE bucket = 'photos' AND key LIKE 'many/77%'",
        /version_live.*\n.*Index Cond:.*key >= 'many\/77'.*key </,
      ],
      [
        "SELECT key FROM objects WHERE bucket = 'photos' AND key = 'many/7'",
        /version_live.*\n.*Index Cond:.*key = /,
      ],
      [
        "SELECT key FROM objects WHERE bucket = 'photos' AND starts_with(key, 'many/77')",
        /version_live.*\n.*Index Cond:.*key >= 'many\/77'/,
      ],
      [
        "SELECT key FROM object_versions WHERE bucket = 'photos' AND key > 'many/99' AND key < 'many/999'",
        /version_(pk|live).*\n.*Index Cond:.*key > 'many\/99'/,
      ],
      [`SELECT key FROM objects WHERE tags @> '{"rare": "yes"}'`, /Bitmap Index Scan on version_labels/],
      [
        `SELECT key FROM object_versions WHERE metadata @> '{"camera": "K-3"}'`,
        /Bitmap Index Scan on version_labels/,
      ],
      [
        "SELECT * FROM prefix_usage('photos', beneath => 'many/77')",
        /version_live.*\n.*Index Cond:.*key >= 'many\/77'/,
      ],
    ];
    for (const [query, expected] of plans) assert.match(await plan(query), expected, query);
  });

  it('and their functions say in the database what docs/catalog.md says', async () => {
    const document = await readFile(join(REPO, 'docs/catalog.md'), 'utf8');
    const rows = await filled.sql(
      `SELECT c.relname AS view, a.attname AS name, obj_description(c.oid) AS of_view, col_description(c.oid, a.attnum) AS said
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
       WHERE c.relnamespace = 'catalog'::regnamespace AND c.relkind = 'v' AND c.relname <> 'changes'`,
    );
    assert.ok(rows.length > 150);
    for (const { view, name, of_view: ofView, said } of rows) {
      const section = document.split(`\n## \`catalog.${view}\`\n`)[1]?.split('\n## ')[0] ?? '';
      assert.ok(section.includes(String(ofView)), `${view}: ${ofView}`);
      const row = section.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
      assert.ok(row?.endsWith(`| ${said} |`), `${view}.${name}: ${said}`);
    }
    const functions = await names(
      "SELECT p.proname AS name FROM pg_proc p WHERE p.pronamespace = 'catalog'::regnamespace ORDER BY 1",
    );
    for (const name of functions) assert.ok(document.includes(`${name}(`), name);
    const silent = await names(
      "SELECT p.proname AS name FROM pg_proc p WHERE p.pronamespace = 'catalog'::regnamespace AND obj_description(p.oid) IS NULL",
    );
    assert.deepEqual(silent, []);
  });

  it('stand on no unlogged sequence: a promoted standby could not read it', async () => {
    const found = await names(
      "SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relkind = 'S' AND c.relpersistence <> 'p'",
    );
    assert.deepEqual(found, []);
  });

  it('have every column that they have ever had', async () => {
    const promised = JSON.parse(
      await readFile(join(REPO, 'test/fixtures/catalog-columns.json'), 'utf8'),
    ) as Record<string, Record<string, string>>;
    const columns = await filled.sql(
      `SELECT c.relname AS view, a.attname AS name, format_type(a.atttypid, NULL) AS type
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
       WHERE c.relnamespace = 'catalog'::regnamespace AND c.relkind = 'v'`,
    );
    const there = new Map(columns.map(({ view, name, type }) => [`${view}.${name}`, type]));
    for (const [view, own] of Object.entries(promised))
      for (const [name, type] of Object.entries(own))
        assert.equal(there.get(`${view}.${name}`), type, `${view}.${name}`);
  });
});
