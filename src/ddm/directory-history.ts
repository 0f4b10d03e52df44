/** What was decided about directories, as each pair's own catalog has it (its agents copy the decisions there). */
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import { CatalogUnavailable, type ClusterCatalog, type DirectoryEvent } from './catalog.ts';
import type { Directories } from './directories.ts';
import type { Row } from './link.ts';
import { statement } from './statements.ts';

const DIRECTORY_HISTORY = statement('directory-history');

export function openDirectoryHistory(directories: Directories): Pick<ClusterCatalog, 'directoryHistory'> {
  return {
    async directoryHistory({ max, before }) {
      const silent: PairId[] = [];
      const pages = await Promise.all(
        directories.pairs().map(async (pair) => {
          try {
            const rows = await directories.of(pair).read(DIRECTORY_HISTORY, [before ?? null, max]);
            return rows.map((row) => eventOf(row, pair));
          } catch (error) {
            if (!(error instanceof CatalogUnavailable)) throw error;
            silent.push(pair);
            return [];
          }
        }),
      );
      const events = pages.flat().sort((a, b) => (a.cursor < b.cursor ? 1 : a.cursor > b.cursor ? -1 : 0));
      return { events: events.slice(0, max), silent };
    },
  };
}

const eventOf = (row: Row, pair: PairId): DirectoryEvent => ({
  pair,
  member: row.member as MemberId,
  state: row.state as DirectoryEvent['state'],
  epoch: row.timeline as Epoch,
  at: row.at as Date,
  cursor: String(row.cursor),
  why: String(row.why),
  decidedBy: String(row.decided_by),
});
