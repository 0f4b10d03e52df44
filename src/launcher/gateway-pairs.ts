/**
 * The pairs of one gateway, of nodes and of directories: those of its configuration and those that were added since, by any gateway, with the
 * weights of the record. Reads them about every two seconds; what is new joins the live topology, gets a client and is watched.
 */
import type { Logger } from 'pino';
import { AdminError } from '../admin/admin-error.ts';
import type { Clock, Random } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { ClusterConfig } from '../config.ts';
import type { BucketMoves } from '../ddm/bucket-moves.ts';
import type { ClusterCatalog, KnownPair } from '../ddm/cluster-catalog.ts';
import { type Loop, startLoop } from '../jobs/loop.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import { formatAddress, parseAddress, parseSubnet } from '../twin/address.ts';
import { joinMembers, joinTopology, setWeights } from '../twin/live-topology.ts';
import { buildTopology, TopologyError } from '../twin/load.ts';
import type { Monitor } from '../twin/monitor.ts';
import type { Pair, Topology } from '../twin/topology.ts';
import { twinAddress } from '../twin/twin-map.ts';
import { watchedNodes } from './gateway-conditions.ts';
import type { NewNode } from './messages.ts';

type Kind = 'node' | 'directory';

export interface GatewayPairsOptions<C extends NodeClient> {
  readonly cluster: ClusterConfig;
  readonly topology: Topology;
  readonly clients: Map<MemberId, C>;
  readonly connect: (member: MemberId, address: string, port: number) => C;
  readonly catalog: Pick<ClusterCatalog, 'knownPairs' | 'registerTopology' | 'readConditions'> &
    Pick<BucketMoves, 'knownDirectories'>;
  readonly monitor: Pick<Monitor, 'watch'>;
  readonly reloadConditions: () => Promise<unknown>;
  /** Starts the members of a new pair on this machine; null where nobody does that for us. */
  readonly startMembers: ((kind: Kind) => Promise<readonly NewNode[]>) | null;
  /** Brings the schema of a new directory up to date, once its primary answers. */
  readonly migrate: (pair: PairId) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}
export interface AddOrder {
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly weight: number;
}
export interface GatewayPairs {
  add(order: AddOrder): Promise<Pair>;
  addDirectories(): Promise<Pair>;
  /** Reads the record now. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

const POLL_MS = 2_000;
const RECORD_MS = 5_000;
/** Until both nodes of a new pair answer: less than the operator's command waits for its own answer. */
const ANSWER_MS = 8_000;
const RETRY_MS = 250;
const NODE_PORT = 7_100;

export async function openPairs<C extends NodeClient>(o: GatewayPairsOptions<C>): Promise<GatewayPairs> {
  const { clock, random, log } = o;
  const refresh = () => refreshPairs(o);
  await refresh().catch((error: unknown) =>
    log.warn({ err: error }, 'the pairs could not be read; trying again'),
  );
  const loop: Loop = startLoop({ name: 'read-pairs', intervalMs: POLL_MS, run: refresh, clock, random, log });
  return {
    add: (order) => addPair(o, order),
    addDirectories: () => addDirectories(o),
    refresh,
    close: () => loop.close(),
  };
}

async function refreshPairs<C extends NodeClient>(o: GatewayPairsOptions<C>): Promise<void> {
  const known = await within(o.clock, RECORD_MS, o.catalog.knownPairs());
  const directories = await within(o.clock, RECORD_MS, o.catalog.knownDirectories());
  const isNew = (pair: KnownPair) => !o.topology.pairs.has(pair.id);
  const added = [
    ...known.filter(isNew).map((pair) => membersOf(pair, 'node')),
    ...directories.filter(isNew).map((pair) => membersOf(pair, 'directory')),
  ];
  if (added.length > 0) join(o, buildTopology(withMembers(o.cluster, added)));
  if (setWeights(o.topology, new Map(known.map(({ id, weight }) => [id, weight]))))
    o.log.info(
      { weights: Object.fromEntries(known.map(({ id, weight }) => [id, weight])) },
      'weights changed',
    );
}

/** The maps of the running gateway take in what is new; clients before members, so that nobody meets one without. */
function join<C extends NodeClient>(o: GatewayPairsOptions<C>, grown: Topology): readonly Pair[] {
  for (const { id, kind, address, port } of grown.members.values())
    if (kind === 'node' && !o.clients.has(id)) o.clients.set(id, o.connect(id, address, port));
  const joined = joinTopology(o.topology, grown);
  o.monitor.watch(watchedNodes(grown));
  for (const { id, members } of joined) o.log.info({ pair: id, members }, 'pair joined');
  return joined;
}

async function addPair<C extends NodeClient>(o: GatewayPairsOptions<C>, order: AddOrder): Promise<Pair> {
  await refreshPairs(o);
  const nodes = await nodesToAdd(o, order);
  const grown = proved(o, nodes, order.weight);
  const fresh = [...grown.pairs.values()].find((pair) => !o.topology.pairs.has(pair.id));
  if (!fresh) throw new AdminError('NotAllowed', 'this pair is there already');
  await Promise.all(fresh.members.map((id) => untilEmptyNodeAnswers(o, grown, id)));
  await within(o.clock, RECORD_MS, o.catalog.registerTopology(grown));
  await o.reloadConditions();
  join(o, grown);
  return fresh;
}

/**
 * A pair of directories more, on this machine: takes new buckets when its schema is there and the record names it. What is
 * done again after it broke off half-way starts another pair; the first one joins with the next start.
 */
async function addDirectories<C extends NodeClient>(o: GatewayPairsOptions<C>): Promise<Pair> {
  await refreshPairs(o);
  if (!o.startMembers)
    throw new AdminError(
      'NotSupported',
      "directories are added to the configuration files where nobody here starts processes: docs/operations.md, 'Many directories'",
    );
  const started = await o.startMembers('directory');
  const grown = proved(o, started, 1, 'directory');
  const fresh = [...grown.pairs.values()].find((pair) => !o.topology.pairs.has(pair.id));
  if (!fresh) throw new AdminError('NotAllowed', 'this pair is there already');
  joinMembers(o.topology, grown);
  await o.migrate(fresh.id);
  await within(o.clock, RECORD_MS, o.catalog.registerTopology(grown));
  join(o, grown);
  // Once more, now that it is among those that are told who is meant.
  await within(o.clock, RECORD_MS, o.catalog.registerTopology(o.topology));
  return fresh;
}

async function nodesToAdd<C extends NodeClient>(
  o: GatewayPairsOptions<C>,
  { address, port = NODE_PORT }: AddOrder,
): Promise<readonly NewNode[]> {
  if (address === undefined) {
    if (o.startMembers) return await o.startMembers('node');
    throw new AdminError(
      'InvalidRequest',
      'say the address of one node of the pair: nobody here starts processes',
    );
  }
  const twin = twinOf(o.cluster, address);
  if (!twin)
    throw new AdminError(
      'InvalidRequest',
      `${address} is in no subnet of the centers: its twin cannot be computed`,
    );
  return [
    { address, port },
    { address: twin, port },
  ];
}

/** @throws {AdminError} with the rule that the nodes break */
function proved<C extends NodeClient>(
  o: GatewayPairsOptions<C>,
  nodes: readonly NewNode[],
  weight: number,
  kind: Kind = 'node',
): Topology {
  try {
    const before = [...o.topology.pairs.values()].map(({ members, kind }) =>
      members.map((id) => ({ ...o.topology.members.get(id)!, kind })),
    );
    const added = nodes.map((node) => ({ ...node, kind, ...(kind === 'node' && { weight }) }));
    return buildTopology(withMembers(o.cluster, [...before, added]));
  } catch (error) {
    if (error instanceof TopologyError) throw new AdminError('InvalidRequest', error.message);
    throw error;
  }
}

/** By the twin map; null where a table stands for it, or outside the subnets. */
function twinOf(cluster: ClusterConfig, text: string): string | null {
  const [a, b] = cluster.centers.flatMap((center) => center.subnets).map(parseSubnet);
  const address = parseAddress(text);
  const twin = a && b && address && !cluster.twins ? twinAddress([a, b], address) : null;
  return twin && formatAddress(twin);
}

type AddedMember = NewNode & { readonly kind: Kind; readonly weight?: number };

const membersOf = (pair: KnownPair, kind: Kind): readonly AddedMember[] =>
  pair.members.map(({ id, address, port }) => ({
    ...{ id, kind, address, port },
    ...(kind === 'node' && { weight: pair.weight }),
  }));

/** The configuration with the members that it does not have. */
function withMembers(cluster: ClusterConfig, pairs: readonly (readonly AddedMember[])[]) {
  const own = new Set(cluster.members.map(({ kind, address, port }) => `${kind} ${address} ${port}`));
  const added = pairs
    .flat()
    .filter(({ kind, address, port }) => !own.has(`${kind} ${address} ${port}`))
    .map(({ id, kind, address, port, weight }) => ({
      ...{ kind, address, port },
      ...(id === undefined ? {} : { id }),
      ...(weight === undefined ? {} : { weight }),
    }));
  return { ...cluster, members: [...cluster.members, ...added] };
}

/** @throws {AdminError} when it does not answer in time, or holds blobs of another life */
async function untilEmptyNodeAnswers<C extends NodeClient>(
  o: GatewayPairsOptions<C>,
  grown: Topology,
  id: MemberId,
): Promise<void> {
  const { address, port } = grown.members.get(id)!;
  const client = o.connect(id, address, port);
  const until = o.clock.monotonic() + ANSWER_MS;
  try {
    for (;;) {
      try {
        const { blobs } = await client.status();
        if (blobs > 0)
          throw new AdminError(
            'InvalidRequest',
            `${id} (${address}:${port}) holds ${blobs} blobs: give it an empty folder`,
          );
        return;
      } catch (error) {
        if (error instanceof AdminError) throw error;
        if (o.clock.monotonic() >= until)
          throw new AdminError(
            'InvalidRequest',
            `${id} (${address}:${port}) does not answer: ${(error as Error).message}`,
          );
      }
      await o.clock.sleep(RETRY_MS);
    }
  } finally {
    await client.close();
  }
}
