/** What operators may order about directories where a supervisor decides: carried to it over the channel, one at a time. */
import { AdminError } from '../admin/admin-error.ts';
import type { DirectoryFailover, DirectoryWord } from '../admin/failover.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { MemberProcess } from './member.ts';
import type { ToMember } from './messages.ts';

/** Longer than the supervisor's own deadlines together. */
const ANSWER_MS = 150_000;

type Answer = Extract<ToMember, { type: 'failover-done' }>;

export function supervisedFailover(
  proc: Pick<MemberProcess, 'send' | 'onMessage'>,
  clock: Clock = systemClock,
): DirectoryFailover {
  const waiting = new Map<number, (answer: Answer) => void>();
  let count = 0;
  proc.onMessage((message) => {
    if (message.type === 'failover-done') waiting.get(message.order)?.(message);
  });
  const order = async (
    action: 'enter' | 'leave',
    member: MemberId,
    why: string,
    decidedBy: string,
  ): Promise<DirectoryWord> => {
    const id = ++count;
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    try {
      proc.send({ type: 'failover', order: id, action, member, why, decidedBy });
      const { word, problem } = await within(clock, ANSWER_MS, answered);
      if (word) return word;
      throw new AdminError('NotAllowed', `${member} stays as it is: ${problem ?? 'no reason was given'}`);
    } catch (error) {
      if (error instanceof AdminError) throw error;
      throw new AdminError(
        'OutcomeUnknown',
        `the supervisor did not say whether it was done (${(error as Error).message}): look at antipode status`,
        { cause: error },
      );
    } finally {
      waiting.delete(id);
    }
  };
  return {
    enter: (member, { reason }, who) => order('enter', member, reason ?? 'entered by an operator', who),
    leave: (member, who) => order('leave', member, 'may return by the word of an operator', who),
  };
}
