/**
 * Making the rows of an empty catalog from documents that nodes kept (name-source.ts): versions with their blobs and manifests,
 * buckets, the list of their names. Invariants: nothing that is in use is ever written over; a call may be repeated, and a
 * rebuild that broke off is begun again from nothing.
 */
import type { BlobId, BucketId, PairId } from '../base/ids.ts';
import { certain, type Directories } from './directories.ts';
import { statement } from './statements.ts';

const BEGIN_REBUILD = statement('begin-rebuild');
const END_REBUILD = statement('end-rebuild');
const RESTORE_BUCKET_NAMES = statement('restore-bucket-names');
const RESTORE_BUCKET = statement('restore-bucket');
const RESTORE_VERSIONS = statement('restore-versions');
const RESTORE_PAIRS = statement('restore-pairs');
const PASS_BUCKET_ID = statement('pass-bucket-id');

/** A bucket's row as it was. */
export type BucketRow = Readonly<Record<string, unknown>> & { readonly id: number; readonly name: string };

/** All reject with CatalogUnavailable, after which they may be called again. */
export interface RebuildCatalog {
  /** False: a directory holds names, and they were not left by a rebuild that broke off. */
  beginRebuild(): Promise<boolean>;
  /** All of them at once, with the directory that each goes to. */
  restoreBuckets(buckets: readonly { readonly row: BucketRow; readonly directory: PairId }[]): Promise<void>;
  /** No bucket that is made later gets this id or a lower one. */
  passBucketId(id: BucketId): Promise<void>;
  /** Documents of versions whose buckets this directory has. */
  restoreVersions(pair: PairId, documents: readonly string[]): Promise<void>;
  /** Where blobs are, if elsewhere than their versions' documents say. Those that a directory does not name are passed over. */
  restorePairs(moves: readonly { readonly id: BlobId; readonly pair: PairId }[]): Promise<void>;
  /** From now on it is a catalog like any other, and the blobs of those that it `replaces` are its own. */
  endRebuild(replaces: readonly string[]): Promise<void>;
}

export function openRebuild(directories: Directories): RebuildCatalog {
  return {
    async beginRebuild() {
      for (const directory of directories.all()) {
        const { rows } = certain(await directory.write(BEGIN_REBUILD, []));
        if (rows[0]?.answer !== true) return false;
      }
      return true;
    },
    async restoreBuckets(buckets) {
      for (const { row, directory } of buckets)
        certain(await directories.of(directory).write(RESTORE_BUCKET, [JSON.stringify(row)]));
      const names = buckets.map(({ row, directory }) => ({ bucket: row, directory }));
      certain(await directories.root.write(RESTORE_BUCKET_NAMES, [JSON.stringify(names)]));
    },
    async passBucketId(id) {
      certain(await directories.root.write(PASS_BUCKET_ID, [id]));
    },
    async restoreVersions(pair, documents) {
      if (documents.length === 0) return;
      certain(await directories.of(pair).write(RESTORE_VERSIONS, [`[${documents.join(',')}]`]));
    },
    async restorePairs(moves) {
      if (moves.length === 0) return;
      for (const directory of directories.all())
        certain(await directory.write(RESTORE_PAIRS, [JSON.stringify(moves)]));
    },
    async endRebuild(replaces) {
      for (const directory of directories.all())
        certain(await directory.write(END_REBUILD, [directory === directories.root ? replaces : []]));
    },
  };
}
