/** Two agents and their servers, without a decider: what a promotion keeps, and how an old primary comes to follow. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import pino from 'pino';
import type { MemberId } from '../../../src/base/ids.ts';
import { type MemberConfig, readMemberConfig } from '../../../src/config.ts';
import { DirectoryAgent } from '../../../src/launcher/directory-agent.ts';
import { dropAside, isStandbyFolder, makePairFolders } from '../../../src/launcher/directory-folder.ts';
import type { DirectoryRole, FromMember } from '../../../src/launcher/messages.ts';
import { findPostgres, type PostgresBinaries } from '../../../src/launcher/postgres-binaries.ts';
import { killFolder } from '../../../src/launcher/postgres-processes.ts';
import type { PromotionStep } from '../../../src/launcher/promotion.ts';
import { parseHistory } from '../../../src/launcher/rejoin.ts';
import { makeSecrets, readPasswords } from '../../../src/launcher/secrets.ts';
import { makeFolder, type Subnets, takeSubnets } from '../../harness/store.ts';

type Side = 'a' | 'b';
const other = (side: Side): Side => (side === 'a' ? 'b' : 'a');
const idOf = (side: Side) => `directory-${side}5` as MemberId;

let subnets: Subnets;
let binaries: PostgresBinaries;
const folder = makeFolder();
const secretsDir = join(folder, 'secrets');
const pgOf = (side: Side) => join(folder, idOf(side), 'pg');
const host = (side: Side) => `127.${side === 'a' ? 1 : 2}.${subnets.octet}.5`;

class Member {
  readonly agent: DirectoryAgent;
  readonly progress: string[] = [];
  #turn = 0;
  #waiting: ((message: FromMember & { type: 'postgres' }) => void) | null = null;

  constructor(side: Side, at?: (step: PromotionStep) => Promise<void> | void) {
    const outlet = {
      log: pino({ level: 'silent' }),
      send: (message: FromMember) => {
        if (message.type === 'progress') this.progress.push(message.step);
        if (message.type === 'postgres' && message.turn === this.#turn) this.#waiting?.(message);
      },
    };
    this.agent = new DirectoryAgent(configOf(side), outlet, binaries, at);
  }
  async take(role: DirectoryRole): Promise<{ pid: number | null; problem?: string | undefined }> {
    const said = new Promise<FromMember & { type: 'postgres' }>((resolve) => {
      this.#waiting = resolve;
    });
    this.agent.take(role, ++this.#turn);
    const { pid, problem } = await said;
    return { pid, problem };
  }
}

function configOf(side: Side): MemberConfig {
  const member = (s: Side) => ({ id: idOf(s), kind: 'directory', address: host(s), port: 7432 });
  const config = {
    member: idOf(side),
    dataDir: join(folder, idOf(side)),
    secretsDir,
    cluster: {
      centers: (['a', 'b'] as const).map((s) => ({
        name: s,
        subnets: [`127.${s === 'a' ? 1 : 2}.${subnets.octet}.0/24`],
      })),
      members: [member('a'), member('b')],
    },
  };
  const path = join(folder, `${side}.json`);
  writeFileSync(path, JSON.stringify(config));
  return readMemberConfig(path, 'directory');
}

async function query<T extends pg.QueryResultRow>(side: Side, text: string): Promise<T[]> {
  const client = new pg.Client({
    host: host(side),
    port: 7432,
    user: 'postgres',
    password: readPasswords(secretsDir).superuser,
    database: 'postgres',
  });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

const primary = (side: Side, synchronous: boolean): DirectoryRole => ({
  kind: 'primary',
  synchronous,
  twin: idOf(other(side)),
});
const standby = (side: Side): DirectoryRole => ({
  kind: 'standby',
  primary: idOf(other(side)),
  reseed: false,
});

async function streams(from: Side): Promise<void> {
  for (let i = 0; i < 1_500; i++) {
    const [row] = await query<{ level: boolean }>(
      from,
      `SELECT bool_or(state = 'streaming' AND replay_lsn >= pg_current_wal_flush_lsn()) AS level FROM pg_stat_replication`,
    );
    if (row?.level) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the standby does not follow');
}

const count = async (side: Side): Promise<number> =>
  (await query<{ n: number }>(side, 'SELECT count(*)::int AS n FROM probe'))[0]!.n;

let members: Record<Side, Member>;
before(async () => {
  subnets = await takeSubnets();
  makeSecrets(secretsDir, { accessKeyId: 'x', secretKey: 'y' });
  for (const side of ['a', 'b'] as const) mkdirSync(join(folder, idOf(side)), { recursive: true });
  binaries = await findPostgres(join(folder, 'lib'));
  await makePairFolders(binaries, {
    primary: pgOf('a'),
    standby: pgOf('b'),
    superuserPassword: readPasswords(secretsDir).superuser,
    progress: () => {},
  });
  members = { a: new Member('a'), b: new Member('b') };
  await members.a.take(primary('a', true));
  await members.b.take(standby('b'));
  await query('a', 'CREATE TABLE probe (id int PRIMARY KEY)');
});
after(async () => {
  await Promise.all([members.a.agent.end(), members.b.agent.end()]);
  await Promise.all([killFolder(pgOf('a')), killFolder(pgOf('b'))]);
  rmSync(folder, { recursive: true, force: true });
  subnets.release();
});

describe('a promotion', () => {
  it('of a standby whose primary was killed keeps every acknowledged row; the old primary is seeded, its folder set aside', async () => {
    await query('a', 'INSERT INTO probe SELECT generate_series(1, 1000)');
    await killFolder(pgOf('a'));
    assert.notEqual((await members.b.take(primary('b', false))).pid, null);
    assert.equal(await count('b'), 1_000);
    await query('b', 'INSERT INTO probe VALUES (1001)');
    const lived = await members.a.take(standby('a'));
    assert.notEqual(lived.pid, null, lived.problem ?? '');
    await streams('b');
    assert.equal(await count('a'), 1_001);
    assert.ok(existsSync(join(`${pgOf('a')}.aside`, 'PG_VERSION')), 'what it was is set aside');
    assert.ok(isStandbyFolder(pgOf('a')));
    dropAside(pgOf('a'));
    members.b.agent.setSynchronous(true);
  });

  it('of a standby whose primary ended in order: it follows as it is', async () => {
    const seeded = members.b.progress.length;
    assert.equal((await members.b.take({ kind: 'off' })).pid, null);
    assert.notEqual((await members.a.take(primary('a', false))).pid, null);
    await query('a', 'INSERT INTO probe VALUES (1002)');
    await members.b.take(standby('b'));
    await streams('a');
    assert.equal(await count('b'), 1_002);
    assert.match(members.b.progress.slice(seeded).join(), /as it is/);
    assert.ok(!existsSync(`${pgOf('b')}.aside`));
    const slots = await query<{ n: number }>('b', 'SELECT count(*)::int AS n FROM pg_replication_slots');
    assert.equal(slots[0]!.n, 0, 'the slot it had as primary would keep WAL for nobody');
  });

  for (const [index, broken] of (['replayed', 'promoted', 'prepared'] as const).entries())
    it(`broken off when it had ${broken} goes on at the next start, with all rows`, async () => {
      const old: Side = index % 2 === 0 ? 'a' : 'b';
      const next = other(old);
      const rows = await count(old);
      await members[old].take({ kind: 'off' });
      await members[next].agent.end();
      const dying = new Member(next, async (step) => {
        if (step !== broken) return;
        await killFolder(pgOf(next));
        throw new Error('killed here');
      });
      // As a supervisor that starts again would have it: the folder is a standby's, the record says primary.
      assert.equal((await dying.take(primary(next, false))).pid, null);
      await dying.agent.end();
      members[next] = new Member(next);
      assert.notEqual((await members[next].take(primary(next, false))).pid, null);
      assert.equal(await count(next), rows);
      assert.ok(!isStandbyFolder(pgOf(next)));
      assert.notEqual((await members[old].take(standby(old))).pid, null);
      await streams(next);
    });
});

describe('a history of timelines', () => {
  it('says where each timeline was left', () => {
    const text =
      '1\t0/5000060\tno recovery target specified\n\n2\tA/FF000028\tno recovery target specified\n';
    assert.deepEqual(
      [...parseHistory(text)],
      [
        [1, 0x5000060n],
        [2, 0xaff000028n],
      ],
    );
  });
});
