/** What a gateway knows of directories that are given as connection settings: who is the primary of each pair. */
import { AdminError } from '../admin/admin-error.ts';
import type { DirectoryFailover } from '../admin/failover.ts';
import type { Clock } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import type { ExternalPair } from '../external-directories.ts';
import type { Topology } from '../twin/topology.ts';
import type { DirectorySource } from './directory-source.ts';
import { recordTimeline } from './external-history.ts';
import { ExternalWatch, type ExternalWatchOptions } from './external-watch.ts';

export interface ExternalSourceOptions extends Pick<ExternalWatchOptions, 'log' | 'refuse'> {
  readonly directories: ReadonlyMap<string, ExternalPair>;
  readonly topology: Topology;
  readonly clock: Clock;
}

export function externalSource(o: ExternalSourceOptions): DirectorySource {
  const watches = new Map<PairId, ExternalWatch>();
  for (const [id, settings] of o.directories) {
    const pair = o.topology.pairs.get(id as PairId)!;
    const record: ExternalWatchOptions['record'] = (owner, primary) =>
      recordTimeline(owner, primary, settings.decider, o.clock);
    watches.set(pair.id, new ExternalWatch({ ...o, pair, settings, record }));
  }
  return {
    get state() {
      const seen = [...watches.values()].map((watch) => watch.describe());
      return {
        members: seen.flatMap(({ members }) => members),
        directories: seen.flatMap(({ directory }) => (directory ? [directory] : [])),
      };
    },
    primary(pair) {
      const primary = watches.get(pair)?.primary();
      return primary ? { member: primary.member, term: primary.timeline } : null;
    },
    connection: (pair, member, login) => watches.get(pair)?.connection(member, login) ?? null,
    failover: () => REFUSING,
    async close() {
      await Promise.all([...watches.values()].map((watch) => watch.close()));
    },
  };
}

const refused = (): never => {
  throw new AdminError(
    'NotAllowed',
    'this directory is given as connection settings: whoever runs it decides (with Patroni: patronictl switchover, failover)',
  );
};
const REFUSING: DirectoryFailover = { enter: async () => refused(), leave: async () => refused() };
