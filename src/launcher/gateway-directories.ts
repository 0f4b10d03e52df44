/**
 * What a gateway knows of the directories: the supervisor's latest word, or, without a supervisor, its own file, where
 * the first member of a pair is the primary.
 */
import type { MemberId, PairId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import type { DirectoryLocator, PostgresConnection } from '../ddm/locator.ts';
import type { Topology } from '../twin/topology.ts';
import { APP_ROLE, DATABASE, OWNER_ROLE } from './directory-roles.ts';
import type { MemberProcess } from './member.ts';
import type { ClusterState, MemberState } from './messages.ts';
import { readPasswords } from './secrets.ts';

export class Directories implements DirectoryLocator {
  readonly #topology: Topology;
  readonly #passwords: ReturnType<typeof readPasswords>;
  readonly #self: string;
  #state: ClusterState | null = null;

  constructor(config: MemberConfig, topology: Topology, proc: MemberProcess) {
    this.#topology = topology;
    this.#passwords = readPasswords(config.secretsDir);
    this.#self = config.member;
    if (!proc.supervised) this.#state = stateOf(topology);
    proc.onMessage((message) => {
      if (message.type === 'cluster') this.#state = message.state;
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

  /** For `status`: what the supervisor knows, and that this gateway runs. */
  members(): readonly MemberState[] {
    const known = this.#state?.members ?? [];
    return known.map((m) => (m.id === this.#self ? { id: m.id, pid: process.pid } : m));
  }

  #connection(pair: PairId, user: string, password: string): PostgresConnection | null {
    const directory = this.#state?.directories.find((d) => d.pair === pair);
    if (!directory || directory.condition === 'lost') return null;
    const member = this.#topology.members.get(directory.primary)!;
    return { host: member.address, port: member.port, database: DATABASE, user, password };
  }
}

function stateOf(topology: Topology): ClusterState {
  const directories = [...topology.pairs.values()]
    .filter((pair) => pair.kind === 'directory')
    .map(({ id, members: [primary, twin] }) => ({
      pair: id,
      primary,
      twin: twin as MemberId,
      synchronous: true,
      condition: 'redundant' as const,
    }));
  return { members: [], directories };
}
