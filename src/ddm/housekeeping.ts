/**
 * What jobs call: which blobs are known, which are dying. Whoever asks for dying blobs now and then also keeps the
 * directory tidy (usage folded, outbox trimmed), at most once in TIDY_EVERY_MS, as both are wanted as often.
 */
import type { BlobId } from '../base/ids.ts';
import { type Catalog, CatalogUnavailable, type DyingBlob } from './catalog.ts';
import type { Directories } from './directories.ts';
import type { Directory } from './directory.ts';
import { blobIdOf, blobOf } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import { type Statement, statement } from './statements.ts';

const KNOWN_BLOBS = statement('known-blobs');
const DISSOLVE_MANIFESTS = statement('dissolve-manifests');
const TAKE_DYING_BLOBS = statement('take-dying-blobs');
const FORGET_BLOBS = statement('forget-blobs');
const TIDY = statement('tidy');
const TRIM_OUTBOX = statement('trim-outbox');

/** A reaper that has taken blobs and went away loses them to the next one after this. */
const TAKEN_MS = 60_000;
/** Manifests per transaction: each may hold 10,000 parts. */
const MANIFESTS_AT_ONCE = 8;
const TIDY_EVERY_MS = 60_000;
/** Outbox rows and the results of completed uploads are kept this long, also when nobody reads them. */
const KEEP_MS = 24 * 3_600_000;
const TIDY_ROWS = 20_000;
const TIDY_ROUNDS_MAX = 50;

export type Housekeeping = Pick<Catalog, 'knownBlobs' | 'takeDyingBlobs' | 'forgetBlobs' | 'status'>;

export function openHousekeeping(directories: Directories, o: CatalogOptions): Housekeeping {
  let tidiedAt = Number.NEGATIVE_INFINITY;

  const repeat = async (directory: Directory, s: Statement, values: readonly unknown[]) => {
    for (let round = 0; round < TIDY_ROUNDS_MAX; round++) {
      const answer = await directory.write(s, values);
      if (answer === 'unknown' || answer.rows[0]?.answer !== true) return;
    }
  };
  const tidy = async (directory: Directory) => {
    await repeat(directory, TIDY, [KEEP_MS, TIDY_ROWS]);
    await repeat(directory, TRIM_OUTBOX, [KEEP_MS, o.feedWaitMs, TIDY_ROWS]);
  };

  return {
    async knownBlobs(ids) {
      const known = new Set<BlobId>();
      await Promise.all(
        directories.all().map(async (directory) => {
          for (const row of await directory.read(KNOWN_BLOBS, [ids])) known.add(blobIdOf(row.id));
        }),
      );
      return known;
    },

    async takeDyingBlobs(max, graceMs) {
      const isTidyTime = o.clock.monotonic() - tidiedAt >= TIDY_EVERY_MS;
      if (isTidyTime) tidiedAt = o.clock.monotonic();
      const taken: DyingBlob[] = [];
      let away: unknown;
      for (const directory of directories.all()) {
        try {
          if (isTidyTime) await tidy(directory);
          if (taken.length >= max) break;
          await directory.write(DISSOLVE_MANIFESTS, [MANIFESTS_AT_ONCE]);
          const answer = await directory.write(TAKE_DYING_BLOBS, [max - taken.length, graceMs, TAKEN_MS]);
          // Unknown: whoever asks next gets them when the time is over.
          if (answer === 'unknown') continue;
          for (const row of answer.rows) taken.push({ blob: blobOf(row)! });
        } catch (error) {
          // Another directory's blobs need not wait for this one.
          if (!(error instanceof CatalogUnavailable)) throw error;
          away = error;
        }
      }
      if (away !== undefined && taken.length === 0) throw away;
      return taken;
    },

    async forgetBlobs(ids) {
      for (const directory of directories.all()) await directory.write(FORGET_BLOBS, [ids]);
    },

    status: () => Promise.all(directories.all().map((directory) => directory.status())),
  };
}
