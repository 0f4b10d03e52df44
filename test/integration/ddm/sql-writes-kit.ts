/** A catalog with logins that change it in SQL, and what they leave behind. */
import assert from 'node:assert/strict';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import type { BucketId } from '../../../src/base/ids.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit } from '../../contract/contract-kit.ts';
import { auditOf } from '../../harness/audit.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { testDatabase } from '../../harness/postgres.ts';

const open: { close(): Promise<unknown> }[] = [];
/** For `afterEach`. */
export const closeAll = async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
};

export async function world() {
  const { server, app } = await testDatabase();
  const catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  open.push(catalog);
  const kit = new Kit(catalog);
  const sql = async (text: string) =>
    (await server.admin(text, app.database)).rows as Record<string, unknown>[];
  const login = async (user = 'antipode_writer') => {
    const client = new pg.Client({ ...app, user });
    const warnings: string[] = [];
    client.on('notice', ({ message }) => warnings.push(message ?? ''));
    // At the end of a test the server may be faster.
    client.on('error', () => {});
    await client.connect();
    open.push({ close: () => client.end() });
    const run = async (text: string, values?: unknown[]) => {
      const { rows, rowCount } = await client.query(text, values);
      return { rows: rows as Record<string, unknown>[], rowCount };
    };
    return { run, warnings };
  };
  const bucket = async (o: Parameters<Kit['bucket']>[0] = {}) => {
    const id = await kit.bucket(o);
    const [row] = await sql(`SELECT name FROM antipode.bucket WHERE id = ${id}`);
    return { id, name: String(row!.name) };
  };
  const events = async (id: BucketId) =>
    (
      await sql(`SELECT kind, key FROM antipode.outbox WHERE bucket_id = ${id} AND key <> '' ORDER BY id`)
    ).map(({ kind, key }) => `${kind} ${key}`);
  const isSound = async () => {
    assert.deepEqual(await auditOf(sql), {});
    assert.deepEqual(await sql('SELECT * FROM antipode.audit_usage()'), []);
    assert.deepEqual(
      await sql('SELECT FROM antipode.sql_change UNION ALL SELECT FROM antipode.sql_write'),
      [],
    );
  };
  return { catalog, kit, sql, login, bucket, events, isSound, app, server };
}
export type World = Awaited<ReturnType<typeof world>>;

export const sqlstate = (code: string, message: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, code, String(error));
  assert.match((error as Error).message, message);
  return true;
};
export const versionsOf = (w: World, id: BucketId) =>
  w.sql(`SELECT key, version_id AS id, is_latest AS latest, is_delete_marker AS marker, user_metadata AS meta, tags,
         system_metadata AS headers, size::integer FROM antipode.version WHERE bucket_id = ${id} ORDER BY key, seq DESC`);
