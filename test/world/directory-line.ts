/** The line from a host or gateway of a simulated pair to an agent: late, cut, to one that is frozen or dead. */
import type { MemberId } from '../../src/base/ids.ts';
import { type AgentClient, AgentRefused } from '../../src/launcher/agent-client.ts';
import type { AgentRefusal, AgentStatus } from '../../src/launcher/agent-protocol.ts';
import type { DirectoryKeeper } from '../../src/launcher/directory-keeper.ts';
import type { PairWorld } from './directory-pair.ts';

const NEVER = new Promise<never>(() => {});

export interface Ends {
  /** The center that is asked from. */
  readonly from: MemberId;
  readonly to: MemberId;
  /** Whether whoever asked still lives. */
  readonly isAlive: () => boolean;
}

export function lineTo(world: PairWorld, { from, to, isAlive }: Ends): AgentClient {
  const call = async <T>(
    ask: (keeper: DirectoryKeeper) => T | Promise<T>,
    deadlineMs = 1_000,
  ): Promise<Exclude<T, AgentRefusal>> => {
    const host = world.host(to);
    const deadline = world.clock.sleep(deadlineMs).then(() => {
      throw new Error(`no answer within ${deadlineMs} ms`);
    });
    const answered = (async () => {
      await world.clock.sleep(world.random() * 20);
      if (!world.canReach(from, to)) await NEVER;
      await host.awake();
      const { keeper } = host;
      if (!keeper) throw new Error('refused');
      const answer = await ask(keeper);
      await host.awake();
      await world.clock.sleep(world.random() * 20);
      if (!world.canReach(from, to) || host.keeper !== keeper) await NEVER;
      return answer;
    })();
    answered.catch(() => {});
    deadline.catch(() => {});
    const answer = await Promise.race([answered, deadline]).finally(() => world.host(from).awake());
    if (!isAlive()) await NEVER;
    if (typeof answer === 'string') throw new AgentRefused(to, answer as AgentRefusal);
    return answer as Exclude<T, AgentRefusal>;
  };
  return {
    member: to,
    status: () => call<AgentStatus>((keeper) => keeper.status()),
    setSynchronous: (order) => call((keeper) => keeper.setSynchronous(order), 8_000),
    takeOver: (order) => call((keeper) => keeper.takeOver(order), 8_000),
    giveUp: (order) => call((keeper) => keeper.giveUp(order), 40_000),
    lease: (order) => call((keeper) => keeper.lease(order)),
    search: () => NEVER,
  };
}
