/** From a member's file to clients of the directories' agents. */
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import { type AgentClient, createAgentClient } from './agent-client.ts';
import { AGENT_PORT } from './agent-protocol.ts';
import { readKey } from './secrets.ts';

type Listed = Pick<MemberConfig, 'cluster' | 'secretsDir'>;

/** Where the agent of a directory listens. */
export function agentAt({ cluster }: Listed, id: string): { host: string; port: number } {
  const found = cluster.members.find((m) => m.id === id && m.kind === 'directory');
  if (!found) throw new Error(`${id} is no directory of the cluster`);
  return { host: found.address, port: found.agentPort ?? AGENT_PORT };
}

export const clientOf = (config: Listed, id: MemberId, clock: Clock): AgentClient =>
  createAgentClient({
    member: id,
    ...agentAt(config, id),
    secret: readKey(config.secretsDir, 'cluster'),
    clock,
  });
