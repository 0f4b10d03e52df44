/**
 * A whole deployment in one process: two centers of nodes, gateways, one catalog, lines between all of them, a clock
 * that jumps. Everything that is random comes from one seed. The world watches itself: what takes effect in the catalog
 * and on the disks is noted in the trace and checked against the book.
 */
import type { Random } from '../../src/base/clock.ts';
import type { BlobId, MemberId } from '../../src/base/ids.ts';
import type { Conditions } from '../../src/twin/condition.ts';
import { buildTopology } from '../../src/twin/load.ts';
import type { Topology } from '../../src/twin/topology.ts';
import type { ModelCatalog } from '../model/model-catalog.ts';
import { Book } from './book.ts';
import { type FrontBucket, OWNER } from './front.ts';
import { ModelLog } from './model-log.ts';
import { Network } from './network.ts';
import type { PeerReads } from './node-core.ts';
import { seededRandom } from './seeded-random.ts';
import { SimDirectory } from './sim-directory.ts';
import { type Mutate, SimGateway, UNCHANGED } from './sim-gateway.ts';
import { SimNode } from './sim-node.ts';
import { Trace } from './trace.ts';
import { VirtualClock } from './virtual-clock.ts';
import { checkAdmitted, checkRemoved, watchCatalog } from './watch-catalog.ts';
import { DIRECTORY, isOfRoot, ROOT } from './wire-catalog.ts';
import { type Hazard, WireClient } from './wire-client.ts';

export interface WorldPlan {
  readonly seed: number;
  readonly pairs: number;
  /** Where each gateway stands. */
  readonly gateways: readonly (string | null)[];
  readonly mutate?: Mutate;
}
export type CatalogPoint = { what: string; when: 'before' | 'taken' | 'after'; gateway: SimGateway };

export class SimWorld {
  readonly random: Random;
  readonly clock = new VirtualClock();
  readonly trace = new Trace(() => this.clock.monotonic());
  readonly network: Network;
  readonly topology: Topology;
  readonly nodes: ReadonlyMap<MemberId, SimNode>;
  readonly gateways: readonly SimGateway[];
  readonly model: ModelCatalog;
  /** Of the root and of the rows, by name. */
  readonly directories: Readonly<Record<string, SimDirectory>>;
  readonly book = new Book();
  readonly buckets: FrontBucket[] = [];
  /** The record after its last change. */
  recorded: Conditions | null = null;
  /** Rejects with the first promise that is found broken, wherever that is. */
  readonly violated: Promise<never>;
  fail!: (error: unknown) => void;
  readonly #mutate: Mutate;
  /** Set by a schedule. */
  onNode: Hazard = () => {};
  onCatalog: (point: CatalogPoint) => void = () => {};
  /** The same, for whoever lets a directory fail. */
  onTaken: (point: CatalogPoint) => void = () => {};

  constructor(plan: WorldPlan) {
    const { clock, trace, book } = this;
    this.#mutate = plan.mutate ?? UNCHANGED;
    this.violated = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.violated.catch(() => {});
    this.random = seededRandom(plan.seed);
    this.network = new Network(clock, this.random, trace);
    const hosts = Array.from({ length: plan.pairs }, (_, index) => 11 + index);
    this.topology = buildTopology({
      centers: [
        { name: 'a', subnets: ['10.1.0.0/24'] },
        { name: 'b', subnets: ['10.2.0.0/24'] },
      ],
      members: hosts.flatMap((host) =>
        [1, 2].map((net) => ({ kind: 'node' as const, address: `10.${net}.0.${host}`, port: 7100 })),
      ),
    });
    const { random, network, topology } = this;
    const onStored = (node: SimNode, id: BlobId) => {
      const home = node.blobs.get(id)!.intent.handoffFor;
      trace.note(home ? 'handoff-stored' : 'stored', `${node.member} ${id} ${home ?? ''}`);
      book.held(node.member, id);
    };
    const onServing = (node: SimNode) => void checkAdmitted(this, node).catch(this.fail);
    const onRemoved = (node: SimNode, id: BlobId) => {
      trace.note('removed', `${node.member} ${id}`);
      void checkRemoved(this, node, id).catch(this.fail);
    };
    this.nodes = new Map(
      [...topology.members.keys()].map((member) => [
        member,
        new SimNode({
          member,
          center: topology.members.get(member)!.center!,
          clock,
          random,
          trace,
          peers: (from) => this.#peersOf(from),
          onStored,
          onRemoved,
          onServing,
        }),
      ]),
    );
    const log = new ModelLog(() => clock.now());
    this.model = log.model;
    const bugs = this.#mutate.directory;
    const directory = (name: string, isOwn: (call: string) => boolean) =>
      new SimDirectory({ ...{ name, isOwn, log, clock, network, random, trace, bugs } });
    this.directories = {
      [ROOT]: directory(ROOT, isOfRoot),
      [DIRECTORY]: directory(DIRECTORY, (call) => !isOfRoot(call)),
    };
    const watched = watchCatalog(this.model, this);
    this.gateways = plan.gateways.map(
      (center, index) =>
        new SimGateway({
          ...{ id: `gateway-${index + 1}`, center, topology, clock, network, nodes: this.nodes, book, trace },
          ...{ model: watched, directories: this.directories, random, mutate: this.#mutate },
          fail: this.fail,
          hazard: (point) => this.onNode(point),
          catalogHazard: (gateway) => (point) =>
            point.when === 'taken'
              ? this.onTaken({ ...point, gateway })
              : this.onCatalog({ ...point, gateway }),
        }),
    );
  }

  #peersOf(from: SimNode): PeerReads {
    return (member) => {
      const node = this.nodes.get(member)!;
      const hazard: Hazard = (point) => this.onNode(point);
      const wire = new WireClient({ from: from.process!, node, network: this.network, hazard });
      return this.#mutate.peer(wire, node);
    };
  }

  async start(): Promise<void> {
    for (const [name, durability] of [
      ['two', 'two-copies'],
      ['both', 'both-centers'],
      ['one', 'one'],
    ] as const) {
      const made = await this.model.createBucket({ name, owner: OWNER, region: 'world', objectLock: false });
      if (made.outcome !== 'done') throw new Error(`no bucket ${name}`);
      this.buckets.push({ id: made.value.id, name, durability });
    }
    await this.model.registerTopology(this.topology);
    this.recorded = await this.model.readConditions();
    for (const node of this.nodes.values()) node.start();
    for (const gateway of this.gateways) gateway.start();
    while (this.gateways.some(({ running }) => !running)) await this.pass(100);
    for (const { running } of this.gateways) await running!.monitor.settled(10_000);
  }

  /** Lets virtual time pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.sleep(ms);
  }
}
