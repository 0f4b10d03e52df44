/**
 * Changes in SQL through the views, by a login of antipode_writer: they obey what S3 obeys, keep the directory's books, and
 * skip what has changed meanwhile.
 */
import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { type BucketId, newWriteId } from '../../../src/base/ids.ts';
import type { Bucket, PutVersion } from '../../../src/ddm/catalog.ts';
import { ATTRIBUTES, mustBeDone, reasonOf } from '../../contract/contract-kit.ts';
import { stopSharedServer } from '../../harness/postgres.ts';
import { closeAll, sqlstate, versionsOf, world } from './sql-writes-kit.ts';

afterEach(closeAll);
after(stopSharedServer);

const DAY_MS = 24 * 3_600_000;

describe('DELETE FROM catalog.objects', () => {
  for (const versioning of ['unversioned', 'enabled', 'suspended'] as Bucket['versioning'][])
    it(`is S3's delete in a bucket that is ${versioning}`, async () => {
      const w = await world();
      const { id, name } = await w.bucket({ versioning });
      const twin = await w.bucket({ versioning });
      for (const key of ['logs/1', 'logs/2', 'kept']) {
        await w.kit.put(id, key);
        await w.kit.put(twin.id, key);
      }
      const writer = await w.login();
      const done = await writer.run(`DELETE FROM catalog.objects WHERE bucket = $1 AND key LIKE 'logs/%'`, [
        name,
      ]);
      assert.equal(done.rowCount, 2);
      for (const key of ['logs/1', 'logs/2']) mustBeDone(await w.kit.delete(twin.id, key));
      const shape = async (b: BucketId) =>
        (await versionsOf(w, b)).map((v) => [v.key, v.id === 'null', v.latest, v.marker, v.size]);
      assert.deepEqual(await shape(id), await shape(twin.id));
      assert.deepEqual(await w.events(id), await w.events(twin.id));
      assert.deepEqual(await w.kit.keys(id), ['kept']);
      const dying = await w.sql(`SELECT FROM antipode.blob WHERE state = 'dying'`);
      assert.equal(dying.length, versioning === 'enabled' ? 0 : 4);
      assert.deepEqual(writer.warnings, []);
      const { rows } = await writer.run('SELECT changed, skipped FROM catalog.last_write()');
      assert.deepEqual(rows, [{ changed: '2', skipped: '0' }]);
      await w.isSound();
    });

  it('takes effect with COMMIT, holds no lock before, and none at all after ROLLBACK', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    await w.kit.put(id, 'a');
    await w.kit.put(id, 'b');
    const writer = await w.login();
    await writer.run('BEGIN');
    await writer.run('DELETE FROM catalog.objects WHERE bucket = $1', [name]);
    // Nobody waits for a transaction that is thought about.
    await w.kit.put(id, 'b');
    await writer.run('ROLLBACK');
    assert.deepEqual(await w.kit.keys(id), ['a', 'b']);
    await writer.run('BEGIN');
    await writer.run('DELETE FROM catalog.objects WHERE bucket = $1', [name]);
    await w.kit.put(id, 'b');
    await writer.run('COMMIT');
    assert.deepEqual(await w.kit.keys(id), ['b'], 'b had changed since');
    assert.match(writer.warnings.join(), /1 of 2 rows had changed/);
    const { rows } = await writer.run('SELECT changed, skipped FROM catalog.last_write()');
    assert.deepEqual(rows, [{ changed: '1', skipped: '1' }]);
    await w.isSound();
  });
});

describe('DELETE FROM catalog.object_versions', () => {
  it('removes exactly those versions, several of a key at once', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ versioning: 'enabled' });
    for (let i = 0; i < 3; i++) await w.kit.put(id, 'a', { etag: `a${i}` });
    await w.kit.put(id, 'b');
    mustBeDone(await w.kit.delete(id, 'b'));
    const writer = await w.login();
    const old = `DELETE FROM catalog.object_versions WHERE bucket = $1 AND NOT is_latest`;
    assert.equal((await writer.run(old, [name])).rowCount, 3);
    assert.deepEqual(
      (await versionsOf(w, id)).map((v) => [v.key, v.latest, v.marker]),
      [
        ['a', true, false],
        ['b', true, true],
      ],
    );
    const all = await writer.run('DELETE FROM catalog.object_versions WHERE bucket = $1', [name]);
    assert.equal(all.rowCount, 2);
    assert.deepEqual(await versionsOf(w, id), []);
    assert.deepEqual(writer.warnings, []);
    assert.deepEqual((await w.events(id)).slice(-5).sort(), [
      ...['delete a', 'delete a', 'delete a', 'delete b', 'delete b'],
    ]);
    await w.isSound();
  });

  it('obeys retention and legal holds; governance is bypassed by members of a role that say so', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ objectLock: true });
    const until = new Date(Date.now() + DAY_MS);
    const put = (key: string, more: Partial<PutVersion['attributes']>) =>
      w.kit.put(id, key, { attributes: { ...ATTRIBUTES, ...more } });
    await put('governance', { retention: { mode: 'GOVERNANCE', until } });
    await put('compliance', { retention: { mode: 'COMPLIANCE', until } });
    await put('hold', { legalHold: true });
    await put('free', {});
    const remove = `DELETE FROM catalog.object_versions WHERE bucket = '${name}'`;
    const writer = await w.login();
    await assert.rejects(writer.run(remove), sqlstate('42501', /object lock forbids removing s3:/));
    assert.equal((await versionsOf(w, id)).length, 4, 'all or nothing');
    for (const key of ['governance', 'compliance', 'hold'])
      await assert.rejects(writer.run(`${remove} AND key = '${key}'`), sqlstate('42501', /object lock/));
    await writer.run('SET antipode.bypass_governance = on');
    const bypassing = `${remove} AND key = 'governance'`;
    await assert.rejects(writer.run(bypassing), sqlstate('42501', /may not bypass/));
    await w.sql(`CREATE ROLE sql_officer_1 LOGIN IN ROLE antipode_writer, antipode_bypass_governance`);
    const officer = await w.login('sql_officer_1');
    await assert.rejects(officer.run(bypassing), sqlstate('42501', /object lock/));
    await officer.run('SET antipode.bypass_governance = on');
    assert.equal((await officer.run(bypassing)).rowCount, 1);
    for (const key of ['compliance', 'hold'])
      await assert.rejects(officer.run(`${remove} AND key = '${key}'`), sqlstate('42501', /object lock/));
    // Marking as deleted removes nothing.
    assert.equal((await officer.run(`DELETE FROM catalog.objects WHERE bucket = '${name}'`)).rowCount, 3);
    await writer.run('RESET antipode.bypass_governance');
    assert.equal((await writer.run(`${remove} AND key = 'free'`)).rowCount, 2);
    await w.isSound();
  });
});

describe('UPDATE', () => {
  it('of tags is in place, of metadata a new version that shares the bytes', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ versioning: 'enabled' });
    const attributes = { ...ATTRIBUTES, user: { a: '1' }, system: { contentType: 'text/plain' } };
    await w.kit.put(id, 'key', { attributes });
    const upload = await w.kit.upload(id, 'multi');
    await w.kit.part(id, upload.uploadId, 1, 7);
    mustBeDone(await w.kit.complete(id, upload, [1], 7));
    await w.kit.put(id, 'empty', { size: 0, content: { kind: 'empty' } });
    const writer = await w.login();
    await writer.run(`UPDATE catalog.objects SET tags = tags || '{"team": "blue"}' WHERE bucket = $1`, [
      name,
    ]);
    assert.equal((await versionsOf(w, id)).length, 3);
    await writer.run(
      `UPDATE catalog.objects SET metadata = metadata || '{"b": "2"}', content_type = 'text/html' WHERE bucket = $1`,
      [name],
    );
    const rows = await versionsOf(w, id);
    assert.equal(rows.length, 6);
    const [latest, before] = rows.filter((v) => v.key === 'key');
    assert.deepEqual(
      [latest!.meta, latest!.tags, latest!.headers, latest!.latest],
      [{ a: '1', b: '2' }, { team: 'blue' }, { contentType: 'text/html' }, true],
    );
    assert.deepEqual(
      [before!.meta, before!.tags, before!.headers, before!.latest],
      [{ a: '1' }, { team: 'blue' }, { contentType: 'text/plain' }, false],
    );
    const found = await w.catalog.findVersion(id, 'multi');
    assert.deepEqual([found?.size, found?.content.kind, found?.etag], [7, 'manifest', 'whole-1']);
    await assert.rejects(
      writer.run(`UPDATE catalog.object_versions SET metadata = '{}' WHERE bucket = $1`, [name]),
      sqlstate('0A000', /metadata of a version never changes/),
    );
    await writer.run(`UPDATE catalog.object_versions SET tags = '{}' WHERE bucket = $1 AND NOT is_latest`, [
      name,
    ]);
    assert.deepEqual((await versionsOf(w, id)).filter((v) => v.key === 'key')[1]?.tags, {});
    assert.deepEqual(
      (await w.events(id)).filter((event) => event.endsWith(' key')),
      [...['put key', 'tags key', 'put key', 'tags key']],
    );
    await w.isSound();
  });

  it('of metadata replaces where there are no versions', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    const acl = [{ grantee: { group: 'AllUsers' }, permission: 'READ' }] as const;
    const attributes = { ...ATTRIBUTES, acl, encryption: { algorithm: 'AES256', keyId: 'k' } };
    await w.kit.put(id, 'key', { etag: 'same', attributes });
    const writer = await w.login();
    const set = `UPDATE catalog.objects SET metadata = '{"origin": "mars"}' WHERE bucket = $1 RETURNING key`;
    assert.deepEqual((await writer.run(set, [name])).rows, [{ key: 'key' }]);
    const rows = await versionsOf(w, id);
    assert.deepEqual(
      rows.map((v) => [v.id, v.meta]),
      [['null', { origin: 'mars' }]],
    );
    assert.deepEqual(await w.events(id), ['put key', 'put key']);
    const found = await w.catalog.findVersion(id, 'key');
    assert.deepEqual([found?.acl, found?.encryption], [acl, attributes.encryption]);
    // As they are when it is committed.
    await writer.run('BEGIN');
    await writer.run(`UPDATE catalog.objects SET metadata = '{}' WHERE bucket = $1`, [name]);
    const named = { writeId: newWriteId(), bucketId: id, key: 'key' };
    mustBeDone(await w.catalog.amendVersion({ ...named, acl: [], storageClass: 'COLD' }));
    await writer.run('COMMIT');
    const later = await w.catalog.findVersion(id, 'key');
    assert.deepEqual([later?.user, later?.acl, later?.storageClass], [{}, [], 'COLD']);
    await w.isSound();
  });

  it('refuses what S3 would refuse, other columns, and other statements', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ versioning: 'enabled' });
    await w.kit.put(id, 'key');
    const before = await versionsOf(w, id);
    const writer = await w.login();
    const many = JSON.stringify(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`t${i}`, ''])));
    for (const [set, code, message] of [
      [`tags = '{"": "x"}'`, '22023', /tag '' is not valid/],
      [`tags = '{"a": "<"}'`, '22023', /tag 'a' is not valid/],
      [`tags = '{"aws:a": "b"}'`, '22023', /not valid/],
      [`tags = '{"a": 1}'`, '22023', /not valid/],
      [`tags = '[]'`, '22023', /must be an object/],
      [`tags = '${many}'`, '22023', /at most 10/],
      [`metadata = '{"Upper": "x"}'`, '22023', /'Upper' is not valid/],
      [`metadata = '{"a": "two\\nlines"}'`, '22023', /'a' is not valid/],
      [`metadata = '{"a": "snow ☃"}'`, '22023', /'a' is not valid/],
      [`metadata = jsonb_build_object('a', repeat('x', 2048))`, '22023', /at most 2048/],
      [`headers = '{"etag": "x"}'`, '22023', /'etag' is not valid/],
      [`key = 'other'`, '0A000', /only tags, metadata/],
      [`size = 1`, '0A000', /only tags, metadata/],
      [`retain_until = now()`, '0A000', /only tags, metadata/],
    ] as const)
      await assert.rejects(
        writer.run(`UPDATE catalog.objects SET ${set} WHERE bucket = $1`, [name]),
        sqlstate(code, message),
        set,
      );
    for (const [statement, code] of [
      [`INSERT INTO catalog.objects (bucket, key) VALUES ('${name}', 'x')`, '55000'],
      ['TRUNCATE catalog.objects', '42809'],
      ['DELETE FROM antipode.version', '42501'],
      ['UPDATE antipode.version SET size = 0', '42501'],
      ['SELECT * FROM antipode.version', '42501'],
      ["INSERT INTO antipode.sql_change (tx, bucket, key, seq, op) VALUES ('1', 1, '', 1, '{}')", '42501'],
      ['DELETE FROM antipode.outbox', '42501'],
      [`SELECT antipode.commit_batch('[]', 1)`, '42501'],
      ['DELETE FROM catalog.buckets', '55000'],
      ['DELETE FROM catalog.changes', '55000'],
      ['SELECT * FROM root.access_key', '42501'],
    ] as const)
      await assert.rejects(writer.run(statement), (error: unknown) => {
        const is = (error as { code?: string }).code;
        assert.ok(is === code || is === '42501', `${statement}: ${String(error)}`);
        return true;
      });
    const reader = await w.login('antipode_reader');
    await reader.run('SET default_transaction_read_only = off');
    await assert.rejects(reader.run('DELETE FROM catalog.objects'), sqlstate('42501', /permission denied/));
    assert.deepEqual(await versionsOf(w, id), before);
    await w.isSound();
  });

  it('obeys quotas', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ versioning: 'enabled' });
    await w.kit.put(id, 'key');
    mustBeDone(await w.catalog.setBucketQuota(id, { objects: 1 }));
    const writer = await w.login();
    const set = `UPDATE catalog.objects SET metadata = '{"a": "b"}' WHERE bucket = '${name}'`;
    await assert.rejects(writer.run(set), sqlstate('53100', /a quota forbids/));
    await writer.run(`UPDATE catalog.objects SET tags = '{"a": "b"}' WHERE bucket = '${name}'`);
    await writer.run(`DELETE FROM catalog.object_versions WHERE bucket = '${name}'`);
    await w.kit.put(id, 'key');
    assert.equal(reasonOf(await w.kit.tryPut(id, 'key')), 'over-quota');
    await w.isSound();
  });
});

describe('rows that change meanwhile', () => {
  it('are skipped, whatever changed, and the rest is done', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ objectLock: true });
    for (const key of ['same', 'tags', 'hold', 'overwritten', 'deleted', 'removed']) await w.kit.put(id, key);
    const versions = new Map((await versionsOf(w, id)).map((v) => [v.key, String(v.id)]));
    const writer = await w.login();
    await writer.run('BEGIN');
    const { rowCount } = await writer.run('DELETE FROM catalog.objects WHERE bucket = $1', [name]);
    assert.equal(rowCount, 6);
    const named = (key: string) => ({
      ...{ bucketId: id, key, versionId: versions.get(key)!, writeId: crypto.randomUUID() as never },
    });
    mustBeDone(await w.catalog.setTags({ ...named('tags'), tags: { keep: 'me' } }));
    mustBeDone(await w.catalog.setLegalHold({ ...named('hold'), legalHold: true }));
    await w.kit.put(id, 'overwritten');
    mustBeDone(await w.kit.delete(id, 'deleted'));
    mustBeDone(await w.kit.delete(id, 'removed', { versionId: versions.get('removed')! }));
    await writer.run('COMMIT');
    assert.match(writer.warnings.join(), /5 of 6 rows had changed/);
    assert.deepEqual(await w.kit.keys(id), ['hold', 'overwritten', 'tags']);
    await w.isSound();
  });

  it('in a bucket that is made anew are other rows', async () => {
    const w = await world();
    const { id, name } = await w.bucket();
    await w.kit.put(id, 'key');
    const writer = await w.login();
    await writer.run('BEGIN');
    await writer.run('DELETE FROM catalog.objects WHERE bucket = $1', [name]);
    mustBeDone(await w.kit.delete(id, 'key'));
    mustBeDone(await w.catalog.deleteBucket(id));
    const again = await w.catalog.createBucket({
      ...{ name, owner: 'owner-1' as never, region: 'us-east-1', objectLock: false },
    });
    await w.kit.put(mustBeDone(again).id, 'key');
    await writer.run('COMMIT');
    assert.match(writer.warnings.join(), /1 of 1 rows/);
    assert.deepEqual(await w.kit.keys(mustBeDone(again).id), ['key']);
    await w.isSound();
  });

  it('beside S3 writers: nothing deadlocks, nothing is counted wrong', async () => {
    const w = await world();
    const { id, name } = await w.bucket({ versioning: 'enabled' });
    const plain = await w.bucket();
    const keys = Array.from({ length: 12 }, (_, i) => `key-${i}`);
    let isOver = false;
    const s3 = async (seed: number) => {
      for (let i = seed; !isOver; i += 5) {
        const bucket = i % 2 ? id : plain.id;
        const key = keys[i % keys.length]!;
        if (i % 3) await w.kit.put(bucket, key);
        else mustBeDone(await w.kit.delete(bucket, key));
      }
    };
    const statements = [
      `DELETE FROM catalog.objects WHERE bucket IN ('${name}', '${plain.name}') AND key > 'key-3'`,
      `DELETE FROM catalog.object_versions WHERE bucket = '${name}' AND NOT is_latest`,
      `UPDATE catalog.objects SET tags = '{"round": "1"}' WHERE bucket = '${plain.name}'`,
      `UPDATE catalog.objects SET metadata = '{"round": "1"}' WHERE bucket IN ('${name}', '${plain.name}')`,
    ];
    const writers = [0, 1].map(async (n) => {
      const writer = await w.login();
      for (let round = 0; round < 10; round++) await writer.run(statements[(round + n) % statements.length]!);
    });
    const clients = [0, 1, 2, 3].map(s3);
    await Promise.all(writers).finally(() => {
      isOver = true;
    });
    await Promise.all(clients);
    const [deadlocks] = await w.sql(
      `SELECT deadlocks::integer AS n FROM pg_stat_database WHERE datname = '${w.app.database}'`,
    );
    assert.equal(deadlocks?.n, 0);
    await w.isSound();
  });
});
