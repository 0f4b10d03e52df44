/** The carried Postgres: made, started, stopped, killed, and a twin seeded from it. Real servers on a subnet of their own. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { makePairFolders, reseedStandby } from '../../../src/launcher/directory-folder.ts';
import { preparePrimary } from '../../../src/launcher/directory-roles.ts';
import { type RunningPostgres, startPostgres } from '../../../src/launcher/postgres.ts';
import { findPostgres, type PostgresBinaries, type RunAs } from '../../../src/launcher/postgres-binaries.ts';
import { writeSynchronousSet } from '../../../src/launcher/postgres-config.ts';
import { processesIn } from '../../../src/launcher/postgres-processes.ts';
import { makeFolder, type Subnets, takeSubnets } from '../../harness/store.ts';

const PASSWORDS = { superuser: 's', replication: 'r', owner: 'o', app: 'a', reader: 'e', writer: 'w' };

let subnets: Subnets;
let binaries: PostgresBinaries;
const folder = makeFolder();
const dirs = { a: join(folder, 'a', 'pg'), b: join(folder, 'b', 'pg') };
const running = new Set<RunningPostgres>();

before(async () => {
  subnets = await takeSubnets();
  binaries = await findPostgres(join(folder, 'lib'));
  await makePairFolders(binaries, {
    primary: dirs.a,
    standby: dirs.b,
    superuserPassword: PASSWORDS.superuser,
    progress: () => {},
  });
});
after(async () => {
  await Promise.all([...running].map((server) => server.kill()));
  rmSync(folder, { recursive: true, force: true });
  subnets.release();
});

const host = (side: 'a' | 'b') => `127.${side === 'a' ? 1 : 2}.${subnets.octet}.5`;

async function start(side: 'a' | 'b', from = binaries): Promise<RunningPostgres> {
  const upstream = { host: host('a'), port: 7432, password: PASSWORDS.replication, name: 'twin' };
  const server = await startPostgres(from, {
    dataDir: dirs[side],
    host: host(side),
    port: 7432,
    clients: [],
    logDir: join(folder, side, 'log'),
    ...(side === 'b' ? { upstream } : {}),
  });
  running.add(server);
  void server.ended.then(() => running.delete(server));
  return server;
}

async function ask<T extends pg.QueryResultRow>(side: 'a' | 'b', sql: string): Promise<T[]> {
  const client = new pg.Client({
    host: host(side),
    port: 7432,
    user: 'postgres',
    password: 's',
    database: 'postgres',
  });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function prepare(): Promise<void> {
  const client = new pg.Client({
    host: host('a'),
    port: 7432,
    user: 'postgres',
    password: 's',
    database: 'postgres',
  });
  await client.connect();
  await preparePrimary(client, PASSWORDS);
  await client.end();
}

async function startAndPrepare(): Promise<RunningPostgres> {
  const server = await start('a');
  await prepare();
  return server;
}

async function streaming(): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const [row] = await ask<{ n: string }>(
      'a',
      "SELECT count(*) AS n FROM pg_stat_replication WHERE state = 'streaming'",
    );
    if (row?.n === '1') return;
    await sleep(20);
  }
  throw new Error('the twin does not stream');
}

describe('one server', () => {
  it('listens on its address alone, with fsync, checksums and scram', async () => {
    const server = await start('a');
    const [row] = await ask<Record<string, string>>(
      'a',
      `SELECT current_setting('listen_addresses') AS listen, current_setting('fsync') AS fsync,
              current_setting('data_checksums') AS checksums, current_setting('unix_socket_directories') AS sockets,
              current_setting('synchronous_commit') AS commit, current_setting('server_encoding') AS encoding`,
    );
    assert.deepEqual(row, {
      listen: host('a'),
      fsync: 'on',
      checksums: 'on',
      sockets: '',
      commit: 'remote_apply',
      encoding: 'UTF8',
    });
    await server.stop();
    assert.equal(await server.ended, 'exit code 0');
  });

  it('does not let anybody in without the password', async () => {
    const server = await start('a');
    const client = new pg.Client({ host: host('a'), port: 7432, user: 'postgres', password: 'wrong' });
    await assert.rejects(client.connect(), /password authentication failed/);
    await server.stop();
  });

  it('gives people who read the catalog none of what Postgres gives everybody', async () => {
    const server = await startAndPrepare();
    await prepare();
    const client = new pg.Client({
      ...{ host: host('a'), port: 7432, user: 'antipode_reader', password: 'e', database: 'antipode' },
    });
    await client.connect();
    for (const call of [
      "lo_from_bytea(0, 'x')",
      'lo_creat(-1)',
      'pg_advisory_lock(1)',
      'pg_try_advisory_xact_lock(3, 4)',
      'pg_current_xact_id()',
      'txid_current()',
      "pg_logical_emit_message(false, 'a', 'b')",
    ])
      await assert.rejects(client.query(`SELECT ${call}`), /permission denied for function/, call);
    await assert.rejects(client.query('CREATE TEMP TABLE t ()'), /permission denied/);
    await client.end();
    await server.stop();
  });

  it('leaves no process when its postmaster is killed, and starts again', async () => {
    const server = await start('a');
    process.kill(server.pid, 'SIGKILL');
    assert.equal(await server.ended, 'ended by SIGKILL');
    assert.deepEqual(processesIn(dirs.a), []);
    await (await start('a')).stop();
  });

  it('can be ended when all of it is stopped', async () => {
    const server = await start('a');
    for (const pid of processesIn(dirs.a)) process.kill(pid, 'SIGSTOP');
    await server.kill();
    assert.deepEqual(processesIn(dirs.a), []);
  });

  it('takes the place of one that an earlier owner left running', async () => {
    const left = await start('a');
    const server = await start('a');
    assert.equal(await left.ended, 'exit code 0');
    assert.notEqual(server.pid, left.pid);
    await server.stop();
  });

  it('says why it does not start', async () => {
    const settings = {
      dataDir: dirs.a,
      host: '198.51.100.7',
      port: 7432,
      clients: [],
      logDir: join(folder, 'a', 'log'),
    };
    await assert.rejects(
      startPostgres(binaries, settings),
      /did not start \(exit code 1\): could not create any TCP/,
    );
  });
});

describe('a pair', () => {
  it('streams from the first start, and commits wait for the twin', async () => {
    writeSynchronousSet(dirs.a, 'twin');
    const [a, b] = await Promise.all([startAndPrepare(), start('b')]);
    await streaming();
    await ask('a', 'CREATE TABLE t AS SELECT 1 AS x');
    assert.deepEqual(await ask('b', 'SELECT x FROM t'), [{ x: 1 }]);
    await b.stop();
    writeSynchronousSet(dirs.a, null);
    a.reload();
    await ask('a', 'INSERT INTO t VALUES (2)');
    await a.stop();
  });

  it('gets a lost twin back from a base backup, and keeps the old folder until then', async () => {
    const a = await startAndPrepare();
    rmSync(join(dirs.b, 'global'), { recursive: true });
    await reseedStandby({ host: host('a'), port: 7432, password: PASSWORDS.replication }, dirs.b);
    assert.ok(existsSync(`${dirs.b}.aside`));
    assert.ok(!existsSync(join(dirs.b, 'synchronous.conf')), 'the twin must not wait for itself');
    const b = await start('b');
    await streaming();
    assert.deepEqual(await ask('b', 'SELECT x FROM t ORDER BY x'), [{ x: 1 }, { x: 2 }]);
    await b.stop();
    await a.stop();
  });
});

const notRoot = process.getuid?.() !== 0 && 'only root can become somebody else';
describe('as root without namespaces', { skip: notRoot }, () => {
  it('runs as nobody, on a folder that root used before, and the other way round', async () => {
    // What lies below a 0700 home cannot be reached by another uid; then only namespaces help.
    const nobody: RunAs = { kind: 'uid', uid: 65_534, gid: 65_534 };
    let other: PostgresBinaries;
    try {
      other = await findPostgres(join(folder, 'lib'), [nobody]);
    } catch {
      return;
    }
    for (const path of [folder, join(folder, 'a')]) chmodSync(path, 0o711);
    const server = await start('a', other);
    const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
    assert.match(status, /^Uid:\s+65534/m);
    assert.equal((await ask<{ n: string }>('a', 'SELECT count(*) AS n FROM t'))[0]?.n, '2');
    await server.stop();
    await (await start('a')).stop();
  });
});
