/** What a gateway knows of the directories: the supervisor's latest word, or, without a supervisor, their agents'. */
import type { DirectoryFailover } from '../admin/failover.ts';
import { systemClock } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import type { DirectoryLocator, PostgresConnection } from '../ddm/locator.ts';
import type { Topology } from '../twin/topology.ts';
import { type AgentPoll, startAgentPoll } from './agent-poll.ts';
import { createDirectoryFailover } from './directory-failover.ts';
import { APP_ROLE, DATABASE, OWNER_ROLE } from './directory-roles.ts';
import { type GatewayPeers, watchGateways } from './gateway-peers.ts';
import type { MemberProcess } from './member.ts';
import type { ClusterState, MemberState } from './messages.ts';
import { readPasswords } from './secrets.ts';

export class Directories implements DirectoryLocator {
  readonly #topology: Topology;
  readonly #passwords: ReturnType<typeof readPasswords>;
  readonly #self: string;
  readonly #poll: AgentPoll | null;
  readonly #gateways: GatewayPeers | null;
  #told: ClusterState | null = null;

  constructor(config: MemberConfig, topology: Topology, proc: MemberProcess) {
    this.#topology = topology;
    this.#passwords = readPasswords(config.secretsDir);
    this.#self = config.member;
    this.#poll = proc.supervised
      ? null
      : startAgentPoll({ config, topology, clock: systemClock, log: proc.log });
    proc.onEnd(async () => this.#poll?.close());
    this.#gateways = proc.supervised ? null : watchGateways(topology, config.member, systemClock);
    proc.onEnd(async () => this.#gateways?.close());
    proc.onMessage((message) => {
      if (message.type === 'cluster') this.#told = message.state;
    });
    proc.send({ type: 'listening' });
  }

  pairs(): readonly PairId[] {
    return [...this.#topology.pairs.values()].filter((p) => p.kind === 'directory').map((p) => p.id);
  }

  /** The pair that keeps what is global. */
  get root(): PairId {
    const [first] = this.pairs();
    if (!first) throw new Error('the cluster has no directory');
    return first;
  }

  primary(pair: PairId): PostgresConnection | null {
    return this.#connection(pair, APP_ROLE, this.#passwords.app);
  }

  /** For migrations. */
  owner(): PostgresConnection | null {
    return this.#connection(this.root, OWNER_ROLE, this.#passwords.owner);
  }

  /** What operators may do about directories; null: the supervisor decides. */
  failover(): DirectoryFailover | null {
    return this.#poll ? createDirectoryFailover(this.#poll) : null;
  }

  get #state(): ClusterState | null {
    return this.#poll?.state ?? this.#told;
  }

  /** For `status`: what the supervisor knows, and that this gateway runs. */
  members(): readonly MemberState[] {
    const known = [...(this.#state?.members ?? []), ...(this.#gateways?.members() ?? [])];
    return known.map((m) => (m.id === this.#self ? { id: m.id, pid: process.pid } : m));
  }

  #connection(pair: PairId, user: string, password: string): PostgresConnection | null {
    const directory = this.#state?.directories.find((d) => d.pair === pair);
    if (!directory || directory.condition === 'lost') return null;
    const member = this.#topology.members.get(directory.primary)!;
    return { host: member.address, port: member.port, database: DATABASE, user, password };
  }
}
