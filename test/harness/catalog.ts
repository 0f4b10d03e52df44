/** What tests open a catalog on Postgres with. */
import pino from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import type { PairId } from '../../src/base/ids.ts';
import type { DirectoryLocator, PostgresConnection } from '../../src/ddm/locator.ts';
import { openCatalog } from '../../src/ddm/postgres-catalog.ts';

export const ROOT = 'directory/5' as PairId;
export const quiet = pino({ level: 'silent' });

/** One pair, whose primary is always the same; or whatever `primary` says now. */
export const locatorOf = (
  primary: PostgresConnection | (() => PostgresConnection | null),
): DirectoryLocator => ({
  pairs: () => [ROOT],
  primary: () => (typeof primary === 'function' ? primary() : primary),
});

/** A pair for each of these; the first one is the root pair. */
export function locatorOfAll(primaries: readonly PostgresConnection[]): DirectoryLocator {
  const pairs = primaries.map((_, index) => `directory/${5 + index}` as PairId);
  return { pairs: () => pairs, primary: (pair) => primaries[pairs.indexOf(pair)] ?? null };
}

/** For contract suites: catalogs with this many directories, each a database of its own. */
export const makeCatalogWith =
  (pairs: number, database: () => Promise<{ app: PostgresConnection }>) => async () => {
    const primaries: PostgresConnection[] = [];
    for (let i = 0; i < pairs; i++) primaries.push((await database()).app);
    const locator = locatorOfAll(primaries);
    const catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock });
    return { catalog, close: () => catalog.close() };
  };
