/**
 * What a page of a listing holds, said in the shortest way: walk all rows in order, roll up, stop at the limit.
 */
import type { ListEntry, ListPage } from '../../src/ddm/catalog.ts';

/** Order of S3: by the bytes of the UTF-8 form. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/**
 * @param rows in listing order, already without those that the markers exclude
 * @param after common prefixes up to and including this one were on an earlier page
 */
export function pageOf<T extends { readonly key: string }>(
  rows: readonly T[],
  query: { readonly prefix: string; readonly delimiter: string; readonly maxKeys: number },
  after: string,
): ListPage<T> {
  const entries: ListEntry<T>[] = [];
  let lastPrefix: string | null = null;
  for (const item of rows) {
    if (!item.key.startsWith(query.prefix)) continue;
    const cut = query.delimiter === '' ? -1 : item.key.indexOf(query.delimiter, query.prefix.length);
    const prefix = cut < 0 ? null : item.key.slice(0, cut + query.delimiter.length);
    if (prefix !== null && (prefix === lastPrefix || compareKeys(prefix, after) <= 0)) continue;
    if (entries.length >= query.maxKeys) return { entries, truncated: query.maxKeys > 0 };
    entries.push(prefix === null ? { kind: 'item', item } : { kind: 'prefix', prefix });
    lastPrefix = prefix;
  }
  return { entries, truncated: false };
}
