/**
 * The catalog on Postgres: opens the parts and puts them together. Nothing is asked of a directory before it is
 * needed, so a catalog opens while its directories are still away.
 */
import type { BlobId } from '../base/ids.ts';
import { openAccounts } from './accounts.ts';
import { openBuckets } from './buckets.ts';
import type { Catalog, DyingBlob } from './catalog.ts';
import { Directories } from './directories.ts';
import { blobOf } from './mapping.ts';
import { openObjects } from './objects.ts';
import { completeOptions, type OpenCatalog } from './options.ts';
import { statement } from './statements.ts';
import { openUploads } from './uploads.ts';

export type { DirectoryLocator, PostgresConnection } from './locator.ts';
export type { OpenCatalog } from './options.ts';

const KNOWN_BLOBS = statement('known-blobs');
const DISSOLVE_MANIFESTS = statement('dissolve-manifests');
const TAKE_DYING_BLOBS = statement('take-dying-blobs');
const FORGET_BLOBS = statement('forget-blobs');

/** A reaper that has taken blobs and went away loses them to the next one after this. */
const TAKEN_MS = 10 * 60_000;
/** Manifests per transaction: each may hold 10,000 parts. */
const MANIFESTS_AT_ONCE = 8;

export async function openCatalog(open: OpenCatalog): Promise<Catalog> {
  const o = completeOptions(open);
  const directories = new Directories(o);
  const { forget, ...buckets } = openBuckets(directories, o);

  return {
    ...openAccounts(directories, o),
    ...buckets,
    ...openObjects(directories, forget),
    ...openUploads(directories, o, forget),

    async knownBlobs(ids) {
      const known = new Set<BlobId>();
      await Promise.all(
        directories.all().map(async (directory) => {
          for (const row of await directory.read(KNOWN_BLOBS, [ids]))
            known.add(String(row.id).replaceAll('-', '') as BlobId);
        }),
      );
      return known;
    },

    async takeDyingBlobs(max, graceMs) {
      const taken: DyingBlob[] = [];
      for (const directory of directories.all()) {
        if (taken.length >= max) break;
        await directory.write(DISSOLVE_MANIFESTS, [MANIFESTS_AT_ONCE]);
        const answer = await directory.write(TAKE_DYING_BLOBS, [max - taken.length, graceMs, TAKEN_MS]);
        // Unknown: whoever asks next gets them when the time is over.
        if (answer === 'unknown') continue;
        for (const row of answer.rows) taken.push({ blob: blobOf(row)! });
      }
      return taken;
    },

    async forgetBlobs(ids) {
      for (const directory of directories.all()) await directory.write(FORGET_BLOBS, [ids]);
    },

    status: () => Promise.all(directories.all().map((directory) => directory.status())),

    async close() {
      directories.close();
    },
  };
}
