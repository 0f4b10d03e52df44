/**
 * The queries of docs/catalog.md, run as a reader on a catalog that has something of everything: each stands there as it is
 * tested here. Times, version ids and blob ids are not known beforehand: @, # and ~ stand for them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { openPeopleSql, type PeopleSql } from '../../../src/ddm/people/people.ts';
import { ROOT } from '../../harness/catalog.ts';
import { type FilledCatalog, fillCatalog } from '../../harness/filled-catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

const GROWTH = 'Growth by day';
/** In no order: what an ORDER BY leaves open is the server's choice. */
const ANSWERS: Readonly<Record<string, readonly (readonly unknown[])[]>> = {
  'What buckets hold': [
    ['photos', 'ada', 10, 30_000_611, 23],
    ['vault', 'ada', 3, 180, 0],
    ['logs', 'ada', 5, 75, 0],
  ],
  'Buckets near their quota': [['logs', 75, 80, 5, null]],
  'Largest objects': [
    ['photos', 'movie.mp4', 30_000_000, '@'],
    ['photos', '2025/02/c.png', 300, '@'],
    ['photos', '2025/01/a.jpg', 100, '@'],
    ['photos', '2025/01/b.jpg', 100, '@'],
    ['photos', '2025/01/copy.jpg', 100, '@'],
    ['vault', 'held.pdf', 70, '@'],
    ['vault', 'later.pdf', 60, '@'],
    ['vault', 'soon.pdf', 50, '@'],
    ['logs', 'app.log', 30, '@'],
    ['logs', 'parked.log', 8, '@'],
    ['photos', '2024/old.txt', 5, '@'],
    ['photos', 'readme', 3, '@'],
    ['photos', 'README', 2, '@'],
    ['photos', 'bad\u0007key', 1, '@'],
    ['photos', 'empty', 0, '@'],
  ],
  'Largest prefixes of a bucket': [
    ['', 5, 30_000_006],
    ['2025/', 4, 600],
    ['2024/', 1, 5],
  ],
  'Two levels below a prefix': [
    ['2025/01/', 3, 300, '@'],
    ['2025/02/', 1, 300, '@'],
  ],
  'Objects by size': [
    ['empty', 1, 0],
    ['below 64 KiB', 13, 829],
    ['16 MiB and more', 1, 30_000_000],
  ],
  'Objects by content type': [
    ['(none)', 11, 30_000_229],
    ['image/png', 1, 300],
    ['image/jpeg', 3, 300],
  ],
  [GROWTH]: [
    ['@', 1, 10],
    ['@', 16, 30_000_851],
  ],
  'How old the bytes are': [
    ['a month', 14, 30_000_824],
    ['older', 1, 5],
  ],
  'Duplicates by checksum': [['CRC32', 'c2FtZQ==', 2, 100, 'photos/2025/01/a.jpg']],
  'Versions that share their bytes': [['~', 2, 100]],
  'Find by tag': [['photos', '2025/01/a.jpg', 'null', { project: 'apollo' }]],
  'Find by metadata': [['photos', '2025/01/a.jpg', 'K-3']],
  'Objects without a tag': [
    ['logs', 2, 38],
    ['photos', 8, 30_000_211],
    ['vault', 3, 180],
  ],
  'Keys with control characters': [['photos', 'bad\u0007key', 7]],
  'Keys that differ in case alone': [['photos', 'readme', ['README', 'readme']]],
  'Biggest noncurrent versions': [
    ['logs', 'app.log', '#', 20, '@'],
    ['logs', 'app.log', '#', 10, '@'],
    ['logs', 'gone.log', '#', 7, '@'],
  ],
  'What old versions take': [['logs', 3, 37, 75]],
  'Keys with the most versions': [
    ['logs', 'app.log', 3],
    ['logs', 'gone.log', 2],
  ],
  'Delete markers on top': [
    ['logs', 'ghost.log', '@'],
    ['logs', 'gone.log', '@'],
  ],
  'Delete markers over nothing': [['logs', 'ghost.log']],
  'What was deleted today': [
    ['@', 'photos', 'temporary', 'null', 'delete'],
    ['@', 'logs', 'gone.log', '#', 'delete-marker'],
    ['@', 'logs', 'ghost.log', '#', 'delete-marker'],
  ],
  'Uploads left behind': [['photos', 'left.bin', '#', '@', 2, 23]],
  'Locks that end next week': [['vault', 'soon.pdf', '#', 'COMPLIANCE', '@']],
  'Legal holds': [['vault', 'held.pdf', '#', 70]],
  'Buckets without versioning': [['photos', 'ada', 'unversioned', false]],
  'Public buckets': [],
  'Objects with one copy': [
    ['photos', '2024/old.txt', 'null', null, 0],
    ['photos', '2025/01/b.jpg', 'null', null, 1],
    ['photos', '2025/02/c.png', 'null', null, 1],
  ],
  'What waits for repair': [
    ['handoff', 'node-b11', 1, '@'],
    ['lost', 'node-a11', 1, '@'],
    ['lost', 'node-b11', 1, '@'],
    ['missing', 'node-b11', 1, '@'],
    ['unreplicated', 'directory-a5', 0, '@'],
  ],
  'What is lost': [
    ['photos', '2024/old.txt', 'null', null, null, null],
    ['photos', '2024/old.txt', 'null', null, null, null],
  ],
  'Where an object is': [
    [null, 'node-a12', 'a', 'serving', 'present'],
    [null, 'node-b12', 'b', 'failed-over', 'present'],
  ],
  'Bytes on each node': [
    ['a', 'node-a11', 17, 30_000_684],
    ['a', 'node-a12', 2, 108],
    ['b', 'node-b11', 15, 30_000_376],
    ['b', 'node-b12', 1, 100],
  ],
  'Bytes on each pair': [
    ['node/11', 19, 30_000_698, 1],
    ['node/12', 1, 100, 0],
  ],
  'Pairs without redundancy': [
    ['directory/5', 'directory', ['directory-a5', 'directory-b5'], 'degraded'],
    ['node/12', 'node', ['node-a12', 'node-b12'], 'degraded'],
  ],
  'Failovers of the last month': [
    ['@', 'directory', 'directory-b5', 'primary', 2, 'directory-a5 was killed', 'launcher'],
    ['@', 'node', 'node-b12', 'failed-over', 2, 'its disk is gone', 'gateway-1'],
  ],
  'Accounts that own nothing': [['idle', 'Idle', '@']],
  'Old access keys': [['AKOLD', 'ada', 'active', '@']],
};

const document = readFileSync(join(import.meta.dirname, '../../../docs/catalog.md'), 'utf8');
const chapter = (title: string) => document.split(`\n## ${title}\n`)[1]!.split('\n## ')[0]!;
const QUERIES = new Map(
  chapter('Questions that are asked')
    .split(/^### /m)
    .slice(1)
    .map((part) => [part.split('\n')[0]!, /```sql\n([\s\S]*?)```/.exec(part)![1]!] as const),
);

let filled: FilledCatalog;
let sql: PeopleSql;
before(async () => {
  const { app, owner } = await testDatabase();
  filled = await fillCatalog(app, owner);
  sql = openPeopleSql({ pairs: () => [ROOT], owner: () => owner, clock: systemClock });
});
after(async () => {
  await filled.close();
  await stopSharedServer();
});

const unknownBeforehand = (value: unknown): unknown => {
  if (typeof value !== 'string') return value;
  if (/^\d{4}-\d\d-\d\d(T[\d:.]+Z)?$/.test(value)) return '@';
  if (/^[0-9a-f]{32}$/.test(value)) return '#';
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value) ? '~' : value;
};

async function ask(text: string): Promise<unknown[][]> {
  const rows: unknown[][] = [];
  const order = { text, write: false, rowsMax: 100, timeoutMs: 30_000 };
  for await (const line of sql.run(order, new AbortController().signal)) {
    if (line.type === 'failed') assert.fail(`${line.message} in ${text}`);
    if (line.type === 'row') rows.push(line.values.map(unknownBeforehand));
  }
  return rows;
}
const sorted = (rows: readonly (readonly unknown[])[]) => rows.map((row) => JSON.stringify(row)).sort();

describe('the queries of docs/catalog.md', () => {
  it('are thirty and more, and each is tested', () => {
    const oldest = 'Oldest objects';
    assert.deepEqual([...QUERIES.keys()].sort(), [...Object.keys(ANSWERS), oldest].sort());
    assert.ok(QUERIES.size >= 30);
  });

  for (const [title, answer] of Object.entries(ANSWERS))
    it(title, async () => {
      // The feed shows a change once nothing that began before it is under way, autovacuum neither.
      const until = performance.now() + 20_000;
      let rows = await ask(QUERIES.get(title)!);
      while (rows.length < answer.length && performance.now() < until) rows = await ask(QUERIES.get(title)!);
      assert.deepEqual(sorted(rows), sorted(answer));
    });

  it('Oldest objects', async () => {
    const rows = await ask(QUERIES.get('Oldest objects')!);
    assert.deepEqual(rows[0], ['photos', '2024/old.txt', '@', 5]);
    assert.equal(rows.length, 15);
  });

  it('the panel of Grafana', async () => {
    const panel = /```sql\n([\s\S]*?)```/.exec(chapter('Grafana'))![1]!;
    // As its PostgreSQL data source expands them.
    const text = panel
      .replace(/\$__timeGroupAlias\((\w+), '1d'\)/, 'floor(extract(epoch from $1)/86400)*86400 AS "time"')
      .replace(/\$__timeFilter\((\w+)\)/, "$1 BETWEEN now() - interval '1 day' AND now()");
    const rows = await ask(text);
    assert.deepEqual(rows.map(([, bucket, bytes]) => [bucket, bytes]).sort(), [
      ['logs', 65],
      ['photos', 30_000_606],
      ['vault', 180],
    ]);
  });
});
