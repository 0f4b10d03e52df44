/** Object versions: lookups and commits (combined), listings and manifests. */
import type { BucketId } from '../base/ids.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import {
  type Catalog,
  CatalogUnavailable,
  type CommitRefusal,
  type ListEntry,
  type ListedVersion,
  type ListPage,
  type Outcome,
  type VersionChange,
  type WriteCondition,
} from './catalog.ts';
import { type Directories, GONE } from './directories.ts';
import type { CommitAnswer, Directory } from './directory.ts';
import type { Row } from './link.ts';
import {
  attributesDocument,
  contentDocument,
  isStorable,
  listedOf,
  manifestPartOf,
  seqOfVersionId,
  versionOf,
} from './mapping.ts';
import { type Shares, withRoom } from './shares.ts';
import { type Statement, statement } from './statements.ts';

const LIST_ALL_OBJECTS = statement('list-all-objects');
const LIST_OBJECTS = statement('list-objects');
const LIST_VERSIONS = statement('list-versions');
const READ_MANIFEST = statement('read-manifest');
const READ_MANIFEST_PART = statement('read-manifest-part');
const READ_MANIFEST_RANGE = statement('read-manifest-range');

export type Objects = Pick<
  Catalog,
  | 'findVersion'
  | 'readManifest'
  | 'putVersion'
  | 'deleteVersion'
  | 'setTags'
  | 'setRetention'
  | 'setLegalHold'
  | 'amendVersion'
  | 'listObjects'
  | 'listVersions'
>;

/** Conditions as the directory reads them; null when there is none. */
export const conditionDocument = (c: WriteCondition | undefined): WriteCondition | undefined =>
  c && Object.values(c).some((value) => value !== undefined) ? c : undefined;

const ESCAPED = /\\u(?:0000|d[89a-f])/;
/**
 * The document of an operation, as one bad document would fail the batch that it is in.
 * @throws {RangeError} when it holds text that cannot be kept (U+0000, half of a surrogate pair)
 */
export function operationJson(document: Readonly<Record<string, unknown>>): string {
  const json = JSON.stringify(document);
  // JSON escapes both; an escaped backslash before a 'u' is something else.
  if (ESCAPED.test(json) && ESCAPED.test(json.replaceAll('\\\\', '')))
    throw new RangeError('text that cannot be stored');
  return json;
}

/** A marker stands between keys: what cannot be stored cannot be a key, so the nearest that can serves as well. */
const storableMarker = (marker: string): string => marker.split('\0', 1)[0]!.toWellFormed();

export interface Listing<T> {
  readonly directories: Directories;
  readonly bucketId: BucketId;
  readonly statement: Statement;
  readonly query: { readonly prefix: string; readonly delimiter: string; readonly maxKeys: number };
  readonly after: string;
  /** Further parameters, between `after` and the count. */
  readonly more: readonly unknown[];
  readonly itemOf: (row: Row) => T;
  readonly forget: (id: BucketId) => void;
}

/**
 * What the bucket's directory reads. An empty answer means nothing when the bucket itself has gone; with several directories
 * a full one neither, as rows of a bucket that has moved away are left for a while.
 * @throws {CatalogUnavailable} when the bucket is nowhere
 */
export async function readAtBucket<T>(
  l: Pick<Listing<unknown>, 'directories' | 'bucketId' | 'forget'>,
  read: (directory: Directory) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  const rows = await l.directories.atBucket(l.bucketId, async (directory) => {
    const found = await read(directory);
    const isSure = found.length > 0 && l.directories.isAlone;
    return isSure || (await l.directories.hasBucket(directory, l.bucketId)) ? found : GONE;
  });
  if (rows !== GONE) return rows;
  l.forget(l.bucketId);
  throw new CatalogUnavailable(`bucket ${l.bucketId} is not where it was`);
}

/** One page: asks for one entry more than wanted, to know whether there are more. */
export async function listPage<T>(l: Listing<T>): Promise<ListPage<T>> {
  const { prefix, delimiter, maxKeys } = l.query;
  if (maxKeys <= 0 || !isStorable(prefix)) return { entries: [], truncated: false };
  const values = [l.bucketId, prefix, isStorable(delimiter) ? delimiter : '', storableMarker(l.after)];
  const rows = await readAtBucket(l, (d) => d.read(l.statement, [...values, ...l.more, maxKeys + 1]));
  const entries = rows
    .slice(0, maxKeys)
    // A row that went between the walk and the join is left out, as if the walk had come later.
    .filter((row) => row.is_prefix === true || row.key !== null)
    .map(
      (row): ListEntry<T> =>
        row.is_prefix === true
          ? { kind: 'prefix', prefix: String(row.name) }
          : { kind: 'item', item: l.itemOf(row) },
    );
  return { entries, truncated: rows.length > maxKeys };
}

export function openObjects(
  directories: Directories,
  forget: (id: BucketId) => void,
  shares: Shares,
): Objects {
  /** Commits one operation and makes an outcome of the answer. */
  async function commit<T>(
    o: { bucketId: BucketId; key: string; writeId: string },
    document: Readonly<Record<string, unknown>>,
    resultOf: (row: Row) => T,
  ): Promise<Outcome<T, CommitRefusal>> {
    const { bucketId, key, writeId } = o;
    const json = operationJson({ ...document, bucket: bucketId, key, writeId });
    const answer = await directories.atBucket<CommitAnswer>(bucketId, async (directory) => {
      const commit = () => directory.commits.add({ bucketId, key, writeId, json });
      const said = await withRoom(
        directories,
        shares,
        bucketId,
        directory,
        { bytes: Number(document.size ?? 0), objects: 1 },
        commit,
      );
      return said !== 'unknown' && said.reason === 'bucket-gone' ? GONE : said;
    });
    if (answer === 'unknown') return UNKNOWN;
    if (answer === GONE) {
      forget(bucketId);
      return refused('bucket-gone');
    }
    return answer.reason === undefined ? done(resultOf(answer)) : refused(answer.reason as CommitRefusal);
  }

  const named = (versionId: string | undefined) =>
    versionId === undefined ? {} : { versionId, versionSeq: seqOfVersionId(versionId) };

  const change = (o: VersionChange, document: Readonly<Record<string, unknown>>) =>
    commit(o, { ...document, ...named(o.versionId), cause: o.cause }, (row) => ({
      versionId: String(row.versionId),
    }));

  return {
    async findVersion(bucketId, key, versionId) {
      if (!isStorable(key) || (versionId !== undefined && (versionId === '' || !isStorable(versionId))))
        return null;
      const seq = versionId === undefined ? -1 : seqOfVersionId(versionId);
      const row = await directories.atBucket(bucketId, async (directory) => {
        const found = await directory.lookups.add({ bucketId, key, versionId: versionId ?? '', seq });
        return found.gone === true ? GONE : found;
      });
      if (row !== GONE) return row.key === null ? null : versionOf(row);
      forget(bucketId);
      throw new CatalogUnavailable(`bucket ${bucketId} is not where it was`);
    },

    async readManifest(bucketId, manifestId, range) {
      const directory = await directories.ofBucket(bucketId);
      if (!directory) return [];
      const rows = !range
        ? await directory.read(READ_MANIFEST, [manifestId])
        : 'partNumber' in range
          ? await directory.read(READ_MANIFEST_PART, [manifestId, range.partNumber])
          : await directory.read(READ_MANIFEST_RANGE, [manifestId, range.from, range.to]);
      return rows.map(manifestPartOf);
    },

    putVersion: (put) =>
      commit(
        put,
        {
          op: 'put',
          owner: put.owner,
          size: put.size,
          etag: put.etag,
          ...attributesDocument(put.attributes),
          checksum: put.checksum,
          condition: conditionDocument(put.condition),
          cause: put.cause,
          ...contentDocument(put.content),
        },
        (row) => ({ versionId: String(row.versionId), lastModified: new Date(Number(row.lastModifiedMs)) }),
      ),

    deleteVersion: (del) =>
      commit(
        del,
        {
          op: 'delete',
          owner: del.owner,
          ...named(del.versionId),
          condition: conditionDocument(del.condition),
          bypass: del.bypassGovernance,
          cause: del.cause,
        },
        (row) => {
          if (row.action === 'none') return { existed: false };
          const isPlain = del.versionId === undefined;
          if (isPlain && row.action === 'remove') return { existed: true };
          return { existed: true, versionId: String(row.versionId), deleteMarker: row.marker === true };
        },
      ),

    setTags: (t) => change(t, { op: 'tags', tags: t.tags }),
    setRetention: ({ retention, bypassGovernance: bypass, ...r }) =>
      change(r, { op: 'retention', retention, bypass }),
    setLegalHold: ({ legalHold, ...h }) => change(h, { op: 'legal-hold', legalHold }),
    amendVersion: ({ acl, encryption, storageClass, condition, ...a }) =>
      change(a, { op: 'amend', acl, encryption, storageClass, condition: conditionDocument(condition) }),

    listObjects: (query) =>
      listPage<ListedVersion>({
        ...{ directories, bucketId: query.bucketId, query, after: query.after, more: [], forget },
        ...{ statement: query.delimiter === '' ? LIST_ALL_OBJECTS : LIST_OBJECTS, itemOf: listedOf },
      }),

    async listVersions(query) {
      const marker = query.versionIdMarker;
      const isUsable = marker !== undefined && isStorable(query.keyMarker) && isStorable(marker);
      const seq = isUsable ? seqOfVersionId(marker) : null;
      // An id that is none of ours stands for the key's beginning, as a null version that has gone does.
      const more = [isUsable ? marker : null, seq === -1 ? Number.MAX_SAFE_INTEGER : seq];
      return await listPage<ListedVersion>({
        ...{ directories, bucketId: query.bucketId, query, after: query.keyMarker, more, forget },
        ...{ statement: LIST_VERSIONS, itemOf: listedOf },
      });
    },
  };
}
