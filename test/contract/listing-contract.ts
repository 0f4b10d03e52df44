/** Listings against the naive way of making them (test/model/model-listing.ts): every key, delimiter and page. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { BucketId } from '../../src/base/ids.ts';
import type { ListPage } from '../../src/ddm/catalog.ts';
import { compareKeys, pageOf } from '../model/model-listing.ts';
import { Kit, mustBeDone } from './contract-kit.ts';

/** Characters that listings have stumbled over: wildcards, escapes, the ends of UTF-8's lengths and of Unicode. */
const CHARACTERS = [
  ...['a', 'b', '/', '-', '%', '_', '\\', "'", '\u0001', '\u007f', '\u0080', '\u07ff', '\u0800', 'é'],
  ...['\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'],
];
const character = fc.constantFrom(...CHARACTERS);
const text = (o: { minLength?: number; maxLength: number }) =>
  fc.array(character, o).map((all) => all.join(''));
const key = text({ minLength: 1, maxLength: 6 });
const delimiter = fc.oneof(
  fc.constantFrom('', '/', '%', '_', '--', '\u{10ffff}', '/\u{10ffff}', 'ab'),
  text({ maxLength: 2 }),
);
/** Markers: any text, but mostly something near a key. */
const near = (keys: readonly string[]) =>
  fc.oneof(
    fc.constant(''),
    text({ maxLength: 4 }),
    fc.constantFrom('', ...keys),
    fc.tuple(fc.constantFrom('', ...keys), fc.nat(6)).map(([k, n]) => [...k].slice(0, n).join('')),
  );

const RUNS = 25;
const QUERIES_PER_SET = 12;

/** Reads a listing to its end in pages. */
async function readAll<T extends { readonly key: string }>(
  max: number,
  page: (after: string, maxKeys: number) => Promise<ListPage<T>>,
): Promise<string[]> {
  const names: string[] = [];
  let after = '';
  for (;;) {
    const { entries, truncated } = await page(after, max);
    names.push(...Kit.names({ entries, truncated }));
    const last = entries.at(-1);
    if (!truncated || !last) return names;
    after = last.kind === 'item' ? last.item.key : last.prefix;
  }
}

export function listingContract(kit: () => Kit): void {
  describe('listings', () => {
    it('lists what the naive way lists, page by page', async () => {
      const k = kit();
      const set = fc.uniqueArray(key, { minLength: 1, maxLength: 25 }).chain((keys) =>
        fc.record({
          keys: fc.constant(keys),
          hidden: fc.subarray(keys),
          queries: fc.array(
            fc.record({
              prefix: near(keys),
              delimiter,
              after: near(keys),
              maxKeys: fc.integer({ min: 1, max: 8 }),
            }),
            { minLength: QUERIES_PER_SET, maxLength: QUERIES_PER_SET },
          ),
        }),
      );
      await fc.assert(
        fc.asyncProperty(set, async ({ keys, hidden, queries }) => {
          const bucketId = await k.bucket({ versioning: 'enabled' });
          await Promise.all(
            keys.map((name) => k.put(bucketId, name, { size: 0, content: { kind: 'empty' } })),
          );
          await Promise.all(hidden.map(async (name) => mustBeDone(await k.delete(bucketId, name))));
          const sorted = [...keys].sort(compareKeys);
          for (const query of queries) await compare(k, bucketId, sorted, hidden, query);
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
    });

    it('takes prefix and delimiter literally', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      for (const name of ['a%b', 'a_b', 'axb', 'a%', 'A%b']) await k.put(bucketId, name);
      const list = async (prefix: string, delimiterText = '') =>
        Kit.names(
          await k.catalog.listObjects({ bucketId, prefix, delimiter: delimiterText, after: '', maxKeys: 10 }),
        );
      assert.deepEqual(await list('a%'), ['a%', 'a%b']);
      assert.deepEqual(await list('a_'), ['a_b']);
      assert.deepEqual(await list('', '%'), ['>A%', '>a%', 'a_b', 'axb']);
      assert.deepEqual(await list('\0'), []);
      assert.deepEqual(await list('', '\0'), ['A%b', 'a%', 'a%b', 'a_b', 'axb']);
    });

    it('gives nothing when nothing is asked for', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      await k.put(bucketId, 'a');
      const query = { bucketId, prefix: '', delimiter: '', after: '', maxKeys: 0 };
      assert.deepEqual(await k.catalog.listObjects(query), { entries: [], truncated: false });
    });

    it('goes on behind any version of a key', async () => {
      const k = kit();
      const bucketId = await k.bucket();
      await k.put(bucketId, 'k');
      mustBeDone(await k.catalog.setVersioning(bucketId, 'enabled'));
      for (let i = 0; i < 4; i++) await k.put(bucketId, 'k');
      await k.put(bucketId, 'l');
      const all = await k.versions(bucketId);
      assert.equal(all.length, 6);
      const seen: string[] = [];
      let marker: { keyMarker: string; versionIdMarker?: string } = { keyMarker: '' };
      for (;;) {
        const query = { bucketId, prefix: '', delimiter: '', maxKeys: 2, ...marker };
        const { entries, truncated } = await k.catalog.listVersions(query);
        for (const entry of entries) {
          assert.ok(entry.kind === 'item');
          seen.push(`${entry.item.key}@${entry.item.versionId}${entry.item.isLatest ? '*' : ''}`);
          marker = { keyMarker: entry.item.key, versionIdMarker: entry.item.versionId };
        }
        if (!truncated) break;
      }
      assert.deepEqual(seen, all);
      const behindKey = { bucketId, prefix: '', delimiter: '', maxKeys: 9, keyMarker: 'k' };
      assert.deepEqual(Kit.names(await k.catalog.listVersions(behindKey)), ['l']);
      const behindNull = { ...behindKey, versionIdMarker: 'null' };
      assert.deepEqual(Kit.names(await k.catalog.listVersions(behindNull)), ['l']);
    });

    it('goes on where a removed version was', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const ids = [];
      for (let i = 0; i < 3; i++) ids.push((await k.put(bucketId, 'k')).versionId);
      mustBeDone(await k.delete(bucketId, 'k', { versionId: ids[1]! }));
      const query = {
        bucketId,
        prefix: '',
        delimiter: '',
        maxKeys: 9,
        keyMarker: 'k',
        versionIdMarker: ids[1]!,
      };
      const { entries } = await k.catalog.listVersions(query);
      assert.deepEqual(
        entries.map((entry) => entry.kind === 'item' && entry.item.versionId),
        [ids[0]],
      );
    });
  });
}

async function compare(
  k: Kit,
  bucketId: BucketId,
  sorted: readonly string[],
  hidden: readonly string[],
  query: { prefix: string; delimiter: string; after: string; maxKeys: number },
): Promise<void> {
  const live = sorted.filter((name) => !hidden.includes(name)).map((name) => ({ key: name }));
  const behind = live.filter((row) => compareKeys(row.key, query.after) > 0);
  const expected = pageOf(behind, query, query.after);
  const page = await k.catalog.listObjects({ bucketId, ...query });
  assert.deepEqual(Kit.names(page), Kit.names(expected));
  assert.equal(page.truncated, expected.truncated);

  const whole = pageOf(live, { ...query, maxKeys: 1000 }, '');
  const read = await readAll(query.maxKeys, (after, maxKeys) =>
    k.catalog.listObjects({ bucketId, ...query, after, maxKeys }),
  );
  assert.deepEqual(read, Kit.names(whole));

  const rows = sorted.flatMap((name) =>
    hidden.includes(name) ? [{ key: name }, { key: name }] : [{ key: name }],
  );
  const versions = await k.catalog.listVersions({ bucketId, ...query, keyMarker: query.after });
  const expectedVersions = pageOf(
    rows.filter((row) => compareKeys(row.key, query.after) > 0),
    query,
    query.after,
  );
  assert.deepEqual(Kit.names(versions), Kit.names(expectedVersions));
  assert.equal(versions.truncated, expectedVersions.truncated);
}
