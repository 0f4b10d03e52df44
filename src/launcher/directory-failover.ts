/**
 * An operator's word about a directory's standby, in a deployment without a supervisor: carried to the agent of the
 * primary, who alone takes its twin out of the synchronous set and back. The catalog is not asked, since its commits may
 * be waiting for that very standby; the agents' role files and logs keep what was decided.
 */
import { AdminError } from '../admin/admin-error.ts';
import type { DirectoryFailover, DirectoryWord } from '../admin/failover.ts';
import type { MemberId } from '../base/ids.ts';
import { AgentRefused } from './agent-client.ts';
import type { AgentPoll } from './agent-poll.ts';
import type { AgentStatus, SynchronousOrder } from './agent-protocol.ts';

const HINTS = {
  'twin-streams': '; end its Postgres first, or --force',
  'not-primary': '',
  'turn-passed': '',
  'not-asserted': '',
  supervised: '',
} as const;

export function createDirectoryFailover(poll: AgentPoll): DirectoryFailover {
  return {
    async enter(member, { reason, assertDown, force }, who) {
      if (!assertDown)
        throw new AdminError(
          'NotAllowed',
          `${member} stays as it is: commits go on without it only by your word that it answers nobody; make sure, and give --assert-down`,
        );
      const why = reason ?? 'said to be down by an operator';
      return change(poll, member, { on: false, assertTwinDown: true, force, why, decidedBy: who });
    },
    async leave(member, who) {
      const why = 'may return by the word of an operator';
      return change(poll, member, { on: true, assertTwinDown: false, force: false, why, decidedBy: who });
    },
  };
}

async function change(
  poll: AgentPoll,
  member: MemberId,
  order: Omit<SynchronousOrder, 'turn'>,
): Promise<DirectoryWord> {
  const directory = poll.state.directories.find((d) => d.primary === member || d.twin === member);
  if (!directory)
    throw new AdminError('NotAllowed', `${member}: no agent of its pair says that it is the primary`);
  if (directory.primary === member)
    throw new AdminError(
      'NotAllowed',
      `${member} is the primary of its pair: its standby cannot take over yet; start ${member} again`,
    );
  const agent = poll.client(directory.primary)!;
  try {
    const { turn } = await agent.status();
    const done = await agent.setSynchronous({ ...order, turn });
    await poll.ask(member);
    return wordOf(member, done, poll);
  } catch (error) {
    if (error instanceof AgentRefused)
      throw new AdminError('NotAllowed', `${member} stays as it is: ${error.message}${HINTS[error.reason]}`);
    throw new AdminError(
      'OutcomeUnknown',
      `the agent of ${directory.primary} did not say whether it was done (${(error as Error).message}): look at antipode status`,
      { cause: error },
    );
  }
}

function wordOf(member: MemberId, primary: AgentStatus, { state }: AgentPoll): DirectoryWord {
  const { since, why, decidedBy, synchronous, mayReturn } = primary;
  const seen = state.members.find((m) => m.id === member)?.condition;
  const condition = synchronous ? (seen ?? 'serving') : mayReturn ? 'resyncing' : 'failed-over';
  return { member, condition, since, why, decidedBy, mayReturn: synchronous || mayReturn };
}
