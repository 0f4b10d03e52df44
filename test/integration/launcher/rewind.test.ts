/** An old primary that went its own way is rewound, where the binary is: with Debian's Postgres 15, since the carried one has none. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { isStandbyFolder } from '../../../src/launcher/directory-folder.ts';
import { preparePrimary } from '../../../src/launcher/directory-roles.ts';
import { initPostgres } from '../../../src/launcher/postgres.ts';
import { findPostgres, type PostgresBinaries, wrap } from '../../../src/launcher/postgres-binaries.ts';
import { killFolder } from '../../../src/launcher/postgres-processes.ts';
import { rejoin } from '../../../src/launcher/rejoin.ts';
import { freePort } from '../../harness/postgres.ts';
import { makeFolder } from '../../harness/store.ts';

const BIN = '/usr/lib/postgresql/15/bin';
const PASSWORDS = { superuser: 's', replication: 'r', owner: 'o', app: 'a', reader: 'e', writer: 'w' };
const folder = makeFolder();
const dirs = { a: join(folder, 'a', 'pg'), b: join(folder, 'b', 'pg') };

after(async () => {
  await Promise.all(Object.values(dirs).map((dir) => killFolder(dir)));
  rmSync(folder, { recursive: true, force: true });
});

function start(binaries: PostgresBinaries, dir: string, port: number, upstream?: number): ChildProcess {
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    fsync: 'off',
    ...(upstream === undefined
      ? {}
      : {
          primary_conninfo: `host=127.0.0.1 port=${upstream} user=postgres password=${PASSWORDS.superuser} sslmode=disable`,
        }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = wrap(binaries, binaries.postgres, ['-D', dir, ...args]);
  return spawn(command.file, command.args, { ...command.options, stdio: 'ignore', detached: true });
}

async function ask<T extends pg.QueryResultRow>(port: number, sql: string): Promise<T[]> {
  for (const until = performance.now() + 30_000; ; await sleep(100)) {
    const login = { host: '127.0.0.1', port, user: 'postgres', password: 's', database: 'postgres' };
    const client = new pg.Client(login);
    client.on('error', () => {});
    try {
      await client.connect();
      return (await client.query<T>(sql)).rows;
    } catch (error) {
      if (performance.now() > until) throw error;
    } finally {
      await client.end().catch(() => {});
    }
  }
}

const noRewind = existsSync(join(BIN, 'pg_rewind')) ? false : `${BIN}/pg_rewind is not on this machine`;

it('an old primary that went its own way is rewound, and what it was is set aside', {
  skip: noRewind,
}, async () => {
  const carried = await findPostgres(join(folder, 'lib'));
  const bin = (name: string) => join(BIN, name);
  const binaries: PostgresBinaries = {
    ...{ postgres: bin('postgres'), initdb: bin('initdb'), rewind: bin('pg_rewind') },
    ...{ runAs: carried.runAs, libraryPath: null },
  };
  for (const dir of Object.values(dirs)) mkdirSync(join(dir, '..'), { recursive: true });
  await initPostgres(binaries, { dataDir: dirs.a, superuserPassword: PASSWORDS.superuser });
  await cp(dirs.a, dirs.b, { recursive: true });
  writeFileSync(join(dirs.b, 'standby.signal'), '');
  const [portA, portB] = [await freePort(), await freePort()];

  start(binaries, dirs.a, portA);
  start(binaries, dirs.b, portB, portA);
  const client = new pg.Client({ host: '127.0.0.1', port: portA, user: 'postgres', password: 's' });
  await ask(portA, 'SELECT');
  await client.connect();
  await preparePrimary(client, PASSWORDS);
  await client.end();
  await ask(portA, 'CREATE TABLE probe (what text); ');
  await ask(portA, "INSERT INTO probe VALUES ('both')");
  for (let n = 0; n === 0; await sleep(50)) n = (await ask(portB, 'SELECT what FROM probe')).length;
  await killFolder(dirs.b);
  await ask(portA, "INSERT INTO probe VALUES ('the old one alone')");
  await killFolder(dirs.a);

  start(binaries, dirs.b, portB);
  await ask(portB, 'SELECT pg_promote()');
  await ask(portB, "INSERT INTO probe VALUES ('the new one')");
  const warnings: unknown[] = [];
  const how = await rejoin({
    ...{ binaries, dataDir: dirs.a, seed: false, superuserPassword: PASSWORDS.superuser },
    source: { host: '127.0.0.1', port: portB, password: PASSWORDS.replication },
    log: { warn: (facts) => warnings.push(facts) },
  });
  assert.deepEqual(warnings, []);
  assert.equal(how, 'rewound');
  assert.ok(isStandbyFolder(dirs.a));
  assert.ok(existsSync(`${dirs.a}.aside`));
  start(binaries, dirs.a, portA, portB);
  for (const until = performance.now() + 30_000; ; await sleep(50)) {
    const rows = await ask<{ what: string }>(portA, 'SELECT what FROM probe');
    if (rows.length === 2) {
      assert.deepEqual(rows.map(({ what }) => what).sort(), ['both', 'the new one']);
      break;
    }
    assert.ok(performance.now() < until, JSON.stringify(rows));
  }
});
