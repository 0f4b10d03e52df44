/**
 * A bucket of N keys, made by SQL in the tables as they are, and what pages of its listings cost in blocks that the server
 * looks at. Every size is measured in a database of its own: the depth of an index is part of the cost.
 */
import pg from 'pg';
import { statement } from '../../src/ddm/statements.ts';
import type { TestServer } from './postgres.ts';

/** In every size: so many common prefixes at the top, and entries of a page. */
const FOLDERS = 1_000;
export const PAGE = 1_000;

const VERSION =
  'INSERT INTO antipode.version (bucket_id, key, seq, version_id, is_latest, is_delete_marker, size, write_id, last_modified, etag, owner)';
/** What a version has beside its key and its place. */
const rest = (latest: string, marker: boolean) =>
  `${latest}, ${marker}, 0, '00000000-0000-0000-0000-000000000000'::uuid, now(), 'etag', 'o'`;
const bucket = (id: number) =>
  `INSERT INTO antipode.bucket (id, name, owner, region, created_at, versioning) VALUES (${id}, 'scale-${id}', 'o', 'r', now(), 'enabled');`;

const LIVE = 1;
const OLD = 2;
const UPLOADS = 3;
const BEHIND = 4;
const REMOVED = 5;

/** `keys` keys in 1,000 folders: plain, with ten versions each (as many rows), and as uploads (a fifth). */
export const fillLive = (keys: number): string => `
${bucket(LIVE)}${bucket(OLD)}${bucket(UPLOADS)}
${VERSION} SELECT ${LIVE}, format('folder-%s/%s', lpad((i * ${FOLDERS}::bigint / ${keys})::text, 4, '0'), lpad(i::text, 9, '0')), i, 'v' || i,
  ${rest('true', false)} FROM generate_series(0, ${keys - 1}) i;
${VERSION} SELECT ${OLD}, format('folder-%s/%s', lpad((i * ${FOLDERS}::bigint / ${keys})::text, 4, '0'), lpad((i / 10)::text, 9, '0')), ${keys} + i, 'v' || i,
  ${rest('i % 10 = 9', false)} FROM generate_series(0, ${keys - 1}) i;
INSERT INTO antipode.upload (upload_id, bucket_id, key, initiated, owner, attributes)
SELECT 'upload-' || lpad(i::text, 9, '0'), ${UPLOADS}, format('folder-%s/%s', lpad((i * ${FOLDERS}::bigint / ${keys / 5})::text, 4, '0'), lpad(i::text, 9, '0')),
  now(), 'o', '{}' FROM generate_series(0, ${keys / 5 - 1}) i;`;

/** 2,000 keys behind `count` delete markers; and as many behind `count` rows that are removed. */
export const fillBehind = (count: number): string => `
${bucket(BEHIND)}${bucket(REMOVED)}
${VERSION} SELECT ${BEHIND}, 'gone-' || lpad(i::text, 9, '0'), i, 'm' || i, ${rest('true', true)} FROM generate_series(1, ${count}) i;
${VERSION} SELECT ${REMOVED}, 'gone-' || lpad(i::text, 9, '0'), i, 'r' || i, ${rest('true', false)} FROM generate_series(1, ${count}) i;
${VERSION} SELECT b, 'here-' || lpad(i::text, 9, '0'), ${count} + i, 'h' || i, ${rest('true', false)}
  FROM generate_series(1, 2000) i, unnest(ARRAY[${BEHIND}, ${REMOVED}]) b;
DELETE FROM antipode.version WHERE bucket_id = ${REMOVED} AND key < 'h';`;

export interface Cost {
  readonly page: string;
  readonly blocks: number;
  readonly rows: number;
  readonly ms: number;
}

type Values = readonly (string | number | null)[];
/** Statement and parameters of each page: as the gateway asks for them. */
function pages(middle: string): readonly [string, string, Values][] {
  const plain = 'list-all-objects';
  const folded = 'list-objects';
  const late = `folder-0500/${middle}`;
  return [
    ['objects, first page', plain, [LIVE, '', '', '', PAGE]],
    ['objects, in the middle', plain, [LIVE, '', '', late, PAGE]],
    ['objects, under a prefix', plain, [LIVE, 'folder-0', '', late, PAGE]],
    ['prefixes, first page', folded, [LIVE, '', '/', '', PAGE]],
    ['prefixes, in the middle', folded, [LIVE, '', '/', 'folder-0500/', 499]],
    ['objects with a delimiter that no key has', folded, [LIVE, '', '|', late, PAGE]],
    ['versions, first page', 'list-versions', [OLD, '', '', '', null, null, PAGE]],
    ['versions, in the middle', 'list-versions', [OLD, '', '', late, null, null, PAGE]],
    ['versions, prefixes', 'list-versions', [OLD, '', '/', '', null, null, PAGE]],
    ['uploads, first page', 'list-uploads', [UPLOADS, '', '', '', null, PAGE]],
    ['uploads, in the middle', 'list-uploads', [UPLOADS, '', '', 'folder-0400/', null, PAGE]],
    ['uploads, prefixes', 'list-uploads', [UPLOADS, '', '/', '', null, PAGE]],
  ];
}
const BEHIND_PAGES: readonly [string, string, Values][] = [
  ['objects behind delete markers', 'list-all-objects', [BEHIND, '', '', '', PAGE]],
  ['objects behind delete markers, with a delimiter', 'list-objects', [BEHIND, '', '/', '', PAGE]],
  ['versions among delete markers', 'list-versions', [BEHIND, '', '', 'gone-000001000', null, null, PAGE]],
  ['objects behind removed rows', 'list-all-objects', [REMOVED, '', '', '', PAGE]],
  ['objects behind removed rows, with a delimiter', 'list-objects', [REMOVED, '', '/', '', PAGE]],
  ['versions behind removed rows', 'list-versions', [REMOVED, '', '', '', null, null, PAGE]],
];

export const costsOfPages = (server: TestServer, database: string, keys: number): Promise<readonly Cost[]> =>
  costsOf(server, database, pages(String(keys / 2 + 10).padStart(9, '0')));
export const costsBehind = (server: TestServer, database: string): Promise<readonly Cost[]> =>
  costsOf(server, database, BEHIND_PAGES);

/** The third of three runs: plans are made, and hints set, as after the first page that anybody asked for. */
async function costsOf(
  server: TestServer,
  database: string,
  wanted: readonly [string, string, Values][],
): Promise<readonly Cost[]> {
  const client = new pg.Client({
    ...server.connection(database, 'antipode_app'),
    options:
      '-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan',
  });
  await client.connect();
  try {
    const costs: Cost[] = [];
    for (const [page, name, values] of wanted) {
      const text = statement(name).text.replaceAll(/^--.*$/gm, '');
      const prepared = name.replaceAll('-', '_');
      await client.query('DEALLOCATE ALL');
      await client.query(`PREPARE ${prepared} AS ${text}`);
      const literals = values.map((v) => (v === null ? 'NULL' : client.escapeLiteral(String(v))));
      const explain = `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE ${prepared}(${literals.join(', ')})`;
      await client.query(explain);
      await client.query(explain);
      const { rows } = await client.query<{
        'QUERY PLAN': [{ Plan: Record<string, number>; 'Execution Time': number }];
      }>(explain);
      const [{ Plan, 'Execution Time': ms }] = rows[0]!['QUERY PLAN'];
      const blocks = Plan['Shared Hit Blocks']! + Plan['Shared Read Blocks']!;
      costs.push({ page, blocks, rows: Plan['Actual Rows']!, ms });
    }
    return costs;
  } finally {
    await client.end();
  }
}
