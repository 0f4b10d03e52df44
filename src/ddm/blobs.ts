/**
 * Blobs as verify, resync and rebalance go through them: by id, from all directories, page by page. A blob that several
 * directories name (a copy whose bucket moved) is one blob here. All its rows name one pair: who finds two that do not,
 * as one of them was away when the blob moved, makes them agree; until then neither pair's replicas are dropped.
 */
import type { BlobId, Epoch, MemberId, PairId } from '../base/ids.ts';
import type { BlobRef, ClusterCatalog } from './catalog.ts';
import { certain, type Directories, GONE } from './directories.ts';
import type { Directory } from './directory.ts';
import { blobIdOf, blobOf } from './mapping.ts';
import { operationJson } from './objects.ts';
import { byId, NO_BLOB } from './repairs.ts';
import { statement } from './statements.ts';

const LIST_BLOBS = statement('list-blobs');
const LIST_BUCKET_BLOBS = statement('list-bucket-blobs');
const FIND_BLOBS = statement('find-blobs');
const LIST_DYING = statement('list-dying');
const LIVE_BLOBS = statement('live-blobs');
const MOVE_BLOBS = statement('move-blobs');
const COUNT_OBJECTS = statement('count-objects');
const PAIR_MEMBERS = statement('pair-members');

/**
 * Rows that one statement looks at: as many as are wanted, and more and more where few are of the pair that is asked for,
 * up to what a statement can do in time.
 */
const SCAN_ROWS_MAX = 20_000;

type Moves = Parameters<ClusterCatalog['moveBlobs']>[0];

export type Blobs = Pick<
  ClusterCatalog,
  'listBlobs' | 'findBlobs' | 'listDying' | 'countObjects' | 'moveBlobs'
>;

export function openBlobs(directories: Directories): Blobs {
  const ofDirectory = async (
    directory: Directory,
    { after, max, pair }: { after: BlobId; max: number; pair: string | null },
  ): Promise<BlobRef[]> => {
    const found: BlobRef[] = [];
    let from = after;
    for (let scan = max; ; scan *= 4) {
      scan = Math.min(scan, Math.max(SCAN_ROWS_MAX, max));
      const rows = await directory.read(LIST_BLOBS, [from, max - found.length, pair, scan]);
      for (const row of rows) {
        const blob = blobOf(row);
        if (blob) found.push(blob);
      }
      const { seen, reached } = rows[0]!;
      if (found.length >= max || Number(seen) < scan) return found;
      from = blobIdOf(reached);
    }
  };

  const moveEverywhere = async (moves: Moves): Promise<ReadonlySet<BlobId>> => {
    const pairs = [...new Set(moves.map(({ to }) => to))];
    const rows = await directories.root.read(PAIR_MEMBERS, [pairs]);
    const membersOf = (pair: string) =>
      rows.filter((row) => row.pair_id === pair).map((row) => String(row.id) as MemberId);
    const documents = moves.map(({ blobId, from, to, toEpoch }) =>
      operationJson({ blob: blobId, from, to, toEpoch, members: membersOf(to) }),
    );
    const moved = new Set<BlobId>();
    for (const directory of directories.all()) {
      const answer = certain(await directory.write(MOVE_BLOBS, [`[${documents.join(',')}]`]));
      for (const row of answer.rows) moved.add(blobIdOf(row.id));
    }
    return moved;
  };

  /** One row for each blob, by id. */
  const merged = async (rows: readonly BlobRef[]): Promise<BlobRef[]> => {
    const byBlob = new Map<BlobId, BlobRef>();
    const apart: { blobId: BlobId; from: PairId; to: PairId; toEpoch: Epoch }[] = [];
    for (const row of rows) {
      const other = byBlob.get(row.id);
      if (!other) byBlob.set(row.id, row);
      else if (other.pair !== row.pair) {
        const [from, to] = [other.pair, row.pair].sort() as [PairId, PairId];
        apart.push({ blobId: row.id, from, to, toEpoch: Number.MAX_SAFE_INTEGER as Epoch });
        byBlob.set(row.id, other.pair === to ? other : row);
      } else if ((row.offMap?.length ?? 0) > (other.offMap?.length ?? 0)) byBlob.set(row.id, row);
    }
    if (apart.length > 0) await moveEverywhere(apart);
    return [...byBlob.values()].sort((a, b) => byId(a.id, b.id));
  };

  return {
    async listBlobs({ after = NO_BLOB, max, pair = null, bucketId }) {
      if (max <= 0) return [];
      if (bucketId !== undefined) {
        const rows = await directories.atBucket(bucketId, async (directory) => {
          const found = await directory.read(LIST_BUCKET_BLOBS, [bucketId, after, max, pair]);
          return directories.isAlone || (await directories.hasBucket(directory, bucketId)) ? found : GONE;
        });
        return rows === GONE ? [] : rows.map((row) => blobOf(row)!);
      }
      const everyone = directories.isAlone ? directories.all() : await directories.everyone();
      const pages = everyone.map((directory) => ofDirectory(directory, { after, max, pair }));
      return (await merged((await Promise.all(pages)).flat())).slice(0, max);
    },

    async findBlobs(ids) {
      if (ids.length === 0) return [];
      const everyone = directories.isAlone ? directories.all() : await directories.everyone();
      const found = await Promise.all(everyone.map((d) => d.read(FIND_BLOBS, [ids])));
      return await merged(found.flat().map((row) => blobOf(row)!));
    },

    async listDying({ pair, after = NO_BLOB, max }) {
      const everyone = directories.isAlone ? directories.all() : await directories.everyone();
      const found = await Promise.all(everyone.map((d) => d.read(LIST_DYING, [pair, after, max])));
      const ids = [...new Set(found.flat().map((row) => blobIdOf(row.id)))].sort(byId).slice(0, max);
      if (everyone.length === 1 || ids.length === 0) return ids;
      // Dead here, alive there: no tombstone. Twice: see antipode.live_blobs.
      const living = new Set<BlobId>();
      for (let round = 1; round <= 2; round++)
        for (const rows of await Promise.all(everyone.map((d) => d.read(LIVE_BLOBS, [ids]))))
          for (const row of rows) living.add(blobIdOf(row.id));
      const dead = ids.filter((id) => !living.has(id));
      // A page is short at the end alone.
      if (dead.length > 0 || ids.length < max) return dead;
      return await this.listDying({ pair, after: ids.at(-1)!, max });
    },

    async countObjects(bucketId) {
      const counts = await Promise.all(
        directories.all().map((d) => d.read(COUNT_OBJECTS, [bucketId ?? null])),
      );
      return counts.flat().reduce((sum, row) => sum + Number(row.objects), 0);
    },

    async moveBlobs(moves) {
      if (moves.length === 0) return [];
      if (directories.isAlone) return [...(await moveEverywhere(moves))];
      // Those that answer at all: so that one that is away leaves no blob with two pairs.
      const ids = moves.map(({ blobId }) => blobId);
      const everyone = await directories.everyone();
      await Promise.all(everyone.map((d) => d.read(FIND_BLOBS, [ids])));
      const moved = await moveEverywhere(moves);
      const stayed = new Set<BlobId>();
      const fromOf = new Map(moves.map(({ blobId, from }) => [blobId, from]));
      for (const rows of await Promise.all(everyone.map((d) => d.read(FIND_BLOBS, [ids]))))
        for (const blob of rows.map((row) => blobOf(row)!))
          if (blob.pair === fromOf.get(blob.id)) stayed.add(blob.id);
      return [...moved].filter((id) => !stayed.has(id));
    },
  };
}
