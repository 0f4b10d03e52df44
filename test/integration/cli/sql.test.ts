/**
 * `antipode sql` and the logins of people, over two servers that ask for passwords, with the roles that a directory gets at its
 * start.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../../src/base/clock.ts';
import type { BucketId, PairId } from '../../../src/base/ids.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import { openPeopleSql, type PeopleSql } from '../../../src/ddm/people/people.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { preparePrimary } from '../../../src/launcher/directory-roles.ts';
import { Kit, mustBeDone, newName, OWNER } from '../../contract/contract-kit.ts';
import { quiet } from '../../harness/catalog.ts';
import { initCluster, startServer, type TestServer } from '../../harness/postgres.ts';
import { ROOT as ROOT_KEY, startAdmin } from '../admin/admin-harness.ts';

const CLI = resolve(import.meta.dirname, '../../../src/cli.ts');
const PAIRS = ['directory/5', 'directory/6'] as PairId[];
const [FIRST, SECOND] = PAIRS as [PairId, PairId];
const PASSWORDS = { superuser: '', replication: 'r', owner: 'o', app: 'a', reader: 'e', writer: 'w' };

const servers = new Map<PairId, TestServer>();
const away = new Set<PairId>();
let term = 1;
let people: PeopleSql;
let admin: Awaited<ReturnType<typeof startAdmin>>;
const closing: (() => Promise<unknown>)[] = [];

const login = (pair: PairId, user: string, password: string): PostgresConnection => ({
  ...servers.get(pair)!.connection('antipode', user),
  ...{ password, term },
});

async function startDirectory(pair: PairId): Promise<void> {
  const dataDir = await initCluster();
  const rules = ['postgres 127.0.0.1/32 trust', 'all 127.0.0.1/32 scram-sha-256'];
  await writeFile(join(dataDir, 'pg_hba.conf'), rules.map((rule) => `host all ${rule}\n`).join(''));
  const server = await startServer(dataDir);
  servers.set(pair, server);
  closing.push(() => server.stop());
  const superuser = new pg.Client({ ...server.connection('postgres') });
  await superuser.connect();
  await preparePrimary(superuser, PASSWORDS);
  await superuser.query('CREATE ROLE dba LOGIN');
  await superuser.end();
  await migrate(login(pair, 'antipode_owner', PASSWORDS.owner));
}

before(async () => {
  await Promise.all(PAIRS.map(startDirectory));
  const primary = (pair: PairId, user: string, password: string) =>
    away.has(pair) ? null : login(pair, user, password);
  const catalog = await openCatalog({
    ...{ root: FIRST, log: quiet, clock: systemClock },
    locator: { pairs: () => PAIRS, primary: (pair) => primary(pair, 'antipode_app', PASSWORDS.app) },
  });
  closing.push(() => catalog.close());
  people = openPeopleSql({
    pairs: () => PAIRS,
    owner: (pair) => primary(pair, 'antipode_owner', PASSWORDS.owner),
    clock: systemClock,
  });
  admin = await startAdmin({ sql: people });
  closing.push(() => admin.close());
  const kit = new Kit(catalog);
  const buckets = new Map<PairId, BucketId>();
  while (buckets.size < 2) {
    const made = { name: newName(), owner: OWNER, region: 'us-east-1', objectLock: false };
    const { id, directory } = mustBeDone(await catalog.createBucket(made));
    if (!buckets.has(directory)) await kit.put(id, `key of ${directory}`);
    buckets.set(directory, id);
  }
});
after(async () => {
  for (const close of closing.reverse()) await close();
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function antipode(args: readonly string[], input?: string): Promise<Ended> {
  const env = {
    ...{ PATH: process.env.PATH ?? '', HOME: tmpdir() },
    ...{ ANTIPODE_ACCESS_KEY: ROOT_KEY.accessKeyId, ANTIPODE_SECRET_KEY: ROOT_KEY.secretAccessKey },
  };
  const child = spawn(process.execPath, [CLI, ...args, '--admin', admin.host], { cwd: tmpdir(), env });
  const out = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    out.stderr += chunk;
  });
  child.stdin.end(input ?? '');
  return new Promise((done) => child.once('close', (code) => done({ code, ...out })));
}

/** Each directory's lines but for the rows, short, and the rows. */
async function ask(text: string, o: { write?: boolean; timeoutMs?: number; rowsMax?: number } = {}) {
  const order = { text, write: false, timeoutMs: 30_000, rowsMax: 100, ...o };
  const rows: unknown[][] = [];
  const ends: string[] = [];
  for await (const line of people.run(order, new AbortController().signal)) {
    if (line.type === 'row') rows.push([line.directory, ...line.values]);
    else if (line.type === 'failed')
      ends.push(`${line.directory} ${line.outcome}${line.code ? ` ${line.code}` : ''}`);
    else if (line.type === 'done')
      ends.push(`${line.directory} ${line.command} ${line.rows}${line.cut ? ' cut' : ''}`);
  }
  return { rows, ends };
}

describe('antipode sql', () => {
  it("makes the gateways' own logins where there are none, also when two ask at once", async () => {
    const asked = await Promise.all([ask('SELECT 1'), ask('SELECT 1'), ask('SELECT 1')]);
    for (const { ends } of asked)
      assert.deepEqual(
        ends,
        PAIRS.map((pair) => `${pair} SELECT 1`),
      );
  });

  it('asks every directory and labels the rows: a table, JSON lines, CSV', async () => {
    const query = "SELECT key, tags, 9007199254740993 AS big, 'a,\"b' AS odd FROM objects";
    const table = await antipode(['sql', query]);
    assert.equal(table.code, 0, table.stderr);
    assert.deepEqual(
      table.stdout.split('\n').map((line) => line.replace(/ +/g, ' ')),
      [
        'directory key tags big odd',
        'directory/5 key of directory/5 {} 9007199254740993 a,"b',
        'directory/6 key of directory/6 {} 9007199254740993 a,"b',
        '',
      ],
    );
    const json = await antipode(['sql', '--json', '--max', '1'], `${query}, generate_series(1, 2)`);
    assert.match(json.stderr, /^directory\/5: cut after 1 rows; --max shows more\n/);
    assert.deepEqual(
      json.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      PAIRS.map((directory) => ({
        ...{ directory, key: `key of ${directory}`, tags: {}, big: '9007199254740993', odd: 'a,"b' },
      })),
    );
  });

  it('says how a query went wrong, and what a pair did not answer', async () => {
    const wrong = await antipode(['sql', 'SELECT nothing FROM objects']);
    assert.deepEqual([wrong.code, wrong.stdout], [1, '']);
    assert.equal(
      wrong.stderr,
      'directory/5: column "nothing" does not exist [42703] (at character 8)\ndirectory/6: not run\n',
    );
    away.add(SECOND);
    try {
      const shorter = await antipode(['sql', '--json', 'SELECT key FROM objects']);
      assert.equal(shorter.code, 3);
      assert.equal(shorter.stdout.trim().split('\n').length, 1);
      assert.match(shorter.stderr, /^directory\/6: did not answer: /);
    } finally {
      away.clear();
    }
  });

  it('cuts what is long, and says so', async () => {
    const { rows, ends } = await ask('SELECT repeat(md5(n::text), 10) FROM generate_series(1, 300000) n', {
      rowsMax: 3,
    });
    assert.equal(rows.length, 6);
    assert.deepEqual(ends, ['directory/5 SELECT 3 cut', 'directory/6 SELECT 3 cut']);
    const all = await ask('SELECT n FROM generate_series(1, 20000) n', { rowsMax: 20_000 });
    assert.equal(all.rows.length, 40_000);
  });

  it('ends what takes too long, takes one statement, and changes nothing without --write', async () => {
    assert.deepEqual((await ask('SELECT pg_sleep(60)', { timeoutMs: 100 })).ends, [
      'directory/5 refused 57014',
      'directory/6 not-run',
    ]);
    const refused: [string, string][] = [
      ['SELECT 1; SELECT 2', '42601'],
      ["DELETE FROM objects WHERE key = 'x'", '42501'],
      ['SET default_transaction_read_only = off; DELETE FROM objects', '42601'],
      ['SELECT * FROM antipode.version', '42501'],
    ];
    for (const [query, code] of refused)
      assert.equal((await ask(query)).ends[0], `directory/5 refused ${code}`, query);
  });

  it('--write runs on one pair after the other, and nowhere when one cannot be asked', async () => {
    const change = `UPDATE objects SET tags = '{"seen": "yes"}'`;
    away.add(SECOND);
    assert.deepEqual((await ask(change, { write: true })).ends, [
      'directory/5 not-run',
      'directory/6 unavailable',
    ]);
    away.clear();
    assert.deepEqual((await ask("SELECT key FROM objects WHERE tags <> '{}'")).rows, []);
    const done = await antipode(['sql', '--write', change]);
    assert.equal(done.code, 0, done.stderr);
    assert.equal(done.stderr, 'directory/5: UPDATE 1\ndirectory/6: UPDATE 1\n');
    assert.equal((await ask("SELECT key FROM objects WHERE tags <> '{}'")).rows.length, 2);
    assert.equal(
      (await ask('DELETE FROM antipode.blob', { write: true })).ends[0],
      'directory/5 refused 42501',
    );
  });

  it('does not take the answer of a server that is no longer the primary', async () => {
    for (const [write, outcome] of [
      [false, 'unavailable'],
      [true, 'unknown'],
    ] as const) {
      const order = { text: 'SELECT generate_series(1, 3)', write, timeoutMs: 30_000, rowsMax: 100 };
      const ends: string[] = [];
      for await (const line of people.run(order, new AbortController().signal)) {
        if (line.directory !== FIRST) continue;
        if (line.type === 'row') term++;
        if (line.type === 'failed') ends.push(line.outcome);
        assert.notEqual(line.type, 'done');
      }
      assert.deepEqual(ends, [outcome]);
    }
  });
});

async function connectAs(pair: PairId, user: string, password: string): Promise<pg.Client> {
  const client = new pg.Client({ ...login(pair, user, password) });
  client.on('error', () => {});
  await client.connect();
  return client;
}

describe('logins for SQL', () => {
  it('are made on every directory, with limits, and nobody keeps the password', async () => {
    const made = await antipode(['user', 'create', 'ada', '--sql', '--json']);
    assert.equal(made.code, 0, made.stderr);
    const { password } = JSON.parse(made.stdout) as { password: string };
    for (const pair of PAIRS) {
      const client = await connectAs(pair, 'ada', password);
      const { rows } = await client.query(
        `SELECT count(*)::int AS keys, current_setting('default_transaction_read_only') AS read_only,
                current_setting('statement_timeout') AS timeout FROM objects`,
      );
      assert.deepEqual(rows, [{ keys: 1, read_only: 'on', timeout: '1min' }]);
      await assert.rejects(client.query('SELECT * FROM antipode.version'), { code: '42501' });
      await client.end();
      const { rows: kept } = await servers
        .get(pair)!
        .admin(
          "SELECT rolconnlimit AS most, rolpassword LIKE 'SCRAM-SHA-256$%' AS verifier FROM pg_authid WHERE rolname = 'ada'",
        );
      assert.deepEqual(kept, [{ most: 5, verifier: true }]);
    }
    const again = await admin.send('POST', '/sql-logins', { body: { name: 'ada' } });
    assert.deepEqual([again.status, again.json.code], [409, 'LoginExists']);
    const body = { name: 'ada', renew: true, write: true };
    const renewed = (await admin.send('POST', '/sql-logins', { body })).json as { password: string };
    await assert.rejects(connectAs(SECOND, 'ada', password), /password authentication failed/);
    const client = await connectAs(SECOND, 'ada', renewed.password);
    const { rowCount } = await client.query("UPDATE objects SET tags = '{}'");
    assert.equal(rowCount, 1);
    assert.deepEqual(await people.logins.list(), [{ name: 'ada', write: true, directories: PAIRS }]);
    const ended = new Promise((done) => client.once('end', done));
    const deleted = await antipode(['user', 'delete', 'ada', '--sql']);
    assert.deepEqual([deleted.code, deleted.stdout], [0, 'deleted SQL login ada\n']);
    await ended;
    assert.deepEqual(await people.logins.list(), []);
    assert.equal((await admin.send('DELETE', '/sql-logins/ada')).status, 404);
  });

  it('are no other roles, and are made nowhere when a directory does not answer', async () => {
    for (const [name, said] of [
      ['dba', /dba is a role of the database/],
      ['antipode_app', /are taken/],
      ['Ada"; DROP', /lower-case letters/],
    ] as const) {
      const { status, json } = await admin.send('POST', '/sql-logins', { body: { name } });
      assert.ok(status >= 400 && status < 500);
      assert.match(json.message, said);
    }
    away.add(SECOND);
    await assert.rejects(
      people.logins.create({ name: 'bob', write: false, renew: false }),
      /nobody is known to answer/,
    );
    away.clear();
    assert.deepEqual(await people.logins.list(), []);
    await assert.rejects(people.logins.delete('dba'), { reason: 'no-such-login' });
  });

  it('let the role of the ready line in, with the password of the data folder', async () => {
    const client = await connectAs(FIRST, 'antipode_reader', PASSWORDS.reader);
    const { rows } = await client.query('SELECT bucket FROM buckets');
    assert.equal(rows.length >= 1, true);
    await client.end();
  });
});
