/**
 * What a gateway without a supervisor knows of the directories: their agents, asked once a second, each answer judged at
 * once (judge-agents.ts). Invariant: at most one question to an agent is under way, each with its deadline.
 */
import type { Logger } from 'pino';
import { type Clock, OVER } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import type { Pair, Topology } from '../twin/topology.ts';
import type { AgentClient } from './agent-client.ts';
import { clientOf } from './agent-peers.ts';
import type { AgentStatus } from './agent-protocol.ts';
import { type Heard, judgeAgents, type KnownPrimary } from './judge-agents.ts';
import type { ClusterState } from './messages.ts';

const POLL_MS = 1_000;
/** Nobody is known yet: a start should not wait for a whole second. */
const FIRST_POLL_MS = 200;

export interface AgentPoll {
  readonly state: ClusterState;
  client(member: MemberId): AgentClient | null;
  /** Asks the pair of this member now, so that an order shows in the state at once. */
  ask(member: MemberId): Promise<void>;
  close(): Promise<void>;
}

export interface AgentPollOptions {
  readonly config: MemberConfig;
  readonly topology: Topology;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

export function startAgentPoll({ config, topology, clock, log }: AgentPollOptions): AgentPoll {
  const pairs = [...topology.pairs.values()].filter((pair) => pair.kind === 'directory');
  const clients = new Map(
    pairs.flatMap((pair) => pair.members).map((id) => [id, clientOf(config, id, clock)] as const),
  );
  const heard = new Map<MemberId, Heard>();
  const primaries = new Map<PairId, KnownPrimary>();
  const over = new AbortController();
  let state: ClusterState = { members: [], directories: [] };

  const judge = (): void => {
    const views = pairs.map((pair) => ({
      pair,
      ...judgeAgents(pair, heard, primaries.get(pair.id) ?? null),
    }));
    for (const { pair, primary } of views) {
      if (!primary) continue;
      if (primaries.get(pair.id)?.member !== primary.member)
        log.info({ pair: pair.id, primary: primary.member, term: primary.term }, 'the primary is known');
      primaries.set(pair.id, primary);
    }
    state = {
      members: views.flatMap((view) => view.members),
      directories: views.flatMap((view) => (view.directory ? [view.directory] : [])),
    };
  };
  const ask = async (id: MemberId, client: AgentClient): Promise<void> => {
    const before = heard.get(id);
    const now = await client.status().then(
      (status: AgentStatus): Heard => ({ ok: true, status }),
      (error: Error): Heard => ({ ok: false, why: error.message }),
    );
    heard.set(id, now);
    if (before?.ok !== now.ok)
      log.info({ directory: id, ...(now.ok ? { role: now.status.role } : { why: now.why }) }, 'agent');
    judge();
  };
  const follow = async (id: MemberId, client: AgentClient): Promise<void> => {
    while (!over.signal.aborted) {
      await ask(id, client);
      const ms = primaries.size < pairs.length ? FIRST_POLL_MS : POLL_MS;
      await clock.sleep(ms, over.signal).catch(() => {});
    }
  };
  judge();
  const running = [...clients].map(([id, client]) => follow(id, client));
  return {
    get state() {
      return state;
    },
    client: (member) => clients.get(member) ?? null,
    async ask(member) {
      const pair: Pair | undefined = pairs.find((p) => p.members.includes(member));
      await Promise.all((pair?.members ?? []).map((id) => ask(id, clients.get(id)!)));
    },
    async close() {
      over.abort(OVER);
      await Promise.all(running);
    },
  };
}
