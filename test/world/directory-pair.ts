/**
 * A pair of directories without a supervisor in virtual time: the real keepers, takeover and gateways' poll over simulated
 * servers, disks and lines. A server keeps a list of entries; an entry that is acknowledged has been applied by the
 * standby where the server waits for one. Members are cut off, killed (at a durable write of their choice, too), frozen.
 *
 * What is checked as it runs: a read that counts shows everything that was acknowledged before it began, and everything
 * that a read before it has shown.
 */
import pino from 'pino';
import type { Random } from '../../src/base/clock.ts';
import type { MemberId, PairId } from '../../src/base/ids.ts';
import type { AgentClient } from '../../src/launcher/agent-client.ts';
import { type AgentPoll, startAgentPoll } from '../../src/launcher/agent-poll.ts';
import type { RoleRecord } from '../../src/launcher/agent-role.ts';
import { createDirectoryFailover } from '../../src/launcher/directory-failover.ts';
import type { DirectoryEvent } from '../../src/launcher/directory-history.ts';
import { DirectoryKeeper } from '../../src/launcher/directory-keeper.ts';
import type { DirectoryRole, FromMember, Replication } from '../../src/launcher/messages.ts';
import type { ServerAgent } from '../../src/launcher/server-watch.ts';
import type { Pair } from '../../src/twin/topology.ts';
import { lineTo } from './directory-line.ts';
import { VirtualClock } from './virtual-clock.ts';

export const A = 'directory-a5' as MemberId;
export const B = 'directory-b5' as MemberId;
const PAIR = { id: 'directory/5' as PairId, kind: 'directory', members: [A, B] } as unknown as Pair;
const log = pino({ level: 'silent' });
const NEVER = new Promise<never>(() => {});

interface Server {
  kind: 'primary' | 'standby';
  synchronous: boolean;
  twin: MemberId;
  /** Entries that others see: the acknowledged ones, or all that there were when it was started. */
  visible: number;
}

class Crash extends Error {}

/** One host: its disk, its server, its agent. */
export class Host {
  readonly id: MemberId;
  readonly #world: PairWorld;
  record: string | null = null;
  folder: { kind: 'empty' | 'primary' | 'standby'; entries: string[]; timeline: number } = {
    kind: 'empty',
    entries: [],
    timeline: 0,
  };
  server: Server | null = null;
  keeper: DirectoryKeeper | null = null;
  frozen: PromiseWithResolvers<void> | null = null;
  /** Counts of durable writes until it dies; even: before it is on the disk, odd: after. */
  crashAt: number | null = null;
  #life = 0;

  constructor(id: MemberId, world: PairWorld) {
    this.id = id;
    this.#world = world;
  }

  get isUp(): boolean {
    return this.keeper !== null;
  }

  start(): void {
    if (this.keeper) return;
    // What an earlier agent left running is ended before anything else.
    this.server = null;
    const life = ++this.#life;
    const { clock } = this.#world;
    const own = { isAlive: () => this.#life === life };
    const keeper = new DirectoryKeeper({
      member: this.id,
      pair: PAIR.id,
      twin: {
        id: this.#world.twinOf(this.id),
        isFirst: this.id === A,
        client: this.#world.client(this.id, this.#world.twinOf(this.id), own.isAlive),
      },
      settings: {
        directoryDeadlineMs: 5_000,
        directoryLease: { leaseMs: this.#world.leaseMs, renewMs: 1_000, marginMs: 1_000 },
      },
      roles: {
        read: () => (this.record === null ? null : (JSON.parse(this.record) as RoleRecord)),
        write: (record) => this.#write(JSON.stringify(record)),
      },
      folder: {
        state: () => this.folder.kind,
        identity: () =>
          this.folder.kind === 'empty'
            ? null
            : { systemId: '1', timeline: this.folder.timeline, endedAt: null },
        make: async () => {
          this.folder = { kind: 'primary', entries: [], timeline: 1 };
        },
        kill: async () => {
          this.server = null;
        },
        dropAside: () => {},
      },
      agent: (send) => this.#agent(send, own.isAlive),
      newOrder: () => String(this.#world.next()),
      clock: {
        now: () => clock.now(),
        monotonic: () => clock.monotonic(),
        sleep: async (ms, signal) => {
          await clock.sleep(ms, signal);
          await this.awake();
          if (!own.isAlive()) await NEVER;
        },
      },
      log,
    });
    this.keeper = keeper;
    void keeper.run();
  }

  awake(): Promise<void> {
    return this.frozen?.promise ?? Promise.resolve();
  }

  /** The agent dies; its server lives on until the next one starts, or goes with the host. */
  kill(what: 'agent' | 'host'): void {
    this.#life += 1;
    this.keeper = null;
    this.crashAt = null;
    if (what === 'host') this.server = null;
  }

  #write(text: string): void {
    const crash = this.crashAt === null ? null : this.crashAt--;
    if (crash === 0) {
      this.kill('agent');
      throw new Crash('before the write');
    }
    this.record = text;
    if (crash === 1) {
      this.kill('agent');
      throw new Crash('after the write');
    }
  }

  #agent(send: (message: FromMember) => void, isAlive: () => boolean): ServerAgent {
    const world = this.#world;
    let turn = 0;
    let reports: Server | null = null;
    const become = async (role: DirectoryRole): Promise<void> => {
      const promotes = role.kind === 'primary' && this.server?.kind === 'standby';
      if (!promotes) this.server = null;
      await world.clock.sleep(50 + world.random() * 400);
      await this.awake();
      if (!isAlive() || role.kind === 'off') return;
      if (role.kind === 'primary') {
        if (this.folder.kind === 'standby')
          this.folder = { ...this.folder, kind: 'primary', timeline: this.folder.timeline + 1 };
        const { synchronous, twin } = role;
        this.server = { kind: 'primary', synchronous, twin, visible: this.folder.entries.length };
        if (promotes) world.checkPromotion(this);
        return;
      }
      const source = world.host(role.primary);
      if (this.folder.kind !== 'standby' || role.reseed) {
        if (!world.canReach(this.id, source.id) || source.server?.kind !== 'primary')
          throw new Error('no source');
        this.folder = {
          kind: 'standby',
          entries: [...source.folder.entries],
          timeline: source.folder.timeline,
        };
      }
      this.server = { kind: 'standby', synchronous: false, twin: role.primary, visible: 0 };
    };
    const report = async (): Promise<void> => {
      const server = this.server;
      if (!server || reports === server) return;
      reports = server;
      while (this.server === server && isAlive()) {
        if (server.kind === 'primary')
          send({ type: 'replication', replication: world.replicationOf(this, server) });
        else send({ type: 'alive' });
        await world.clock.sleep(250);
        await this.awake();
      }
      if (isAlive() && turn === told && !this.server)
        send({ type: 'postgres', turn, pid: null, problem: 'gone' });
    };
    let told = 0;
    return {
      take: (role, newTurn) => {
        turn = newTurn;
        told = newTurn;
        become(role).then(
          () => {
            if (!isAlive() || told !== newTurn) return;
            send({ type: 'postgres', turn: newTurn, pid: this.server ? 7 : null });
            void report();
          },
          (error: Error) => {
            if (isAlive()) send({ type: 'postgres', turn: newTurn, pid: null, problem: error.message });
          },
        );
      },
      setSynchronous: (on) => {
        if (this.server?.kind === 'primary') this.server.synchronous = on;
      },
      remember: (events) => world.history.set(this.id, events),
      end: async () => {
        this.server = null;
      },
    };
  }
}

/** A gateway in one of the two centers. */
export class Gateway {
  readonly side: MemberId;
  readonly poll: AgentPoll;
  readonly failover: ReturnType<typeof createDirectoryFailover>;

  constructor(side: MemberId, world: PairWorld) {
    this.side = side;
    const always = () => true;
    const clients = new Map([A, B].map((id) => [id, world.client(side, id, always)] as const));
    this.poll = startAgentPoll({ pairs: [PAIR], clients, clock: world.clock, log });
    this.failover = createDirectoryFailover(this.poll, world.clock);
  }
}

export class PairWorld {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly hosts: ReadonlyMap<MemberId, Host>;
  readonly gateways: readonly Gateway[];
  readonly violations: string[] = [];
  /** What each agent was last given to copy into the catalog. */
  readonly history = new Map<MemberId, readonly DirectoryEvent[]>();
  readonly acknowledged = new Set<string>();
  #shown = new Set<string>();
  reads = 0;
  cut = false;
  #counter = 0;

  readonly leaseMs: number;

  constructor(random: Random, leaseMs = 5_000) {
    this.random = random;
    this.leaseMs = leaseMs;
    this.hosts = new Map([A, B].map((id) => [id, new Host(id, this)] as const));
    this.gateways = [A, B].map((side) => new Gateway(side, this));
  }

  next = (): number => ++this.#counter;
  host = (id: MemberId): Host => this.hosts.get(id)!;
  twinOf = (id: MemberId): MemberId => (id === A ? B : A);
  canReach = (from: MemberId, to: MemberId): boolean => from === to || !this.cut;

  client = (from: MemberId, to: MemberId, isAlive: () => boolean): AgentClient =>
    lineTo(this, { from, to, isAlive });

  /** The standby that streams from this server now. */
  #streamOf(host: Host): Host | null {
    const standby = this.host(this.twinOf(host.id));
    const runs = standby.server?.kind === 'standby' && this.canReach(host.id, standby.id);
    const { entries } = standby.folder;
    return runs && entries.every((entry, at) => host.folder.entries[at] === entry) ? standby : null;
  }

  replicationOf(host: Host, server: Server): Replication {
    const standby = this.#streamOf(host);
    if (standby) standby.folder.entries = [...host.folder.entries];
    this.#settle(host, server);
    const at = (n: number) => n * 1_000_000;
    return {
      state: standby ? 'streaming' : null,
      flushed: at(host.folder.entries.length),
      replayed: standby ? at(standby.folder.entries.length) : null,
      slot: 'reserved',
      synchronous: server.synchronous,
    };
  }

  /** What waited becomes visible, and acknowledged. */
  #settle(host: Host, server: Server): void {
    const { entries } = host.folder;
    const standby = this.#streamOf(host);
    const applied = server.synchronous ? (standby?.folder.entries.length ?? 0) : entries.length;
    for (; server.visible < Math.min(applied, entries.length); server.visible += 1)
      this.acknowledged.add(entries[server.visible]!);
  }

  /** As ddm's Directory does it: trusted before, on a connection whose barrier has passed, and trusted after. */
  async read(gateway: Gateway): Promise<void> {
    const { poll, side } = gateway;
    const before = new Set([...this.acknowledged, ...this.#shown]);
    const named = poll.primary(PAIR.id);
    if (!named || !this.canReach(side, named.member)) return;
    await this.clock.sleep(this.random() * 50);
    const host = this.host(named.member);
    const { server } = host;
    if (server?.kind !== 'primary') return;
    const seen = host.folder.entries.slice(0, server.visible);
    // What a server shows since it was started, its twin must have.
    const standby = this.#streamOf(host);
    if (server.synchronous && seen.length > (standby?.folder.entries.length ?? 0)) return;
    // The gateway may sleep, and the answer may be long on its way.
    await this.clock.sleep(this.random() < 0.2 ? this.random() * 20_000 : this.random() * 100);
    const still = poll.primary(PAIR.id);
    if (still?.member !== named.member || still.term !== named.term) return;
    this.reads += 1;
    const missing = [...before].filter((entry) => !seen.includes(entry));
    if (missing.length > 0)
      this.violations.push(
        `at ${this.clock.monotonic()}: ${named.member} (term ${named.term}) showed no ${missing[0]} to ${side}`,
      );
    for (const entry of seen) this.#shown.add(entry);
  }

  /** At that moment nobody may take a server that still runs for the primary. */
  checkPromotion({ id }: Host): void {
    for (const { poll, side } of this.gateways) {
      const other = poll.primary(PAIR.id)?.member;
      if (other && other !== id && this.host(other).server?.kind === 'primary')
        this.violations.push(
          `at ${this.clock.monotonic()}: ${id} was promoted while the gateway at ${side} trusts ${other}`,
        );
    }
  }

  write(gateway: Gateway): void {
    const named = gateway.poll.primary(PAIR.id);
    const host = named && this.canReach(gateway.side, named.member) ? this.host(named.member) : null;
    if (host?.server?.kind !== 'primary') return;
    host.folder.entries.push(`e${this.next()}`);
    const standby = this.#streamOf(host);
    if (standby && this.random() < 0.7) standby.folder.entries = [...host.folder.entries];
    this.#settle(host, host.server);
  }

  async until(what: string, condition: () => boolean, ms = 120_000): Promise<void> {
    const end = this.clock.monotonic() + ms;
    while (!condition()) {
      if (this.clock.monotonic() > end) throw new Error(`not within ${ms} ms: ${what}\n${this.describe()}`);
      await this.clock.sleep(100);
    }
  }

  /** Commits wait for the twin, which knows that it has everything. */
  isWhole(): boolean {
    const words = [A, B].map((id) => this.host(id).keeper?.status());
    const primary = words.find((word) => word?.role === 'primary' && word.trustMs > 0);
    const standby = words.find((word) => word?.role === 'standby');
    return primary?.synchronous === true && standby?.synchronous === true && standby.problem === null;
  }

  describe(): string {
    return [A, B]
      .map((id) => {
        const { record, folder, server, keeper } = this.host(id);
        return `${id}: ${record} folder ${folder.kind} server ${server?.kind} problem ${keeper?.status().problem}`;
      })
      .join('\n');
  }

  async stop(): Promise<void> {
    for (const { poll } of this.gateways) void poll.close();
    for (const id of [A, B]) this.host(id).kill('host');
  }
}
