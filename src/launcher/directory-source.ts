/**
 * Who answers for the directory pairs, by the word of whoever decides about them: one implementation for each decider
 * (supervisor, operator through the agents, …), one Directories (gateway-directories.ts) over it.
 */
import type { DirectoryFailover } from '../admin/failover.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { PostgresConnection } from '../ddm/locator.ts';
import type { MemberProcess } from './member.ts';
import type { ClusterState } from './messages.ts';
import { supervisedFailover } from './supervised-failover.ts';

/** `owner`: for migrations; `app`: for everything else. */
export type DirectoryLogin = 'app' | 'owner';

/** The one member that may be asked, and in which reign. */
export interface TrustedPrimary {
  readonly member: MemberId;
  /** Changes whenever another member becomes the primary, so that one that comes back to office is not taken for its former self. */
  readonly term: number;
}

export interface DirectorySource {
  /** Members and pairs, for `status`; null: nothing has been heard yet. */
  readonly state: ClusterState | null;
  /**
   * Who is trusted to be the primary at this very moment; null: nobody is. Asked before a statement and again after its
   * answer, which only counts when both words agree; so it must be cheap, and must go by a monotonic clock.
   */
  primary(pair: PairId): TrustedPrimary | null;
  /** How that member is reached, where its address in the cluster and our own logins are not what counts. */
  connection?(pair: PairId, member: MemberId, login: DirectoryLogin): PostgresConnection | null;
  /** What operators may order about directories; null: the decider decides by itself. */
  failover(): DirectoryFailover | null;
  close(): Promise<void>;
}

/** The supervisor's latest word. It ends a primary's processes before it names another one. */
export function supervisorSource(proc: Pick<MemberProcess, 'onMessage' | 'send'>): DirectorySource {
  const failover = supervisedFailover(proc);
  let told: ClusterState | null = null;
  proc.onMessage((message) => {
    if (message.type === 'cluster') told = message.state;
  });
  return {
    get state() {
      return told;
    },
    primary(pair) {
      const directory = told?.directories.find((d) => d.pair === pair);
      if (!directory || directory.condition === 'lost') return null;
      return { member: directory.primary, term: directory.term ?? 0 };
    },
    failover: () => failover,
    async close() {},
  };
}
