/** Migrations: complete, repeatable, safe at once, and as the committed dump says. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { migrate } from '../../../src/ddm/migrate.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import { dumpSchema } from '../../harness/schema-dump.ts';

after(stopSharedServer);

describe('migrations', () => {
  it('make the schema that migrations/schema.sql shows', async () => {
    const { owner } = await testDatabase();
    const committed = await readFile(join(import.meta.dirname, '../../../migrations/schema.sql'), 'utf8');
    assert.equal(
      await dumpSchema(owner),
      committed,
      'run `node scripts/dump-schema.ts` and look at the difference',
    );
  });

  it('change nothing when run again', async () => {
    const { owner } = await testDatabase();
    const before = await dumpSchema(owner);
    await migrate(owner);
    assert.equal(await dumpSchema(owner), before);
  });

  it('run once when several processes start at once', async () => {
    const { server } = await testDatabase();
    await server.admin('CREATE DATABASE migrated_at_once');
    const connection = server.connection('migrated_at_once');
    await Promise.all([migrate(connection), migrate(connection), migrate(connection), migrate(connection)]);
    const { rows } = await server.admin(
      'SELECT count(*) = count(DISTINCT name) AS once, count(*) > 5 AS all FROM antipode_migrations.applied',
      'migrated_at_once',
    );
    assert.deepEqual(rows, [{ once: true, all: true }]);
  });

  it('give the gateway no right to change what is written once, or the schema', async () => {
    const { server, app } = await testDatabase();
    const { rows } = await server.admin(
      `SELECT has_table_privilege('antipode_app', 'antipode.outbox', 'UPDATE') AS outbox,
              has_table_privilege('antipode_app', 'root.condition_history', 'DELETE') AS history,
              has_schema_privilege('antipode_app', 'antipode', 'CREATE') AS schema,
              has_function_privilege('public', 'antipode.commit_batch(jsonb, bigint)', 'EXECUTE') AS everybody`,
      app.database,
    );
    assert.deepEqual(rows, [{ outbox: false, history: false, schema: false, everybody: false }]);
  });
});
