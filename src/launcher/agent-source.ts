/** What a gateway without a supervisor knows of the directories: their agents' word; the operator decides. */
import { systemClock } from '../base/clock.ts';
import type { MemberConfig } from '../config.ts';
import type { Topology } from '../twin/topology.ts';
import { clientOf } from './agent-peers.ts';
import { startAgentPoll } from './agent-poll.ts';
import { createDirectoryFailover } from './directory-failover.ts';
import type { DirectorySource } from './directory-source.ts';
import type { MemberProcess } from './member.ts';

export function agentSource(
  config: MemberConfig,
  topology: Topology,
  log: MemberProcess['log'],
): DirectorySource {
  const clock = systemClock;
  const pairs = [...topology.pairs.values()].filter((pair) => pair.kind === 'directory');
  const members = pairs.flatMap((pair) => pair.members);
  const clients = new Map(members.map((id) => [id, clientOf(config, id, clock)] as const));
  const poll = startAgentPoll({ pairs, clients, clock, log });
  return {
    get state() {
      return poll.state;
    },
    primary: (pair) => poll.primary(pair),
    failover: () => createDirectoryFailover(poll, clock),
    close: () => poll.close(),
  };
}
