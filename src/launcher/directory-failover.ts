/**
 * An operator's word about a directory, in a deployment without a supervisor, carried to the agents:
 *
 *   enter the standby   its primary's agent goes on without it
 *   enter the primary   the standby's agent takes over: after the primary has given up, or (--assert-down) when nobody can
 *                       take the old one for the primary any more
 *   leave               the primary's agent lets its twin return
 *
 * The catalog is not asked, since its commits may be waiting for that very standby; the agents' role files and logs keep
 * what was decided.
 */
import { AdminError } from '../admin/admin-error.ts';
import type { DirectoryFailover, DirectoryWord } from '../admin/failover.ts';
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { AgentRefused } from './agent-client.ts';
import type { AgentPoll } from './agent-poll.ts';
import { AGENT_REFUSALS, type AgentRefusal, type AgentStatus } from './agent-protocol.ts';

const HINTS: Readonly<Partial<Record<AgentRefusal, string>>> = {
  'twin-streams': '; end its Postgres first, or --force',
  'primary-answers': '; leave --assert-down away to have it give up in order, or --force',
  'primary-silent': '; if it answers nobody for sure, give --assert-down',
  'not-level': '; wait until antipode status shows its twin serving',
  'was-out': '; start the other one, which has everything',
};
/** Leases run out, WAL is replayed, the server is promoted. */
const TAKE_OVER_MS = 150_000;
const LOOK_MS = 300;

type Order = Parameters<DirectoryFailover['enter']>[1];

export function createDirectoryFailover(poll: AgentPoll, clock: Clock): DirectoryFailover {
  return {
    async enter(member, order, who) {
      const { primary, twin } = await officesOf(poll, member);
      if (primary === member) return promote(poll, clock, { member, twin, order, who });
      if (!order.assertDown)
        throw new AdminError(
          'NotAllowed',
          `${member} stays as it is: commits go on without it only by your word that it answers nobody; make sure, and give --assert-down`,
        );
      const why = order.reason ?? 'said to be down by an operator';
      const asked = { on: false, assertTwinDown: true, force: order.force, why, decidedBy: who };
      return carry(poll, member, primary, async (agent, turn) => agent.setSynchronous({ ...asked, turn }));
    },
    async leave(member, who) {
      const { primary } = await officesOf(poll, member);
      if (primary === member)
        throw new AdminError('NotAllowed', `${member} is the primary of its pair: it is not out`);
      const why = 'may return by the word of an operator';
      const asked = { on: true, assertTwinDown: false, force: false, why, decidedBy: who };
      return carry(poll, member, primary, async (agent, turn) => agent.setSynchronous({ ...asked, turn }));
    },
  };
}

/** Who is the primary by the agents' words; where nobody says so, the twin of the one that says that it is a standby. */
async function officesOf(poll: AgentPoll, member: MemberId): Promise<{ primary: MemberId; twin: MemberId }> {
  await poll.ask(member);
  const pair = poll.pairOf(member);
  const known = pair && poll.state.directories.find((d) => d.pair === pair.id)?.primary;
  const standbys = pair?.members.filter((id) => poll.heard(id)?.role === 'standby') ?? [];
  const primary =
    known ?? (standbys.length === 1 ? pair?.members.find((id) => id !== standbys[0]) : undefined);
  const twin = primary && pair?.members.find((id) => id !== primary);
  if (!primary || !twin)
    throw new AdminError('NotAllowed', `${member}: no agent of its pair says that it is the primary`);
  return { primary, twin };
}

interface Promotion {
  /** The primary, to be in failover. */
  readonly member: MemberId;
  readonly twin: MemberId;
  readonly order: Order;
  readonly who: string;
}

async function promote(
  poll: AgentPoll,
  clock: Clock,
  { member, twin, order, who }: Promotion,
): Promise<DirectoryWord> {
  const { assertDown = false, force } = order;
  // The last word of a primary that is silent by now may be known here alone.
  const last = poll.lastOfPrimary(member);
  if (last && !last.synchronous)
    throw new AdminError('NotAllowed', `${member} stays as it is: ${twin}: ${refusalText('was-out')}`);
  const agent = poll.client(twin)!;
  const why =
    order.reason ?? (assertDown ? 'the primary is said to be down by an operator' : 'changed by an operator');
  const begun = await asked(twin, member, async () => {
    const { turn } = await agent.status();
    return agent.takeOver({ turn, assertTwinDown: assertDown, force, why, decidedBy: who });
  });
  const until = clock.monotonic() + TAKE_OVER_MS;
  for (;;) {
    await clock.sleep(LOOK_MS);
    const now = await agent.status().catch(() => null);
    if (now?.role === 'primary' && now.term > begun.term && now.step === null && now.pid !== null) {
      await poll.ask(member);
      return wordOf(member, now, poll);
    }
    if (now?.role === 'standby' && now.step === null)
      throw new AdminError('NotAllowed', `${member} stays as it is: ${twin}: ${now.why}`);
    if (clock.monotonic() > until)
      throw new AdminError(
        'OutcomeUnknown',
        `${twin} is still taking over (${now?.problem ?? 'its agent does not answer'}): look at antipode status`,
      );
  }
}

async function carry(
  poll: AgentPoll,
  member: MemberId,
  primary: MemberId,
  order: (agent: NonNullable<ReturnType<AgentPoll['client']>>, turn: number) => Promise<AgentStatus>,
): Promise<DirectoryWord> {
  const agent = poll.client(primary)!;
  const done = await asked(primary, member, async () => order(agent, (await agent.status()).turn));
  await poll.ask(member);
  return wordOf(member, done, poll);
}

/** @throws {AdminError} what the agent's refusal, or its silence, means for `member` */
async function asked<T>(agent: MemberId, member: MemberId, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AgentRefused)
      throw new AdminError(
        'NotAllowed',
        `${member} stays as it is: ${error.message}${HINTS[error.reason] ?? ''}`,
      );
    throw new AdminError(
      'OutcomeUnknown',
      `the agent of ${agent} did not say whether it was done (${(error as Error).message}): look at antipode status`,
      { cause: error },
    );
  }
}

const refusalText = (reason: AgentRefusal): string => `${AGENT_REFUSALS[reason]}${HINTS[reason] ?? ''}`;

function wordOf(member: MemberId, primary: AgentStatus, { state }: AgentPoll): DirectoryWord {
  const { since, why, decidedBy, synchronous, mayReturn } = primary;
  const seen = state.members.find((m) => m.id === member)?.condition;
  const condition = synchronous ? (seen ?? 'serving') : mayReturn ? 'resyncing' : 'failed-over';
  return { member, condition, since, why, decidedBy, mayReturn: synchronous || mayReturn };
}
