/** What a gateway without a supervisor knows of the directories: their agents' word; the operator decides. */
import { systemClock } from '../base/clock.ts';
import type { MemberConfig } from '../config.ts';
import type { Topology } from '../twin/topology.ts';
import { startAgentPoll } from './agent-poll.ts';
import { createDirectoryFailover } from './directory-failover.ts';
import type { DirectorySource } from './directory-source.ts';
import type { MemberProcess } from './member.ts';

export function agentSource(
  config: MemberConfig,
  topology: Topology,
  log: MemberProcess['log'],
): DirectorySource {
  const poll = startAgentPoll({ config, topology, clock: systemClock, log });
  return {
    get state() {
      return poll.state;
    },
    primary(pair) {
      const directory = poll.state.directories.find((d) => d.pair === pair);
      if (!directory || directory.condition === 'lost') return null;
      return { member: directory.primary, term: directory.term ?? 0 };
    },
    failover: () => createDirectoryFailover(poll),
    close: () => poll.close(),
  };
}
