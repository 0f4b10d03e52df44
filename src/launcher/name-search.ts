/**
 * Wires searches for buckets to a gateway: the directories' agents are asked, by multicast and over their control ports.
 * Directories that are out by their decider's word are left out. What an agent says is a hint (ddm/find-bucket.ts), so
 * questions carry no epoch that anybody would be refused by.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import type { NameSearch } from '../ddm/find-bucket.ts';
import { FIRST_EPOCH } from '../twin/condition.ts';
import type { SearchTuning } from '../twin/search-tuning.ts';
import type { Topology } from '../twin/topology.ts';
import type { AgentClient } from './agent-client.ts';
import { clientOf } from './agent-peers.ts';
import type { MemberState } from './messages.ts';
import { openSearcher } from './search.ts';

export interface NameSearchParts {
  readonly config: Pick<MemberConfig, 'search' | 'cluster' | 'secretsDir'>;
  readonly secret: Buffer;
  readonly topology: Topology;
  /** What the decider says of the directories now. */
  readonly members: () => readonly MemberState[];
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly onSearched?: NonNullable<NameSearch['onSearched']>;
  readonly tuning?: Partial<SearchTuning>;
}

/** Opens no socket before the first search. */
export function openNameSearch(parts: NameSearchParts): NameSearch {
  const { config, topology, clock } = parts;
  const clients = new Map<MemberId, AgentClient>();
  const agent = (member: MemberId): AgentClient => {
    const client = clients.get(member) ?? clientOf(config, member, clock);
    clients.set(member, client);
    return client;
  };
  const searcher = openSearcher({
    ...parts,
    kind: 'directory',
    askMember: (member, question, signal) => agent(member).search(question, signal),
    epochOf: () => FIRST_EPOCH,
  });
  return {
    searcher,
    ...(parts.onSearched ? { onSearched: parts.onSearched } : {}),
    searched() {
      const out = new Map(parts.members().map(({ id, condition }) => [id, condition]));
      return {
        centers: topology.centers,
        members: [...topology.members.values()].filter(({ kind }) => kind === 'directory'),
        stateOf: (member) => {
          const condition = out.get(member);
          return condition === 'failed-over' || condition === 'resyncing' ? condition : 'serving';
        },
        // A center is out for names when all of its directories are.
        isCenterOut: () => false,
        epoch: () => FIRST_EPOCH,
      };
    },
    pair: (id) => topology.pairs.get(id),
    pairOf: (member) => [...topology.pairs.values()].find(({ members }) => members.includes(member)),
  };
}
