/**
 * The conditions of the nodes in one gateway: the view of the record, the monitor that keeps nodes as the record says,
 * and what operators may do. Wires twin's monitor, which knows nothing of nodes or SQL, to the catalog and the clients.
 */
import type { Logger } from 'pino';
import { createFailover, type DirectoryFailover, type Failover } from '../admin/failover.ts';
import type { Clock, Random } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { Settings } from '../config.ts';
import type { ClusterCatalog } from '../ddm/cluster-catalog.ts';
import { CachedConditions } from '../ddm/condition-view.ts';
import type { IdentityCatalog } from '../ddm/identity.ts';
import type { NodeNames } from '../nodes/names-protocol.ts';
import type { NodeClient, NodeStatus } from '../nodes/protocol.ts';
import type { Heard, Watched } from '../twin/judge.ts';
import { type Monitor, startMonitor } from '../twin/monitor.ts';
import { Suspicion } from '../twin/suspicion.ts';
import type { Topology } from '../twin/topology.ts';
import type { CatalogGuard } from './catalog-guard.ts';

export interface GatewayConditionsOptions {
  readonly catalog: Pick<
    ClusterCatalog,
    | 'registerTopology'
    | 'readConditions'
    | 'changeCondition'
    | 'adoptStore'
    | 'allowReturn'
    | 'conditionHistory'
    | 'directoryHistory'
  > &
    Pick<IdentityCatalog, 'raiseEpoch'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient & NodeNames>;
  readonly guard: Pick<CatalogGuard, 'look'>;
  readonly topology: Topology;
  /** Signs what this gateway declares. */
  readonly self: MemberId;
  readonly settings: Settings['monitor'];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly directories: DirectoryFailover | null;
}

export interface GatewayConditions {
  readonly view: CachedConditions;
  readonly suspicion: Suspicion;
  readonly monitor: Monitor;
  readonly failover: Failover;
  close(): Promise<void>;
}

const RETRY_MS = 250;
/** Of a change of condition, which waits for the root's standby. */
const CHANGE_MS = 5_000;

/** Resolves when the root pair has given its record; asks until it does. */
export async function openConditions(o: GatewayConditionsOptions): Promise<GatewayConditions> {
  const { catalog, topology, clock, random, log, settings } = o;
  const initial = await untilRead(o);
  const view = new CachedConditions(initial, {
    read: () => catalog.readConditions(),
    ...{ clock, random, log, pollMs: settings.reloadMs },
  });
  const suspicion = new Suspicion();
  const monitor = startMonitor({
    watched: watchedNodes(topology),
    conditions: view,
    suspicion,
    probe: async (member) => {
      const status = await clientOf(o, member).status();
      return heardOf(status, await o.guard.look(clientOf(o, member), status));
    },
    tell: async (member, told) => heardOf(await clientOf(o, member).setCondition(told)),
    declare: async (declaration) => {
      const change = { ...declaration, decidedBy: o.self };
      const outcome = await within(clock, CHANGE_MS, catalog.changeCondition(change));
      if (outcome.outcome === 'unknown') throw new Error('the root pair did not say whether it was done');
      if (outcome.outcome === 'refused') return outcome;
      view.take(outcome.value);
      return null;
    },
    adoptStore: async (member, storeId) => {
      await within(clock, CHANGE_MS, catalog.adoptStore(member, storeId));
      await view.reload();
    },
    raiseEpoch: async (pair, known) => {
      view.take(await within(clock, CHANGE_MS, catalog.raiseEpoch(pair, known, o.self)));
    },
    ...{ clock, random, log, timings: settings },
  });
  const failover = createFailover({
    catalog,
    topology,
    conditions: view,
    storeIdOf: (member) => monitor.heard(member)?.storeId ?? null,
    tell: (members) => monitor.spread(members),
    directories: o.directories,
    log,
  });
  return {
    view,
    suspicion,
    monitor,
    failover,
    close: async () => {
      await Promise.all([monitor.close(), view.close()]);
    },
  };
}

async function untilRead({ catalog, topology, clock, log }: GatewayConditionsOptions) {
  for (;;) {
    try {
      await within(clock, CHANGE_MS, catalog.registerTopology(topology));
      return await within(clock, CHANGE_MS, catalog.readConditions());
    } catch (error) {
      log.warn({ err: error }, 'the conditions cannot be read; trying again');
    }
    await clock.sleep(RETRY_MS);
  }
}

export function watchedNodes(topology: Topology): readonly Watched[] {
  return [...topology.pairs.values()]
    .filter((pair) => pair.kind === 'node')
    .flatMap((pair) =>
      pair.members.map((member) => {
        const { twin, center } = topology.members.get(member)!;
        return { member, twin: twin!, pair: pair.id, center: center! };
      }),
    );
}

function clientOf({ clients }: GatewayConditionsOptions, member: MemberId): NodeClient & NodeNames {
  const client = clients.get(member);
  if (!client) throw new Error(`no client for ${member}`);
  return client;
}

const heardOf = ({ state, epoch, storeId }: NodeStatus, foreign: string | null = null): Heard => ({
  ...{ state, epoch, storeId },
  ...(foreign === null ? {} : { foreign }),
});
