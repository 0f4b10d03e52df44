/**
 * What a gateway without a supervisor knows of the directories: their agents, asked once a second, each answer judged at
 * once (judge-agents.ts). Invariants: each question has its deadline; a primary is trusted for as long as its agent said,
 * counted from when it was asked, whatever happened to the answer on its way.
 */
import type { Logger } from 'pino';
import { type Clock, OVER } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { Pair } from '../twin/topology.ts';
import type { AgentClient } from './agent-client.ts';
import type { AgentStatus } from './agent-protocol.ts';
import type { TrustedPrimary } from './directory-source.ts';
import { type Heard, judgeAgents, type KnownPrimary } from './judge-agents.ts';
import type { ClusterState } from './messages.ts';

const POLL_MS = 1_000;
/** Nobody is known yet: a start should not wait for a whole second. */
const FIRST_POLL_MS = 200;

export interface AgentPoll {
  readonly state: ClusterState;
  client(member: MemberId): AgentClient | null;
  pairOf(member: MemberId): Pair | null;
  /** What its agent said last; null: it did not answer when it was asked last. */
  heard(member: MemberId): AgentStatus | null;
  /** The last word of this member as primary, however long ago; null: it has said none, or another one has the role since. */
  lastOfPrimary(member: MemberId): AgentStatus | null;
  /** Who is trusted to be the primary at this moment. */
  primary(pair: PairId): TrustedPrimary | null;
  /** Asks the pair of this member now, so that an order shows in the state at once. */
  ask(member: MemberId): Promise<void>;
  close(): Promise<void>;
}

export interface AgentPollOptions {
  readonly pairs: readonly Pair[];
  /** Of every member of them. */
  readonly clients: ReadonlyMap<MemberId, AgentClient>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

export function startAgentPoll({ pairs, clients, clock, log }: AgentPollOptions): AgentPoll {
  const heard = new Map<MemberId, Heard>();
  const primaries = new Map<PairId, KnownPrimary>();
  const words = new Map<MemberId, AgentStatus>();
  const trusts = new Map<MemberId, { readonly term: number; readonly until: number }>();
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
    const askedAt = clock.monotonic();
    const now = await client.status().then(
      (status: AgentStatus): Heard => ({ ok: true, status }),
      (error: Error): Heard => ({ ok: false, why: error.message }),
    );
    heard.set(id, now);
    // Silence takes nothing from what was said before it; that ends by itself.
    if (now.ok && now.status.role === 'primary') words.set(id, now.status);
    if (now.ok) trusts.set(id, { term: now.status.term, until: askedAt + now.status.trustMs });
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
  const pairOf = (member: MemberId): Pair | null => pairs.find((p) => p.members.includes(member)) ?? null;
  judge();
  const running = [...clients].map(([id, client]) => follow(id, client));
  return {
    get state() {
      return state;
    },
    client: (member) => clients.get(member) ?? null,
    pairOf,
    heard(member) {
      const word = heard.get(member);
      return word?.ok ? word.status : null;
    },
    lastOfPrimary(member) {
      const known = pairOf(member) && primaries.get(pairOf(member)!.id);
      const word = words.get(member);
      return word && known?.member === member && word.term === known.term ? word : null;
    },
    primary(pair) {
      const known = primaries.get(pair);
      const trust = known && trusts.get(known.member);
      return trust && trust.term === known.term && clock.monotonic() < trust.until ? known : null;
    },
    async ask(member) {
      await Promise.all((pairOf(member)?.members ?? []).map((id) => ask(id, clients.get(id)!)));
    },
    async close() {
      over.abort(OVER);
      await Promise.all(running);
    },
  };
}
