/**
 * ListObjectVersions over HTTP, walked to its end: whatever the prefix, the delimiter, the size of a page and the place to
 * begin, the pages together show each version, delete marker and common prefix once, in order, and no page is short but
 * the last. The order is known from the writes alone. Runs on the model and on Postgres.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { childText, parseXml, type XmlElement } from '../../src/s3api/xml-reader.ts';
import { compareKeys } from '../model/model-listing.ts';
import type { S3Front } from '../model/s3-front.ts';

/** U+FB00 and U+1F680 stand the other way round in UTF-16. */
const CHARACTERS = ['a', 'b', '/', '-', '%', '+', ' ', '_', '<', 'é', '\ufb00', '\u{1f680}'];
const text = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...CHARACTERS), { minLength, maxLength }).map((all) => all.join(''));
const PAGES_MAX = 500;

const bucketOf = fc.record({
  keys: fc.uniqueArray(text(1, 5), { minLength: 3, maxLength: 10 }),
  /** Which key, and whether it is deleted rather than written. */
  changes: fc.array(fc.record({ key: fc.nat(), isDelete: fc.boolean() }), { minLength: 15, maxLength: 50 }),
  /** Versioning is turned on before this change and suspended before that one. */
  enabledAt: fc.nat(10),
  suspendedAt: fc.nat(40),
  walks: fc.array(
    fc.record({
      prefix: fc.oneof(fc.constant(''), fc.constant(''), text(1, 1), fc.nat()),
      delimiter: fc.constantFrom('', '', '/', '/', 'a', '%', '\u{1f680}', '-/'),
      max: fc.integer({ min: 1, max: 4 }),
      isUrl: fc.boolean(),
      /** None, behind an entry of the listing, or behind any text. */
      from: fc.oneof(fc.constant(null), fc.nat(), text(1, 3)),
    }),
    { minLength: 6, maxLength: 6 },
  ),
});

interface Version {
  readonly key: string;
  readonly id: string;
  readonly isMarker: boolean;
}
/** A version as `key@id` (markers with '!', the latest with '*'), or a common prefix as `>prefix`. */
interface Shown {
  readonly name: string;
  readonly version: Version | null;
  readonly text: string;
}

interface Query {
  readonly prefix: string;
  readonly delimiter: string;
  readonly max: number;
  readonly isUrl: boolean;
  readonly keyMarker?: string;
  readonly versionIdMarker?: string;
}

export function versionPaging(front: () => S3Front, o: { runs: number; seed?: number }): void {
  it('shows every version once, whatever the pages', async (t) => {
    let walks = 0;
    let pages = 0;
    let number = 0;
    const property = fc.asyncProperty(bucketOf, async (plan) => {
      const bucket = `paged-${++number}`;
      const versions = await fill(front(), bucket, plan);
      for (const walk of plan.walks) {
        const prefix =
          typeof walk.prefix === 'string'
            ? walk.prefix
            : [...plan.keys[walk.prefix % plan.keys.length]!].slice(0, (walk.prefix >> 4) % 4).join('');
        const query = { ...walk, prefix };
        const all = expected(versions, query);
        const from = typeof walk.from === 'number' ? (all[walk.from % all.length] ?? null) : walk.from;
        const behind = typeof from === 'string' ? { keyMarker: from } : from && markersOf(from);
        const shown = await readAll(front(), bucket, { ...query, ...behind });
        const wanted =
          typeof from === 'string' ? after(all, from) : from ? all.slice(all.indexOf(from) + 1) : all;
        assert.deepEqual(
          shown.entries,
          wanted.map((entry) => entry.text),
          JSON.stringify(query),
        );
        walks += 1;
        pages += shown.pages;
      }
    });
    const seed = Number(process.env.PAGING_SEED ?? o.seed ?? Date.now() % 2 ** 31);
    try {
      await fc.assert(property, { numRuns: o.runs, seed });
    } catch (error) {
      throw new Error(`replay with PAGING_SEED=${seed}: ${String(error)}`, { cause: error });
    }
    t.diagnostic(`${o.runs} buckets (seed ${seed}), ${walks} walks, ${pages} pages`);
  });

  it('goes on behind a version that has gone since', async () => {
    const bucket = 'paged-gone';
    const changes = Array.from({ length: 9 }, (_, i) => ({ key: i % 3, isDelete: i % 4 === 3 }));
    const plan = { keys: ['a', 'b/1', 'b/2'], changes, enabledAt: 0, suspendedAt: 99 };
    const query = { prefix: '', delimiter: '', max: 2, isUrl: false };
    let versions = await fill(front(), bucket, plan);
    const seen: string[] = [];
    let behind: Partial<Query> = {};
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const page = await readPage(front(), bucket, { ...query, ...behind });
      seen.push(...page.entries.map((entry) => entry.replace('*', '')));
      if (!page.next) break;
      behind = page.next;
      // The very version that the next page begins behind.
      const at = `/${bucket}/${encodeURIComponent(page.next.keyMarker)}?versionId=${page.next.versionIdMarker}`;
      assert.equal((await front().request('DELETE', at)).status, 204);
      versions = versions.filter((version) => version.id !== page.next!.versionIdMarker);
    }
    const all = [...seen].map((name) => name.replace(/^.*@/, '').replace('!', ''));
    assert.equal(new Set(all).size, changes.length);
    assert.equal(all.length, changes.length);
    const left = (await readAll(front(), bucket, query)).entries;
    assert.deepEqual(
      left,
      expected(versions, query).map((entry) => entry.text),
    );
  });
}

/** Makes the bucket and answers its versions in the order that a listing has. */
async function fill(
  front: S3Front,
  bucket: string,
  plan: {
    readonly keys: readonly string[];
    readonly changes: readonly { readonly key: number; readonly isDelete: boolean }[];
    readonly enabledAt: number;
    readonly suspendedAt: number;
  },
): Promise<Version[]> {
  assert.equal((await front.request('PUT', `/${bucket}`)).status, 200);
  const turn = async (status: string) => {
    const body = `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`;
    assert.equal((await front.request('PUT', `/${bucket}?versioning`, { body })).status, 200);
    return status === 'Enabled';
  };
  const rows = new Map<string, Version[]>();
  let isOn = false;
  let wasOn = false;
  for (const [i, { key: index, isDelete }] of plan.changes.entries()) {
    if (i === plan.enabledAt) isOn = wasOn = await turn('Enabled');
    if (i === plan.suspendedAt && wasOn) isOn = await turn('Suspended');
    const key = plan.keys[index % plan.keys.length]!;
    const path = `/${bucket}/${encodeURIComponent(key)}`;
    const answer = await front.request(isDelete ? 'DELETE' : 'PUT', path, isDelete ? {} : { body: `${i}` });
    assert.ok([200, 204].includes(answer.status), answer.text);
    const id = answer.headers.get('x-amz-version-id') ?? 'null';
    if (isOn) assert.notEqual(id, 'null');
    const kept = (rows.get(key) ?? []).filter((version) => version.id !== id);
    // Where versioning was never on, a DELETE leaves nothing.
    rows.set(key, isDelete && !wasOn ? kept : [{ key, id, isMarker: isDelete }, ...kept]);
  }
  return [...rows].sort(([a], [b]) => compareKeys(a, b)).flatMap(([, all]) => all);
}

function expected(versions: readonly Version[], { prefix, delimiter }: Query): Shown[] {
  const shown: Shown[] = [];
  let lastKey: string | null = null;
  for (const version of versions) {
    const { key, id, isMarker } = version;
    const isLatest = key !== lastKey;
    lastKey = key;
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const name = cut < 0 ? key : key.slice(0, cut + delimiter.length);
    if (cut >= 0 && shown.at(-1)?.text === `>${name}`) continue;
    const flags = `${isMarker ? '!' : ''}${isLatest ? '*' : ''}`;
    shown.push(
      cut < 0 ? { name, version, text: `${key}@${id}${flags}` } : { name, version: null, text: `>${name}` },
    );
  }
  return shown;
}

const markersOf = ({ name, version }: Shown) =>
  version ? { keyMarker: name, versionIdMarker: version.id } : { keyMarker: name };

/** With a key marker alone: what stands strictly after it, a common prefix by its own name. */
const after = (all: readonly Shown[], marker: string) =>
  all.filter(({ name, version }) =>
    version ? compareKeys(name, marker) > 0 : compareKeys(name, marker) > 0 && !marker.startsWith(name),
  );

async function readAll(front: S3Front, bucket: string, query: Query) {
  const entries: string[] = [];
  let behind: Partial<Query> = {};
  for (let pages = 1; pages < PAGES_MAX; pages++) {
    const page = await readPage(front, bucket, { ...query, ...behind });
    entries.push(...page.entries);
    if (page.next === null) return { entries, pages };
    assert.equal(page.entries.length, query.max, 'a page that is short and not the last');
    behind = page.next;
    if (behind.versionIdMarker === undefined) {
      const { versionIdMarker: _, ...without } = query;
      query = without;
    }
  }
  return assert.fail('the pages do not end');
}

async function readPage(front: S3Front, bucket: string, query: Query) {
  const parameters = new URLSearchParams({
    versions: '',
    'max-keys': String(query.max),
    prefix: query.prefix,
  });
  if (query.delimiter !== '') parameters.set('delimiter', query.delimiter);
  if (query.isUrl) parameters.set('encoding-type', 'url');
  if (query.keyMarker !== undefined) parameters.set('key-marker', query.keyMarker);
  if (query.versionIdMarker !== undefined) parameters.set('version-id-marker', query.versionIdMarker);
  const answer = await front.request('GET', `/${bucket}?${parameters}`);
  assert.equal(answer.status, 200, answer.text);
  const root = parseXml(answer.text);
  const decode = (value: string) => (query.isUrl ? decodeURIComponent(value.replaceAll('+', ' ')) : value);
  const named = root.children.flatMap((child) => entryOf(child, decode));
  assert.ok(named.length <= query.max, 'a page that is too long');
  assert.equal(childText(root, 'Prefix') && decode(childText(root, 'Prefix')!), query.prefix);
  const nextKey = childText(root, 'NextKeyMarker');
  const nextId = childText(root, 'NextVersionIdMarker');
  const isTruncated = childText(root, 'IsTruncated') === 'true';
  assert.equal(nextKey !== undefined, isTruncated);
  // Versions and prefixes are lists of their own in the document; their order between each other is that of the names.
  const inOrder = named.toSorted((a, b) => compareKeys(a.name, b.name)).map((entry) => entry.text);
  if (!isTruncated) return { entries: inOrder, next: null };
  const next = { keyMarker: decode(nextKey!), ...(nextId !== undefined && { versionIdMarker: nextId }) };
  return { entries: inOrder, next };
}

function entryOf(element: XmlElement, decode: (value: string) => string): { name: string; text: string }[] {
  if (element.name === 'CommonPrefixes') {
    const name = decode(childText(element, 'Prefix')!);
    return [{ name, text: `>${name}` }];
  }
  if (element.name !== 'Version' && element.name !== 'DeleteMarker') return [];
  const name = decode(childText(element, 'Key')!);
  const flags = `${element.name === 'DeleteMarker' ? '!' : ''}${childText(element, 'IsLatest') === 'true' ? '*' : ''}`;
  return [{ name, text: `${name}@${childText(element, 'VersionId')}${flags}` }];
}
