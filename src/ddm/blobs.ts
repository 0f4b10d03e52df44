/** Blobs as verify, resync and rebalance go through them: by id, from all directories, page by page. */
import type { BlobId, MemberId } from '../base/ids.ts';
import type { BlobRef, ClusterCatalog } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Directory } from './directory.ts';
import { blobIdOf, blobOf } from './mapping.ts';
import { operationJson } from './objects.ts';
import { byId, NO_BLOB } from './repairs.ts';
import { statement } from './statements.ts';

const LIST_BLOBS = statement('list-blobs');
const LIST_BUCKET_BLOBS = statement('list-bucket-blobs');
const FIND_BLOBS = statement('find-blobs');
const LIST_DYING = statement('list-dying');
const MOVE_BLOBS = statement('move-blobs');
const COUNT_OBJECTS = statement('count-objects');
const PAIR_MEMBERS = statement('pair-members');

/**
 * Rows that one statement looks at: as many as are wanted, and more and more where few are of the pair that is asked for,
 * up to what a statement can do in time.
 */
const SCAN_ROWS_MAX = 20_000;

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

  return {
    async listBlobs({ after = NO_BLOB, max, pair = null, bucketId }) {
      if (max <= 0) return [];
      if (bucketId !== undefined) {
        const directory = await directories.ofBucket(bucketId);
        const rows = directory ? await directory.read(LIST_BUCKET_BLOBS, [bucketId, after, max, pair]) : [];
        return rows.map((row) => blobOf(row)!);
      }
      const pages = directories.all().map((directory) => ofDirectory(directory, { after, max, pair }));
      return (await Promise.all(pages))
        .flat()
        .sort((a, b) => byId(a.id, b.id))
        .slice(0, max);
    },

    async findBlobs(ids) {
      if (ids.length === 0) return [];
      const found = await Promise.all(directories.all().map((d) => d.read(FIND_BLOBS, [ids])));
      return found
        .flat()
        .map((row) => blobOf(row)!)
        .sort((a, b) => byId(a.id, b.id));
    },

    async listDying({ pair, after = NO_BLOB, max }) {
      const found = await Promise.all(directories.all().map((d) => d.read(LIST_DYING, [pair, after, max])));
      return found
        .flat()
        .map((row) => blobIdOf(row.id))
        .sort(byId)
        .slice(0, max);
    },

    async countObjects(bucketId) {
      const counts = await Promise.all(
        directories.all().map((d) => d.read(COUNT_OBJECTS, [bucketId ?? null])),
      );
      return counts.flat().reduce((sum, row) => sum + Number(row.objects), 0);
    },

    async moveBlobs(moves) {
      if (moves.length === 0) return [];
      const pairs = [...new Set(moves.map(({ to }) => to))];
      const rows = await directories.root.read(PAIR_MEMBERS, [pairs]);
      const membersOf = (pair: string) =>
        rows.filter((row) => row.pair_id === pair).map((row) => String(row.id) as MemberId);
      const documents = moves.map(({ blobId, from, to, toEpoch }) =>
        operationJson({ blob: blobId, from, to, toEpoch, members: membersOf(to) }),
      );
      const moved: BlobId[] = [];
      for (const directory of directories.all()) {
        const answer = certain(await directory.write(MOVE_BLOBS, [`[${documents.join(',')}]`]));
        moved.push(...answer.rows.map((row) => blobIdOf(row.id)));
      }
      return moved;
    },
  };
}
