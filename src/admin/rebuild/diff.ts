/**
 * `antipode rebuild-catalog --diff`: what a rebuild would make, against the catalog as it is. Changes nothing. A difference is
 * explained when a change of its key waits in the outbox to be told, or when the nodes are only being told of all that its
 * directory has; an ordinary store has no others.
 */
import type { BucketId, PairId } from '../../base/ids.ts';
import type { ChangeFeed, Position } from '../../ddm/change-feed.ts';
import type { NameSource, VersionName } from '../../ddm/name-source.ts';
import type { NameRecord } from '../../nodes/names-protocol.ts';
import { compareBlobs } from './blobs.ts';
import { type DocumentOf, documentOf, isVersion } from './documents.ts';
import { mergeNames } from './merge.ts';
import { type RebuildDeps, Tally } from './rebuild.ts';
import type { RebuildLine } from './report.ts';

export interface DiffDeps extends Omit<RebuildDeps, 'catalog'> {
  readonly catalog: RebuildDeps['catalog'] &
    Pick<ChangeFeed, 'readChanges' | 'feedPairs' | 'listReaders' | 'feedStart'> &
    Pick<NameSource, 'walkVersions' | 'walkedPairs'>;
  /** The consumer of the outbox that tells the nodes. */
  readonly reader: string;
}

const ASKED_AT_ONCE = 200;
const WALKED_AT_ONCE = 500;
const CHANGES_MAX = 100_000;

type Named = VersionName & { readonly bucket: string; readonly id: string; readonly document: unknown };

export async function* diffCatalog(deps: DiffDeps, signal: AbortSignal): AsyncGenerator<RebuildLine, void> {
  const told = await toldUpTo(deps);
  const walked = await deps.catalog.walkedPairs();
  const tally = new Tally();
  const count = { buckets: 0, accounts: 0, differences: 0, unexplained: 0 };
  const buckets = new Map<number, { name: string; directory: PairId }>();
  for await (const { record } of mergeNames(deps.clients, tally.onUnheard)) {
    signal.throwIfAborted();
    const document = isVersion(record) ? null : documentOf(record);
    if (document?.kind === 'bucket')
      buckets.set(document.bucket.id, { name: document.bucket.name, directory: document.directory });
    if (document?.kind === 'account') count.accounts += 1;
    if (document?.kind === 'position') tally.positions.set(document.pair, document);
  }
  count.buckets = buckets.size;
  const waiting = await changedAfter(deps, told);
  const difference = (
    kind: 'missing' | 'extra' | 'different',
    pair: PairId,
    { bucket, bucketId, key, versionId }: Omit<Named, 'document' | 'id'>,
  ): RebuildLine => {
    const explained = !walked.has(pair) || waiting.has(`${bucketId}/${key}`);
    count.differences += 1;
    if (!explained) count.unexplained += 1;
    return { type: 'difference', kind, bucket, key, versionId, explained };
  };

  const seen = new Ids();
  for await (const batch of batches(deps, tally, signal)) {
    const byPair = Map.groupBy(batch, ({ bucketId }) => buckets.get(bucketId)?.directory ?? deps.root);
    for (const [pair, named] of byPair) {
      const here = await deps.catalog.versionDocuments(pair, named);
      for (const [i, { body }] of here.entries()) {
        const record = named[i]!;
        const name = { ...record, bucket: buckets.get(record.bucketId)?.name ?? '' };
        seen.add(record.id);
        if (body === null) yield difference('extra', pair, name);
        else if (!isAlike(JSON.parse(body), record.document)) yield difference('different', pair, name);
      }
    }
    tally.versions += batch.length;
    yield { type: 'progress', phase: 'compare', done: tally.versions };
  }
  for (const pair of deps.directories()) {
    let place = { bucketId: 0, key: '', seq: 0 };
    for (let page = await deps.catalog.walkVersions(pair, place, WALKED_AT_ONCE); page.length > 0; ) {
      signal.throwIfAborted();
      for (const version of page) if (!seen.has(version.id)) yield difference('missing', pair, version);
      place = page.at(-1)!;
      page = await deps.catalog.walkVersions(pair, place, WALKED_AT_ONCE);
    }
  }
  for await (const line of compareBlobs(deps, { mend: false, signal, onUnheard: tally.onUnheard })) {
    if (line.type === 'unconfirmed') tally.unconfirmed += 1;
    yield line;
  }
  for (const [member, reason] of tally.unheard) yield { type: 'unheard', member, reason };
  const { disagreements, unconfirmed, versions } = tally;
  yield {
    ...{
      type: 'summary',
      ...count,
      versions,
      disagreements,
      unconfirmed,
      unheard: [...tally.unheard.keys()],
    },
    positions: [...tally.positions.values()],
  };
}

/** The versions that the nodes have, some at a time. */
async function* batches(
  deps: DiffDeps,
  tally: Tally,
  signal: AbortSignal,
): AsyncGenerator<Omit<Named, 'bucket'>[], void> {
  let batch: Omit<Named, 'bucket'>[] = [];
  for await (const { record, behind } of mergeNames(deps.clients, tally.onUnheard)) {
    signal.throwIfAborted();
    if (behind.length > 0) tally.disagreements += 1;
    if (!isVersion(record)) continue;
    const named = nameOf(record);
    if (named) batch.push(named);
    if (batch.length < ASKED_AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function nameOf(record: NameRecord): Omit<Named, 'bucket'> | null {
  const document = documentOf(record) as DocumentOf<'version'> | null;
  if (!document) return null;
  const { bucket_id: bucketId, key, version_id: versionId } = document.version;
  return { id: record.id, bucketId: bucketId as BucketId, key, versionId, document: JSON.parse(record.body) };
}

type Positions = ReadonlyMap<PairId, Position>;

/** Up to where the nodes have been told; a directory that has just joined has its feed before it. */
async function toldUpTo({ catalog, reader }: DiffDeps): Promise<Positions> {
  const readers = (await catalog.listReaders()).filter(({ name }) => name === reader);
  const told = new Map(readers.map(({ pair, position }) => [pair, position]));
  for (const pair of catalog.feedPairs())
    if (!told.has(pair)) told.set(pair, await catalog.feedStart(pair, 'beginning'));
  return told;
}

/** Keys that changed after that: the nodes may have been told of them since, behind what was read of the nodes. */
async function changedAfter({ catalog }: DiffDeps, told: Positions): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  for (const [pair, start] of told) {
    let after = start;
    for (let more = true; more && keys.size < CHANGES_MAX; ) {
      const page = await catalog.readChanges(pair, { after, max: 1_000 });
      for (const { bucketId, key } of page.changes) if (key !== undefined) keys.add(`${bucketId}/${key}`);
      after = page.position;
      more = page.more && page.changes.length > 0;
    }
  }
  return keys;
}

/** Where blobs are may have changed since: the rebuild asks the nodes for that. */
function isAlike(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(sorted);
    const isBlobs = items.every((item) => typeof item === 'object' && item !== null && 'root' in item);
    return isBlobs ? items.sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1)) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => name !== 'pair');
  return Object.fromEntries(
    entries.sort(([x], [y]) => (x < y ? -1 : 1)).map(([name, v]) => [name, sorted(v)]),
  );
}

/** The first 8 bytes of ids that come in order: 80 MB for ten million. */
class Ids {
  #words = new BigUint64Array(1_024);
  #length = 0;

  add(id: string): void {
    if (this.#length === this.#words.length) {
      const more = new BigUint64Array(this.#words.length * 2);
      more.set(this.#words);
      this.#words = more;
    }
    this.#words[this.#length] = wordOf(id);
    this.#length += 1;
  }

  /** Call when all have come. */
  has(id: string): boolean {
    const word = wordOf(id);
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#words[middle]! < word) low = middle + 1;
      else high = middle;
    }
    return low < this.#length && this.#words[low] === word;
  }
}
const wordOf = (id: string): bigint => BigInt(`0x${id.slice(0, 16)}`);
