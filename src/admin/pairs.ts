/**
 * What operators may do to pairs of nodes (and, as for adding, of directories): add one, give it another share, drain it, and rebalance. A weight is written to
 * the record, and holds for every gateway within seconds; draining is the drain job's and goes on whoever watches; a rebalance runs
 * as long as its request is open, and may be begun again at any time.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { ClusterCatalog } from '../ddm/cluster-catalog.ts';
import { type MoveDeps, movePass, newMoveCounts } from '../dosm/move/mover.ts';
import { nodePairs, preferredBy } from '../dosm/move/preferred.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import type { Pair, Topology } from '../twin/topology.ts';
import { AdminError } from './admin-error.ts';
import type {
  DirectoryPairReport,
  NodePairReport,
  NodePairsReport,
  PairAdd,
  RebalanceLine,
} from './pairs-api.ts';

export interface PairsSources {
  readonly catalog: Pick<ClusterCatalog, 'setPairWeight'>;
  readonly topology: Topology;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly add: (order: PairAdd) => Promise<Pair>;
  readonly addDirectories: () => Promise<Pair>;
  /** Reads the record now, so that this gateway does as it has been told at once. */
  readonly refresh: () => Promise<void>;
  readonly move: MoveDeps;
  readonly dropAfterMs: number;
  readonly clock: Clock;
}
export interface PairsService {
  list(): Promise<NodePairsReport>;
  add(order: PairAdd): Promise<NodePairReport>;
  /** One line, at the end. */
  addDirectories(): AsyncGenerator<DirectoryPairReport>;
  setWeight(pair: string, weight: number): Promise<NodePairReport>;
  rebalance(isDryRun: boolean, signal: AbortSignal): AsyncGenerator<RebalanceLine>;
}

const NODE_MS = 3_000;

export function createPairsService(sources: PairsSources): PairsService {
  const { catalog, topology, clients, clock } = sources;

  const blobsOf = async (member: MemberId): Promise<number | null> => {
    try {
      const client = clients.get(member);
      return client ? (await within(clock, NODE_MS, client.status())).blobs : null;
    } catch {
      return null;
    }
  };
  const report = async ({ id, members, weight }: Pair): Promise<NodePairReport> => {
    const counts = (await Promise.all(members.map(blobsOf))).filter((count) => count !== null);
    const blobs = counts.length > 0 ? Math.max(...counts) : null;
    const isEmpty = counts.length === 2 && blobs === 0;
    const state = weight > 0 ? 'takes new objects' : isEmpty ? 'drained' : 'draining';
    return { id, members, weight, state, blobs };
  };
  const directoryPairs = (): DirectoryPairReport[] =>
    [...topology.pairs.values()]
      .filter(({ kind }) => kind === 'directory')
      .map(({ id, members }, at) => ({ id, members, isRoot: at === 0 }));
  const pairNamed = (text: string): Pair => {
    const pair = topology.pairs.get((text.includes('/') ? text : `node/${text}`) as PairId);
    if (pair?.kind !== 'node') throw new AdminError('NotFound', `there is no pair of nodes ${text}`);
    return pair;
  };

  return {
    async list() {
      await sources.refresh();
      return { pairs: await Promise.all(nodePairs(topology).map(report)), directories: directoryPairs() };
    },
    async add(order) {
      return await report(await sources.add(order));
    },
    async *addDirectories() {
      const { id } = await sources.addDirectories();
      yield directoryPairs().find((pair) => pair.id === id)!;
    },
    async setWeight(text, weight) {
      const { id } = pairNamed(text);
      const others = nodePairs(topology).filter((pair) => pair.id !== id && pair.weight > 0);
      if (weight === 0 && others.length === 0)
        throw new AdminError(
          'NotAllowed',
          `${id} is the last pair that takes new objects: add another one first`,
        );
      const outcome = await catalog.setPairWeight(id, weight);
      if (outcome.outcome === 'unknown')
        throw new AdminError(
          'OutcomeUnknown',
          'the directory did not say whether it was done: look, and repeat it',
        );
      if (outcome.outcome === 'refused') throw new AdminError('NotFound', `the record has no pair ${id}`);
      await sources.refresh();
      return await report(pairNamed(text));
    },
    async *rebalance(isDryRun, signal) {
      const total = newMoveCounts();
      for (const pair of nodePairs(topology)) {
        const order = {
          ...{ from: pair.id, dryRun: isDryRun, dropAfterMs: sources.dropAfterMs },
          targetOf: preferredBy(topology),
        };
        await movePass(sources.move, order, total, signal);
        yield { pair: pair.id, ...total, done: false };
      }
      yield { pair: null, ...total, done: true };
    },
  };
}
