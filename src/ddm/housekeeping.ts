/**
 * What jobs call: which blobs are known, which are dying. Whoever asks for dying blobs now and then also keeps the
 * directory tidy (usage folded, outbox trimmed), at most once in TIDY_EVERY_MS, as both are wanted as often.
 */
import type { BlobId } from '../base/ids.ts';
import { type BlobRef, type Catalog, CatalogUnavailable, type DyingBlob } from './catalog.ts';
import type { Directories } from './directories.ts';
import type { Directory } from './directory.ts';
import { blobIdOf, blobOf } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import { type Statement, statement } from './statements.ts';

const KNOWN_BLOBS = statement('known-blobs');
const DISSOLVE_MANIFESTS = statement('dissolve-manifests');
const TAKE_DYING_BLOBS = statement('take-dying-blobs');
const FORGET_BLOBS = statement('forget-blobs');
const LIVE_BLOBS = statement('live-blobs');
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

  /**
   * Those of a directory's dying blobs that live in no other one; this one forgets the others, whose bytes are still named.
   * Everybody is asked twice: see antipode.live_blobs. @throws {CatalogUnavailable} when not everybody answers
   */
  const livingNowhere = async (
    directory: Directory,
    dying: readonly BlobRef[],
  ): Promise<readonly DyingBlob[]> => {
    const all = dying.length === 0 || directories.isAlone ? [] : await directories.everyone();
    const living = new Set<BlobId>();
    const ids = dying.map(({ id }) => id);
    for (let round = 1; round <= 2 && all.length > 0; round++)
      for (const rows of await Promise.all(all.map((other) => other.read(LIVE_BLOBS, [ids]))))
        for (const row of rows) living.add(blobIdOf(row.id));
    if (living.size > 0) await directory.write(FORGET_BLOBS, [[...living]]);
    return dying.filter(({ id }) => !living.has(id)).map((blob) => ({ blob }));
  };

  return {
    async knownBlobs(ids) {
      const known = new Set<BlobId>();
      await Promise.all(
        (await directories.everyone()).map(async (directory) => {
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
          const dying = answer.rows.map((row) => blobOf(row)!);
          taken.push(...(await livingNowhere(directory, dying)));
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
