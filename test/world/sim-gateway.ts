/**
 * A gateway that lives: its own DOSM, view of the conditions, monitor and jobs over its own lines to the nodes and to
 * the shared catalog. What is killed never goes on; a new start begins with nothing but what the catalog and nodes say.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../../src/base/clock.ts';
import type { MemberId, PairId } from '../../src/base/ids.ts';
import { type Catalog, CatalogUnavailable } from '../../src/ddm/catalog.ts';
import { CachedConditions } from '../../src/ddm/condition-view.ts';
import { createDosm, type DosmOptions, type GatewayDosm } from '../../src/dosm/create.ts';
import { createFinder } from '../../src/dosm/find.ts';
import { Findings } from '../../src/dosm/findings.ts';
import { startJobs } from '../../src/jobs/start.ts';
import type { Conditions, ConditionView } from '../../src/twin/condition.ts';
import type { Watched } from '../../src/twin/judge.ts';
import { type Monitor, startMonitor } from '../../src/twin/monitor.ts';
import { Suspicion } from '../../src/twin/suspicion.ts';
import type { Topology } from '../../src/twin/topology.ts';
import { type Book, Violation } from './book.ts';
import { blobIdFrom, Front } from './front.ts';
import type { Network } from './network.ts';
import { Process } from './process.ts';
import type { DirectoryBugs, SimDirectory } from './sim-directory.ts';
import type { SimNode } from './sim-node.ts';
import { simSearcher } from './sim-search.ts';
import type { Trace } from './trace.ts';
import type { VirtualClock } from './virtual-clock.ts';
import { type CatalogHazard, wireCatalog } from './wire-catalog.ts';
import { type Hazard, WireClient } from './wire-client.ts';

/** Times of the world's jobs: short, so that a schedule sees the end of everything. */
export const WORLD_TIMES = {
  intentMs: 30_000,
  pendingGraceMs: 3_000,
  blobGraceMs: 30_000,
  reapMs: 3_000,
  reclaimMs: 3_000,
};

/** Twice the product's: most of what a schedule costs is probes. */
const PROBE_MS = 1_000;

export interface GatewayPlace {
  readonly id: string;
  readonly center: string | null;
  readonly topology: Topology;
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly nodes: ReadonlyMap<MemberId, SimNode>;
  readonly model: Catalog;
  readonly directories: Readonly<Record<string, SimDirectory>>;
  readonly book: Book;
  readonly trace: Trace;
  readonly random: Random;
  readonly hazard: Hazard;
  readonly mutate: Mutate;
  readonly fail: (error: unknown) => void;
  readonly catalogHazard: (gateway: SimGateway) => CatalogHazard;
}

/** What lives in one run of the process. */
export interface Running {
  readonly process: Process;
  readonly dosm: GatewayDosm;
  readonly front: Front;
  readonly catalog: Catalog;
  readonly view: CachedConditions;
  readonly monitor: Monitor;
}
/** Bugs put in on purpose stand between the gateway and what it depends on; without them everything passes as it is. */
export interface Mutate {
  client(client: WireClient, gateway: SimGateway): WireClient;
  /** By which a node pulls from another. */
  peer(client: WireClient, target: SimNode): WireClient;
  catalog(catalog: Catalog, gateway: SimGateway): Catalog;
  dosm(gateway: SimGateway): Partial<DosmOptions>;
  readonly directory: DirectoryBugs;
}
export const UNCHANGED: Mutate = {
  client: (client) => client,
  peer: (client) => client,
  catalog: (catalog) => catalog,
  dosm: () => ({}),
  directory: {},
};

export class SimGateway {
  readonly place: GatewayPlace;
  running: Running | null = null;
  /** What a start has made already. */
  booting: { readonly view: ConditionView } | null = null;
  #process: Process | null = null;
  #disturbedAt = 0;
  /** When it last was let go on. */
  resumedAt = 0;

  constructor(place: GatewayPlace) {
    this.place = place;
  }

  get id(): string {
    return this.place.id;
  }

  get isUp(): boolean {
    return this.running !== null && !this.running.process.isStopped;
  }

  goodSince(): number {
    return this.isUp ? this.#disturbedAt : Number.POSITIVE_INFINITY;
  }

  /** Begins; it runs when it has read the record. */
  start(): void {
    if (this.#process) return;
    this.#note('start');
    this.#process = new Process(this.place.id, this.place.clock);
    void this.#boot(this.#process);
  }

  async #boot(process: Process): Promise<void> {
    const { place } = this;
    const { network, nodes, random, topology, book } = place;
    const clients = new Map(
      [...nodes.values()].map((node) => [
        node.member,
        place.mutate.client(new WireClient({ from: process, node, network, hazard: place.hazard }), this),
      ]),
    );
    const catalog = place.mutate.catalog(
      wireCatalog({
        ...{ model: place.model, directories: place.directories },
        ...{ from: process, network, intentMs: WORLD_TIMES.intentMs },
        hazard: place.catalogHazard(this),
      }),
      this,
    );
    const log = faultFinder(place);
    const ceased = new Ceased(place);
    for (const client of clients.values())
      client.onCall = (what, lastResort) => ceased.check(client.member, what, lastResort);
    const shared = { clock: process, random, log };
    const initial = await untilRead(catalog, process);
    const view = new CachedConditions(initial, { read: () => catalog.readConditions(), ...shared });
    ceased.view = view;
    this.booting = { view };
    const suspicion = new Suspicion();
    const monitor = startMonitor({
      ...shared,
      watched: watchedOf(topology),
      conditions: view,
      suspicion,
      timings: { probeMs: PROBE_MS },
      probe: (member) => clients.get(member)!.status(),
      tell: (member, told) => clients.get(member)!.setCondition(told),
      declare: async (declaration) => {
        const outcome = await catalog.changeCondition({ ...declaration, decidedBy: this.id });
        if (outcome.outcome === 'unknown') throw new Error('the outcome is unknown');
        if (outcome.outcome === 'done') view.take(outcome.value);
        return outcome.outcome === 'refused' ? outcome : null;
      },
      adoptStore: async (member, storeId) => {
        await catalog.adoptStore(member, storeId);
        await view.reload();
      },
    });
    const epochOf = (member: MemberId) => view.epochOf(pairOf(topology, member));
    const searcher = simSearcher({ from: process, network, random, topology, nodes, clients, epochOf });
    const finder = createFinder({ ...shared, topology, conditions: view, searcher });
    const { onDamage, onFoundOffMap } = new Findings({ catalog, clock: process });
    const dosm = createDosm({
      ...{ ...shared, topology, clients, center: place.center, conditions: view, suspicion, finder },
      ...{ onDamage, onFoundOffMap },
      newBlobId: () => blobIdFrom(random),
      ...place.mutate.dosm(this),
    });
    startJobs({
      ...{ ...shared, catalog, clients, topology, intervals: WORLD_TIMES, view },
      replication: {
        ...{ catalog, clients, topology, view, owner: `${this.id} ${process.startedAt}` },
        suspects: () => dosm.suspects(),
        find: async (blob, signal) => (await finder.find(blob, signal)).members,
        settings: { sweepMs: 15_000 },
      },
    });
    const front = new Front({ catalog, dosm, book, random });
    this.running = { process, dosm, front, catalog, view, monitor };
    this.#note('runs');
  }

  kill(): void {
    if (!this.#process) return;
    this.#note('kill');
    const process = this.#process;
    this.#process = null;
    this.running = null;
    process.kill();
  }

  stop(): void {
    if (!this.#process || this.#process.isStopped) return;
    this.#note('stop');
    this.#process.stop();
  }

  cont(): void {
    if (!this.#process?.isStopped) return;
    this.resumedAt = this.place.clock.monotonic();
    this.#note('cont');
    this.#process.cont();
  }

  #note(what: string): void {
    this.#disturbedAt = this.place.clock.monotonic();
    this.place.trace.note(`gateway-${what}`, this.id);
  }
}

const DATA = new Set(['read', 'write', 'delete', 'search']);
/** What was decided before the record was read may still be asked. */
const CEASED_GRACE_MS = 2_500;

/** Ceased means ceased: whom the gateway knows to be in failover it asks for no data. */
class Ceased {
  view: ConditionView | null = null;
  readonly #outSince = new Map<MemberId, number>();
  readonly #place: GatewayPlace;

  constructor(place: GatewayPlace) {
    this.#place = place;
  }

  check(member: MemberId, what: string, isLastResort: boolean): void {
    const state = this.view?.stateOf(member) ?? 'serving';
    if (state === 'serving') {
      this.#outSince.delete(member);
      return;
    }
    const now = this.#place.clock.monotonic();
    const since = this.#outSince.get(member) ?? now;
    this.#outSince.set(member, since);
    const mayBe = isLastResort && state === 'resyncing';
    if (DATA.has(what) && !mayBe && now - since > CEASED_GRACE_MS)
      this.#place.fail(
        new Violation(`${this.#place.id} sends a ${what} to ${member}, which it knows to be ${state}`),
      );
  }
}

function watchedOf(topology: Topology): Watched[] {
  return [...topology.pairs.values()].flatMap((pair) =>
    pair.members.map((member) => {
      const { twin, center } = topology.members.get(member)!;
      return { member, twin: twin!, pair: pair.id, center: center! };
    }),
  );
}

const pairOf = (topology: Topology, member: MemberId): PairId =>
  [...topology.pairs.values()].find(({ members }) => members.includes(member))!.id;

async function untilRead(catalog: Catalog, clock: Clock): Promise<Conditions> {
  for (;;) {
    try {
      return await catalog.readConditions();
    } catch (error) {
      if (!(error instanceof CatalogUnavailable)) throw error;
      await clock.sleep(500);
    }
  }
}

/** Jobs and watches log what they could not do. What is no failure of the world is one of the program. */
function faultFinder({ fail, trace, id }: GatewayPlace) {
  const note = (facts: { err?: unknown }, text?: string) => {
    trace.note('log', `${id} ${text}`);
    const { err } = facts;
    if (err instanceof TypeError || err instanceof RangeError || err instanceof ReferenceError) fail(err);
    if (text === 'a watch has ended') fail(err);
  };
  return { info: note, warn: note } as unknown as Logger;
}
