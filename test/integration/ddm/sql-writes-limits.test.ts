/** What a login of antipode_writer cannot do: too much at once, hold the directory up, or act as somebody else. */
import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import type { BucketId } from '../../../src/base/ids.ts';
import { stopSharedServer } from '../../harness/postgres.ts';
import { closeAll, sqlstate, type World, world } from './sql-writes-kit.ts';

afterEach(closeAll);
after(stopSharedServer);

describe('what a login cannot do with it', () => {
  /** Objects of no bytes, written as commits would have them. */
  const fill = (w: World, id: BucketId, n: number) =>
    w.sql(`
      INSERT INTO antipode.version (bucket_id, key, seq, version_id, is_latest, size, write_id, last_modified, etag, owner)
      SELECT ${id}, 'key-' || i, nextval('antipode.version_seq'), 'null', true, 0, gen_random_uuid(), now(), 'e', 'owner-1'
      FROM generate_series(1, ${n}) i;
      INSERT INTO antipode.usage_delta (bucket_id, versions, bytes) VALUES (${id}, ${n}, 0)`);

  it('change more than so many rows in a transaction, or nothing is changed', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    assert.deepEqual(await w.sql('SELECT antipode.sql_rows_max() AS max'), [{ max: 10_000 }]);
    await w.sql(
      'CREATE OR REPLACE FUNCTION antipode.sql_rows_max() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 20 $$',
    );
    await fill(w, id, 21);
    const writer = await w.login();
    const all = `DELETE FROM catalog.objects WHERE bucket = '${name}'`;
    await assert.rejects(writer.run(all), sqlstate('54000', /at most 20 rows/));
    await writer.run('BEGIN');
    await writer.run(`${all} AND key < 'key-5'`);
    await writer.run(`SET LOCAL antipode.sql_rows = ''`);
    await writer.run(`${all} AND key >= 'key-5'`);
    await assert.rejects(writer.run('COMMIT'), sqlstate('54000', /at most 20 rows/));
    assert.equal((await w.kit.keys(id)).length, 21);
    assert.equal((await writer.run(`${all} AND key <> 'key-1'`)).rowCount, 20);
    assert.deepEqual(await w.kit.keys(id), ['key-1']);
    await w.isSound();
  });

  it('fill the table of locks: a thousand keys are locked one by one, more by their bucket', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    await fill(w, id, 1_100);
    const writer = await w.login();
    let round = 0;
    const locks = async (keys: string) => {
      await writer.run('BEGIN');
      await writer.run(
        `UPDATE catalog.objects SET tags = jsonb_build_object('round', '${++round}') WHERE bucket = '${name}' AND ${keys}`,
      );
      await writer.run('SET CONSTRAINTS ALL IMMEDIATE');
      const [row] =
        await w.sql(`SELECT count(*)::integer AS n FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())`);
      await writer.run('COMMIT');
      return row!.n;
    };
    assert.equal(await locks(`key < 'key-2'`), 213);
    assert.equal(await locks('true'), 1);
    const [done] = await w.sql(
      `SELECT count(*)::integer AS n FROM antipode.version WHERE tags @> '{"round": "2"}'`,
    );
    assert.equal(done?.n, 1_100);
    await w.isSound();
  });

  it('put its own tables, functions or operators in the place of ours', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    await w.kit.put(id, 'key');
    await w.sql(`
      GRANT TEMPORARY ON DATABASE ${w.app.database} TO antipode_writer;
      CREATE SCHEMA evil AUTHORIZATION antipode_writer`);
    const writer = await w.login();
    await writer.run('CREATE TEMP TABLE sql_write (tx xid8)');
    await writer.run('CREATE TEMP TABLE version (LIKE pg_catalog.pg_class)');
    await writer.run('CREATE TEMP TABLE stolen (who text)');
    for (const [signature, result] of [
      ['apply_batch(jsonb, bigint)', 'jsonb'],
      ['jsonb_build_object(text, text)', 'jsonb'],
      ['count(text)', 'bigint'],
      ['pg_current_xact_id()', 'xid8'],
    ])
      for (const schema of ['evil', 'pg_temp'])
        await writer.run(`CREATE FUNCTION ${schema}.${signature} RETURNS ${result} LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO pg_temp.stolen VALUES (current_user); RETURN NULL; END $$`);
    await writer.run(`CREATE FUNCTION evil.same(text, text) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO pg_temp.stolen VALUES (current_user); RETURN true; END $$`);
    await writer.run('CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same)');
    await writer.run('SET search_path = evil, pg_temp, catalog, pg_catalog');
    await writer.run(`DELETE FROM catalog.objects WHERE bucket OPERATOR(pg_catalog.=) '${name}'`);
    const { rows } = await writer.run('SELECT who FROM pg_temp.stolen');
    assert.deepEqual(rows, []);
    assert.deepEqual(await w.kit.keys(id), []);
    await w.isSound();
  });

  it('commit without the twin, or see what is not there any more', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    await w.kit.put(id, 'key');
    const writer = await w.login();
    await writer.run('SET synchronous_commit = off');
    await writer.run('BEGIN');
    await writer.run(`DELETE FROM catalog.objects WHERE bucket = '${name}'`);
    await writer.run('SET CONSTRAINTS ALL IMMEDIATE');
    const { rows } = await writer.run('SHOW synchronous_commit');
    await writer.run('COMMIT');
    assert.deepEqual(rows, [{ synchronous_commit: 'remote_apply' }]);
    for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
      await writer.run(`BEGIN ISOLATION LEVEL ${level}`);
      await assert.rejects(writer.run('DELETE FROM catalog.objects'), sqlstate('25000', /READ COMMITTED/));
      await writer.run('ROLLBACK');
    }
    await w.isSound();
  });
});
