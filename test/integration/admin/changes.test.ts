/**
 * `antipode changes` and its admin routes over two real directories: the merged stream, consumers, and going on after a
 * directory or the gateway was away.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import pg from 'pg';
import type { ChangeEventLine, ChangeLine, ConsumersReport } from '../../../src/admin/changes-api.ts';
import { systemClock } from '../../../src/base/clock.ts';
import type { PairId } from '../../../src/base/ids.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { Kit, mustBeDone, newName, OWNER } from '../../contract/contract-kit.ts';
import { quiet, ROOT as ROOT_PAIR } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import { ROOT, startAdmin } from './admin-harness.ts';

const CLI = resolve(import.meta.dirname, '../../../src/cli.ts');
const SECOND = 'directory/6' as PairId;
const WAIT_MS = 30_000;

const closing: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
  await stopSharedServer();
});

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > end) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A gateway's catalog over two directory pairs, its admin server, and a bucket in each pair. */
async function world() {
  const connections = new Map<PairId, PostgresConnection>([
    [ROOT_PAIR, (await testDatabase()).app],
    [SECOND, (await testDatabase()).app],
  ]);
  const away = new Set<PairId>();
  const catalog = await openCatalog({
    ...{ root: ROOT_PAIR, log: quiet, clock: systemClock, timeouts: { waitMs: 200, connectMs: 1_000 } },
    locator: {
      pairs: () => [...connections.keys()],
      primary: (pair) => (away.has(pair) ? null : connections.get(pair)!),
    },
  });
  closing.push(() => catalog.close());
  let admin = await startAdmin({ feed: catalog });
  closing.push(() => admin.close());
  const kit = new Kit(catalog);
  const buckets = new Map<PairId, { name: string; id: Awaited<ReturnType<Kit['bucket']>> }>();
  while (buckets.size < 2) {
    const name = newName();
    const made = { name, owner: OWNER, region: 'us-east-1', objectLock: false };
    const { id, directory } = mustBeDone(await catalog.createBucket(made));
    buckets.set(directory, { name, id });
  }
  return {
    ...{ catalog, kit, buckets, away, connections },
    first: buckets.get(ROOT_PAIR)!,
    second: buckets.get(SECOND)!,
    admin: () => admin,
    /** Another gateway at the same address. */
    async restart(downMs: number) {
      const [host, port] = admin.host.split(':');
      await admin.close();
      await new Promise((resolve) => setTimeout(resolve, downMs));
      admin = await startAdmin({ feed: catalog, listen: { host: host!, port: Number(port) } });
    },
  };
}
type World = Awaited<ReturnType<typeof world>>;

function cli(w: World, args: readonly string[]) {
  const env = {
    PATH: process.env.PATH,
    HOME: tmpdir(),
    ANTIPODE_ACCESS_KEY: ROOT.accessKeyId,
    ANTIPODE_SECRET_KEY: ROOT.secretAccessKey,
  };
  const flags = ['--admin', w.admin().host, '--data', join(tmpdir(), 'antipode-no-such-folder')];
  const child: ChildProcess = spawn(process.execPath, [CLI, 'changes', ...args, ...flags], { env });
  const lines: string[] = [];
  let said = '';
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line));
  child.stderr!.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  closing.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const documents = () => lines.map((line) => JSON.parse(line) as Exclude<ChangeLine, { type: 'position' }>);
  const keys = () => documents().map((line) => (line as ChangeEventLine).key);
  return { child, lines, ended, documents, keys, said: () => said };
}

describe('antipode changes', () => {
  it('says what has happened in all directories, and can be told where to begin and what to leave out', async () => {
    const w = await world();
    await w.kit.put(w.first.id, 'logs/a');
    await w.kit.put(w.second.id, 'logs/b');
    await w.kit.put(w.second.id, 'other');
    const all = cli(w, ['--json']);
    assert.equal(await all.ended, 0, all.said());
    const changes = all.documents() as ChangeEventLine[];
    const ofSecond = changes.filter((change) => change.directory === SECOND);
    assert.deepEqual(
      ofSecond.filter(({ bucket }) => bucket === w.second.name).map(({ kind, key }) => [kind, key]),
      [
        ['bucket-created', undefined],
        ['put', 'logs/b'],
        ['put', 'other'],
      ],
    );
    assert.equal(new Set(changes.map(({ event }) => event)).size, changes.length);
    const at = ofSecond.find(({ key }) => key === 'logs/b')!;
    const rest = cli(w, ['--json', '--from', at.position]);
    assert.equal(await rest.ended, 0, rest.said());
    assert.ok(rest.keys().includes('other'));
    assert.ok(!rest.keys().includes('logs/b'));
    const some = cli(w, ['--bucket', w.second.name, '--prefix', 'logs/']);
    assert.equal(await some.ended, 0, some.said());
    assert.equal(some.lines.length, 1);
    assert.match(some.lines[0]!, new RegExp(` put +s3://${w.second.name}/logs/b .* 3 bytes$`));
  });

  it('follows, and goes on where it was after a directory and then the gateway were away', async () => {
    const w = await world();
    await w.kit.put(w.second.id, 'before');
    const follower = cli(w, ['--follow', '--json', '--from', 'now']);
    let n = 0;
    // It has begun once it says one of these.
    await until('the first line', async () => {
      await w.kit.put(w.first.id, `first-${n++}`);
      return follower.lines.length > 0;
    });
    w.away.add(SECOND);
    await w.kit.put(w.first.id, 'meanwhile');
    await until('the line of the other directory', () => follower.keys().includes('meanwhile'));
    w.away.delete(SECOND);
    await w.kit.put(w.second.id, 'back');
    await until('the line of the one that was away', () => follower.keys().includes('back'));
    await w.restart(300);
    await w.kit.put(w.second.id, 'restarted');
    await until('the line after the restart', () => follower.keys().includes('restarted'));
    assert.match(follower.said(), /trying again/);
    assert.ok(!follower.keys().includes('before'));
    const events = follower.documents().map(({ event }) => event);
    assert.equal(new Set(events).size, events.length, 'it went on behind the last line');
    follower.child.kill('SIGINT');
    await follower.ended;
  });

  it('keeps the place of a consumer in every directory', async () => {
    const w = await world();
    await w.kit.put(w.first.id, 'one');
    await w.kit.put(w.second.id, 'two');
    const first = cli(w, ['--json', '--consumer', 'index']);
    assert.equal(await first.ended, 0, first.said());
    assert.deepEqual(first.keys().filter(Boolean).sort(), ['one', 'two']);
    await w.kit.put(w.second.id, 'three');
    const second = cli(w, ['--json', '--consumer', 'index']);
    assert.equal(await second.ended, 0, second.said());
    assert.deepEqual(second.keys(), ['three']);
    const listed = cli(w, ['consumers', 'list', '--json']);
    assert.equal(await listed.ended, 0, listed.said());
    const consumers = JSON.parse(listed.lines[0]!) as ConsumersReport['consumers'];
    assert.deepEqual(
      consumers.map(({ name, directory, unread, lagSeconds }) => [name, directory, unread, lagSeconds]),
      [
        ['index', ROOT_PAIR, 0, 0],
        ['index', SECOND, 0, 0],
      ],
    );
    const gone = cli(w, ['consumers', 'delete', 'index']);
    assert.equal(await gone.ended, 0, gone.said());
  });
});

describe('the routes of the feed', () => {
  it('make, move and refuse consumers, and tell a gap', async () => {
    const w = await world();
    const { send } = w.admin();
    const made = await send('POST', '/changes/consumers', { body: { name: 'slow', from: 'beginning' } });
    assert.equal(made.status, 201);
    await w.kit.put(w.second.id, 'lost');
    const client = new pg.Client(w.connections.get(SECOND)!);
    await client.connect();
    await client.query('SELECT antipode.trim_outbox(0, 0, 100)');
    await client.end();
    const read = await send('GET', '/changes', { query: { consumer: 'slow', bucket: w.second.name } });
    const lines = read.text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as ChangeLine);
    const gap = lines.find((line) => line.type === 'gap');
    assert.ok(gap && gap.directory === SECOND && gap.changes! >= 2);
    const { position } = lines.at(-1)!;
    const route = '/changes/consumers/slow';
    assert.equal((await send('PATCH', route, { body: { position } })).status, 204);
    const after = await send('GET', '/changes', { query: { consumer: 'slow' } });
    assert.equal(after.text.trim(), '');
    for (const [method, path, body, status] of [
      ['PATCH', '/changes/consumers/nobody', { position }, 404],
      ['PATCH', route, { position: 'directory/9:1-1' }, 400],
      ['PATCH', route, { position: '1-1' }, 400],
      ['POST', '/changes/consumers', { name: 'no spaces' }, 400],
      ['POST', '/changes/consumers', { name: 'late', from: 'yesterday' }, 400],
      ['DELETE', route, undefined, 204],
      ['DELETE', route, undefined, 404],
    ] as const)
      assert.equal((await send(method, path, { body })).status, status, `${method} ${path}`);
  });
});

describe('catalog.changes', () => {
  it('shows the same in SQL, and has a comment on every column', async () => {
    const w = await world();
    await w.kit.put(w.first.id, 'one', { size: 3, etag: 'etag-1' });
    mustBeDone(await w.kit.delete(w.first.id, 'one'));
    const { server, database } = { server: w.connections.get(ROOT_PAIR)!, database: undefined };
    const client = new pg.Client({
      ...server,
      user: 'antipode_reader',
      database: database ?? server.database,
    });
    await client.connect();
    const { rows } = await client.query(
      `SELECT kind, key, size, etag, deleted_marker AS marker FROM catalog.changes
       WHERE bucket = $1 ORDER BY transaction, number`,
      [w.first.name],
    );
    const { rows: bare } = await client.query(
      `SELECT a.attname FROM pg_attribute a WHERE a.attrelid = 'catalog.changes'::regclass AND a.attnum > 0
       AND col_description(a.attrelid, a.attnum) IS NULL`,
    );
    await client.end();
    const nothing = { size: null, etag: null, marker: null };
    assert.deepEqual(rows, [
      { kind: 'bucket-created', key: null, ...nothing },
      { kind: 'put', key: 'one', size: '3', etag: 'etag-1', marker: null },
      { kind: 'delete', key: 'one', ...nothing, marker: false },
    ]);
    assert.deepEqual(bare, []);
  });
});
