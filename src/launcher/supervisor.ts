/**
 * The members of one machine as child processes, and the deciders of their directory pairs. Starts them, hands what it
 * knows of them to the gateway, takes them down in order: gateway, nodes, standbys, primaries.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { StartConfig } from '../config.ts';
import { ConfigError } from '../config.ts';
import { Child } from './child.ts';
import { DECIDED_BY_ITSELF, type DecisionLog } from './decisions.ts';
import { DirectoryPairs } from './directory-pairs.ts';
import {
  type Plan,
  type PlannedMember,
  type PlannedPair,
  planDirectories,
  planPair,
  withDirectories,
  withNodes,
  writeMemberConfig,
} from './layout.ts';
import { forgetPids, rememberPids } from './leftovers.ts';
import type { ClusterState, FromMember, MemberState } from './messages.ts';
import type { DirectoryHandle } from './pair-decider.ts';
import { findPostgres } from './postgres-binaries.ts';
import { killFolder } from './postgres-processes.ts';
import type { Progress } from './progress.ts';
import { readPasswords } from './secrets.ts';
import { readyFolders } from './start-folders.ts';

const NODE_END_MS = 10_000;
const ADD_MS = 15_000;
const ADD_DIRECTORIES_MS = 60_000;
const DIRECTORY_END_MS = 30_000;
/** The gateway's drain, and some for the rest of its end. */
const GATEWAY_END_EXTRA_MS = 5_000;

export interface Ports {
  readonly s3: number;
  readonly admin: number;
}

export interface SupervisorOptions {
  readonly config: StartConfig;
  readonly plan: Plan;
  readonly decisions: DecisionLog;
  readonly log: Logger;
  readonly progress: Progress;
}

export class Supervisor {
  readonly #config: StartConfig;
  #plan: Plan;
  readonly #decisions: DecisionLog;
  readonly #log: Logger;
  readonly #progress: Progress;
  readonly #children = new Map<MemberId, Child>();
  readonly #up = new Set<MemberId>();
  #directories: DirectoryPairs | null = null;
  #stopping = false;
  #adding = false;
  #ports: Ports | null = null;
  #waiters: (() => void)[] = [];
  #fail: (error: Error) => void = () => {};
  /** Rejects when a member says that it cannot run at all. */
  readonly failed: Promise<never>;

  constructor(o: SupervisorOptions) {
    this.#decisions = o.decisions;
    this.#config = o.config;
    this.#plan = o.plan;
    this.#log = o.log;
    this.#progress = o.progress;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
    for (const member of o.plan.members) this.#children.set(member.id, this.#makeChild(member));
  }

  startMembers(): void {
    for (const child of this.#children.values()) child.start();
    this.#remember();
  }

  /** The directories' folders are there: gives them their roles. Resolves when S3 answers. */
  async bringUp(deadlineMs: number): Promise<Ports> {
    const directories = new DirectoryPairs({
      pairs: this.#plan.directoryPairs,
      handle: (member) => this.#handle(member),
      decisions: this.#decisions,
      clock: systemClock,
      log: this.#log,
      deadlineMs: this.#config.settings.directoryDeadlineMs,
      onChange: () => this.#changed(),
    });
    if (this.#stopping) throw new Error('stopped while it was starting');
    this.#directories = directories;
    directories.start();
    await this.#waitFor(() => directories.ready, deadlineMs, 'the catalog');
    this.#progress.step('the catalog and its twin are up');
    const all = this.#plan.members.map((member) => member.id);
    await this.#waitFor(
      () => this.#ports !== null && all.every((m) => this.#up.has(m)),
      deadlineMs,
      'the gateway',
    );
    this.#progress.step('the gateway answers');
    return this.#ports!;
  }

  /** Who answers for the root pair at this moment. */
  get rootPrimary(): PlannedMember {
    const root = this.#plan.directoryPairs[0]!;
    const state = this.#directories?.states.find(({ pair }) => pair === root.id);
    return root.members.find(({ id }) => id === state?.primary) ?? root.members[0];
  }

  /** In order, each within its deadline. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#directories?.stop();
    const of = (kind: PlannedMember['kind']) => this.#plan.members.filter((member) => member.kind === kind);
    const end = (members: readonly PlannedMember[], ms: number) =>
      Promise.all(members.map((member) => this.#children.get(member.id)!.stop(ms)));
    await end(of('gateway'), this.#config.settings.drainMs + GATEWAY_END_EXTRA_MS);
    const states = this.#directories?.states ?? [];
    const isPrimary = ({ id }: PlannedMember) => states.some((state) => state.primary === id);
    const endPair = async ({ members }: PlannedPair) => {
      await end(
        members.filter((member) => !isPrimary(member)),
        DIRECTORY_END_MS,
      );
      await end(members, DIRECTORY_END_MS);
    };
    await Promise.all([end(of('node'), NODE_END_MS), ...this.#plan.directoryPairs.map(endPair)]);
    await this.#killServers();
    forgetPids(this.#plan);
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => child.stop(0)));
    await this.#killServers();
  }

  async #killServers(): Promise<void> {
    const members = this.#plan.directoryPairs.flatMap((pair) => pair.members);
    await Promise.all(members.map((member) => killFolder(join(member.dataDir, 'pg'))));
  }

  get state(): ClusterState {
    const others = this.#plan.members
      .filter((member) => member.kind !== 'directory')
      .map(({ id }): MemberState => {
        const pid = this.#children.get(id)!.pid;
        return this.#up.has(id) ? { id, pid } : { id, pid, condition: 'suspect' };
      });
    const { members = [], states = [] } = this.#directories ?? {};
    return { members: [...members, ...others], directories: states };
  }

  #makeChild(member: PlannedMember): Child {
    const cli = join(import.meta.dirname, '..', 'cli.ts');
    const spec = { id: member.id, kind: member.kind, configFile: member.configFile, cli };
    return new Child(spec, {
      message: (message) => this.#heard(member, message),
      ended: (how, again) => this.#ended(member, how, again),
    });
  }

  #handle(member: PlannedMember): DirectoryHandle {
    const child = this.#children.get(member.id)!;
    return {
      id: member.id,
      take: (role, turn) => child.sendWhenListening({ type: 'role', role, turn }),
      remember: (decisions) =>
        child.send({
          type: 'decisions',
          events: decisions.map(({ at, pair, what, member: about, why, decidedBy = DECIDED_BY_ITSELF }) => ({
            ...{ at, pair, what, member: about, why, decidedBy },
          })),
        }),
      setSynchronous: (on) => child.send({ type: 'synchronous', on }),
      kill: async (what) => {
        if (what === 'server-and-agent') await child.kill();
        await killFolder(join(member.dataDir, 'pg'));
      },
    };
  }

  #heard(member: PlannedMember, message: FromMember): void {
    if (message.type === 'refused') this.#fail(new ConfigError(message.message));
    else if (message.type === 'progress') this.#progress.step(message.step, message.ms);
    else if (message.type === 'notice') this.#progress.notice(message.message);
    else if (message.type === 'listening') this.#changed();
    else if (message.type === 'failover') void this.#order(message);
    else if (message.type === 'add-nodes') void this.#addPair(message.kind);
    else if (message.type === 'ready') {
      this.#up.add(member.id);
      this.#remember();
      if (member.kind === 'gateway') this.#gatewayIsUp(member, message.ports);
      this.#changed();
    } else {
      if (message.type === 'postgres' && message.pid === null && !this.#stopping)
        this.#progress.step(`${member.id} is down (${message.problem})`, 0);
      this.#directories?.heard(member.id, message);
    }
  }

  async #order({ order, action, ...about }: Extract<FromMember, { type: 'failover' }>): Promise<void> {
    const gateway = this.#children.get(this.#plan.gateway.id)!;
    try {
      if (!this.#directories) throw new Error('the directories are not up yet');
      const word = await this.#directories.order(action, about);
      gateway.send({ type: 'failover-done', order, word });
    } catch (error) {
      gateway.send({ type: 'failover-done', order, problem: (error as Error).message });
    }
  }

  /** A port that the system chose stays the same when the gateway is started again. */
  #gatewayIsUp(member: PlannedMember, ports: Readonly<Record<string, number>>): void {
    const { s3, admin } = ports;
    if (s3 === undefined || admin === undefined) return;
    this.#ports = { s3, admin };
    const { listen, admin: adminAt } = this.#config;
    const fixed = { listen: { ...listen, port: s3 }, admin: { ...adminAt, port: admin } };
    writeMemberConfig(this.#plan, member, { ...this.#config, ...fixed });
  }

  /** One pair more: both members run before the gateway hears of them, and the next start finds their folders. */
  async #addPair(kind: 'node' | 'directory'): Promise<void> {
    const gateway = this.#children.get(this.#plan.gateway.id)!;
    const answer = (nodes: readonly PlannedMember[], problem?: string) =>
      gateway.send({
        type: 'nodes-added',
        nodes: nodes.map(({ id, address, port }) => ({ id, address, port })),
        ...(problem === undefined ? {} : { problem }),
      });
    if (this.#adding) return answer([], 'another pair is being added');
    this.#adding = true;
    const before = this.#plan;
    const nodes: PlannedMember[] = [];
    try {
      const pair = kind === 'directory' ? planDirectories(this.#plan, this.#config) : null;
      nodes.push(...(pair?.members ?? planPair(this.#plan, this.#config)));
      const grown = pair ? withDirectories(this.#plan, pair) : withNodes(this.#plan, nodes);
      for (const node of nodes) writeMemberConfig(grown, node, this.#config);
      this.#plan = grown;
      for (const node of nodes) this.#children.set(node.id, this.#makeChild(node));
      for (const node of nodes) this.#children.get(node.id)!.start();
      this.#remember();
      if (pair) await this.#makeDirectories(grown, pair);
      const isUp = () =>
        nodes.every(({ id }) => this.#up.has(id)) && (!pair || this.#directories!.isReady(pair.id));
      await this.#waitFor(isUp, pair ? ADD_DIRECTORIES_MS : ADD_MS, nodes[0]!.id);
      this.#progress.step(`started ${nodes.map(({ id }) => id).join(' and ')}`);
      answer(nodes);
    } catch (error) {
      this.#plan = before;
      const children = nodes.flatMap(({ id }) => this.#children.get(id) ?? []);
      for (const { id } of nodes) this.#children.delete(id);
      await Promise.all(children.map((child) => child.stop(0)));
      answer([], (error as Error).message);
    } finally {
      this.#adding = false;
    }
  }

  /** Their agents run already and wait for their roles. */
  async #makeDirectories(grown: Plan, pair: PlannedPair): Promise<void> {
    await readyFolders({
      ...{ plan: { ...grown, directoryPairs: [pair] }, decisions: this.#decisions, now: Date.now },
      binaries: await findPostgres(join(this.#config.dataDir, 'lib')),
      superuserPassword: readPasswords(grown.secretsDir).superuser,
      progress: (step) => this.#progress.step(step),
    });
    this.#directories!.add(pair);
  }

  #ended(member: PlannedMember, how: string, again: number | null): void {
    this.#up.delete(member.id);
    if (this.#stopping) return;
    this.#log.error({ member: member.id, how, againMs: again }, 'member ended');
    this.#progress.step(`${member.id} ended (${how}); starting it again`, again ?? 0);
    if (member.kind === 'directory') this.#directories?.lost(member.id);
    this.#changed();
  }

  #changed(): void {
    for (const waiter of this.#waiters) waiter();
    const gateway = this.#children.get(this.#plan.gateway.id)!;
    gateway.send({ type: 'cluster', state: this.state });
  }

  #remember(): void {
    const pids = [...this.#children].flatMap(([id, child]) =>
      child.pid === null ? [] : [[id, child.pid] as const],
    );
    rememberPids(this.#plan, Object.fromEntries(pids));
  }

  async #waitFor(condition: () => boolean, deadlineMs: number, what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const met = new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () =>
          reject(new Error(`${what} did not come up within ${deadlineMs} ms; see ${this.#config.dataDir}`)),
        deadlineMs,
      );
      const waiter = () => {
        if (condition()) resolve();
      };
      this.#waiters.push(waiter);
      waiter();
    });
    try {
      await Promise.race([met, this.failed]);
    } finally {
      clearTimeout(timer);
      this.#waiters = [];
    }
  }
}
