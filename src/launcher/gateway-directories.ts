/** What a gateway knows of the directories: where the primary of each pair is, by its decider's word (directory-source.ts). */
import type { DirectoryFailover } from '../admin/failover.ts';
import { systemClock } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import type { DirectoryLocator, PostgresConnection } from '../ddm/locator.ts';
import type { Topology } from '../twin/topology.ts';
import { agentSource } from './agent-source.ts';
import { APP_ROLE, DATABASE, OWNER_ROLE } from './directory-roles.ts';
import { type DirectoryLogin, type DirectorySource, supervisorSource } from './directory-source.ts';
import { externalSource } from './external-source.ts';
import { type GatewayPeers, watchGateways } from './gateway-peers.ts';
import type { MemberProcess } from './member.ts';
import type { MemberState } from './messages.ts';
import { type PostgresPasswords, readPasswords } from './secrets.ts';

export class Directories implements DirectoryLocator {
  readonly #topology: Topology;
  /** null: the source has connections of its own. */
  readonly #passwords: PostgresPasswords | null;
  readonly #self: string;
  readonly #source: DirectorySource;
  readonly #gateways: GatewayPeers | null;

  constructor(config: MemberConfig, topology: Topology, proc: MemberProcess) {
    this.#topology = topology;
    this.#passwords = config.external ? null : readPasswords(config.secretsDir);
    this.#self = config.member;
    this.#source = openSource(config, topology, proc);
    proc.onEnd(() => this.#source.close());
    this.#gateways = proc.supervised ? null : watchGateways(topology, config.member, systemClock);
    proc.onEnd(async () => this.#gateways?.close());
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
    return this.#connection(pair, 'app');
  }

  /** For migrations. */
  owner(pair: PairId): PostgresConnection | null {
    return this.#connection(pair, 'owner');
  }

  /** What operators may do about directories; null: their decider decides by itself. */
  failover(): DirectoryFailover | null {
    return this.#source.failover();
  }

  /** For `status`: what the decider knows, and that this gateway runs. */
  members(): readonly MemberState[] {
    const known = [...(this.#source.state?.members ?? []), ...(this.#gateways?.members() ?? [])];
    return known.map((m) => (m.id === this.#self ? { id: m.id, pid: process.pid } : m));
  }

  #connection(pair: PairId, login: DirectoryLogin): PostgresConnection | null {
    const trusted = this.#source.primary(pair);
    if (!trusted) return null;
    const { term } = trusted;
    const own = this.#source.connection?.(pair, trusted.member, login);
    if (own) return { ...own, term };
    const member = this.#topology.members.get(trusted.member);
    if (!member || !this.#passwords) return null;
    const { address: host, port } = member;
    const password = this.#passwords[login];
    return { host, port, database: DATABASE, user: ROLE_OF[login], password, term };
  }
}

const ROLE_OF = { app: APP_ROLE, owner: OWNER_ROLE } as const;

function openSource(config: MemberConfig, topology: Topology, proc: MemberProcess): DirectorySource {
  if (proc.supervised) return supervisorSource(proc);
  const { external } = config;
  if (!external) return agentSource(config, topology, proc.log);
  const refuse = (message: string) => void proc.refuse(message);
  return externalSource({ directories: external, topology, clock: systemClock, log: proc.log, refuse });
}
