/**
 * The pairs of nodes of one gateway: those of its configuration and those that were added since, by any gateway, with the
 * weights of the record. Reads them about every two seconds; what is new joins the live topology, gets a client and is watched.
 */
import type { Logger } from 'pino';
import { AdminError } from '../admin/admin-error.ts';
import type { Clock, Random } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { ClusterConfig } from '../config.ts';
import type { ClusterCatalog, KnownPair } from '../ddm/cluster-catalog.ts';
import { type Loop, startLoop } from '../jobs/loop.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import { formatAddress, parseAddress, parseSubnet } from '../twin/address.ts';
import { joinTopology, setWeights } from '../twin/live-topology.ts';
import { buildTopology, TopologyError } from '../twin/load.ts';
import type { Monitor } from '../twin/monitor.ts';
import type { Pair, Topology } from '../twin/topology.ts';
import { twinAddress } from '../twin/twin-map.ts';
import { watchedNodes } from './gateway-conditions.ts';
import type { NewNode } from './messages.ts';

export interface GatewayPairsOptions<C extends NodeClient> {
  readonly cluster: ClusterConfig;
  readonly topology: Topology;
  readonly clients: Map<MemberId, C>;
  readonly connect: (member: MemberId, address: string, port: number) => C;
  readonly catalog: Pick<ClusterCatalog, 'knownPairs' | 'registerTopology' | 'readConditions'>;
  readonly monitor: Pick<Monitor, 'watch'>;
  readonly reloadConditions: () => Promise<unknown>;
  /** Starts the nodes of a new pair on this machine; null where nobody does that for us. */
  readonly startNodes: (() => Promise<readonly NewNode[]>) | null;
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
  return { add: (order) => addPair(o, order), refresh, close: () => loop.close() };
}

async function refreshPairs<C extends NodeClient>(o: GatewayPairsOptions<C>): Promise<void> {
  const known = await within(o.clock, RECORD_MS, o.catalog.knownPairs());
  const added = known.filter((pair) => !o.topology.pairs.has(pair.id));
  if (added.length > 0) join(o, buildTopology(withNodes(o.cluster, added.map(nodesOf))));
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

async function nodesToAdd<C extends NodeClient>(
  o: GatewayPairsOptions<C>,
  { address, port = NODE_PORT }: AddOrder,
): Promise<readonly NewNode[]> {
  if (address === undefined) {
    if (o.startNodes) return await o.startNodes();
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
): Topology {
  try {
    const before = [...o.topology.pairs.values()]
      .filter(({ kind }) => kind === 'node')
      .map(({ members }) => members.map((id) => o.topology.members.get(id)!));
    return buildTopology(withNodes(o.cluster, [...before, nodes.map((node) => ({ ...node, weight }))]));
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

type AddedNode = NewNode & { readonly weight?: number };

const nodesOf = (pair: KnownPair): readonly AddedNode[] =>
  pair.members.map(({ id, address, port }) => ({ id, address, port, weight: pair.weight }));

/** The configuration with the nodes that it does not have. */
function withNodes(cluster: ClusterConfig, pairs: readonly (readonly AddedNode[])[]) {
  const own = new Set(cluster.members.map(({ kind, address, port }) => `${kind} ${address} ${port}`));
  const added = pairs
    .flat()
    .filter(({ address, port }) => !own.has(`node ${address} ${port}`))
    .map(({ id, address, port, weight }) => ({
      ...{ kind: 'node' as const, address, port },
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
