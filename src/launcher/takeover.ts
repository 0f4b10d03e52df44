/**
 * How the role of the primary goes from one member of a pair to the other by an operator's word. In role.json:
 *
 *   standby                 gives leases; takes an order to take over if it has everything that was acknowledged
 *   standby, taking-over    gives none. By assertion: waits until those that it gave are over. Planned: asks the primary
 *                           to give up, and goes back to `standby` when that is refused or does not come about
 *   primary, promoting      the next term is decided and durable; now its server is promoted, as often as it takes
 *   primary                 commits do not wait for the other one until that has returned
 *
 *   standby, gave-up        the former primary of a planned change: its server has ended in order. It takes its role back
 *                           only from a twin that says, of the same term, that it is a standby and not taking over
 *
 * Each arrow is one durable write; whoever is killed before or after it goes on from what is written.
 */
import type { Logger } from 'pino';
import { type AgentClient, AgentRefused } from './agent-client.ts';
import type { AgentRefusal, AgentStatus, TakeOverOrder } from './agent-protocol.ts';
import type { RoleRecord, RoleStep } from './agent-role.ts';
import { isLevel } from './judge-pair.ts';

/** A planned change that has not come about by then is given up: commits wait meanwhile. */
const PLANNED_MS = 60_000;

/** null: it may. What the standby knows of itself and of the primary, just asked (null: it does not answer). */
export function refuseTakeOver(
  order: Pick<TakeOverOrder, 'assertTwinDown' | 'force'>,
  own: { readonly record: RoleRecord; readonly isRunning: boolean },
  primary: AgentStatus | null,
): AgentRefusal | null {
  const { record, isRunning } = own;
  if (record.role !== 'standby' || record.step?.kind === 'gave-up') return 'not-standby';
  if (primary?.role === 'primary' && primary.term > record.term) return 'other-term';
  if (!record.synchronous || saysOut(primary)) return 'was-out';
  if (!isRunning) return 'not-running';
  const isAlive = primary?.role === 'primary' && primary.pid !== null;
  if (order.assertTwinDown) return isAlive && !order.force ? 'primary-answers' : null;
  if (!isAlive) return 'primary-silent';
  return primary.replication !== null && isLevel(primary.replication) ? null : 'not-level';
}

const saysOut = (primary: AgentStatus | null): boolean => primary?.role === 'primary' && !primary.synchronous;

export type TakingOver = RoleStep & { readonly kind: 'taking-over' };

export interface TakeOverSight {
  readonly step: TakingOver;
  /** As it was told last: commits wait for it, and it has everything. */
  readonly isIn: boolean;
  readonly isRunning: boolean;
  /** What may be left of the leases that were given. */
  readonly leaseLeftMs: number;
  /** Since when this process has been at it. */
  readonly ageMs: number;
  readonly primary: AgentStatus | null;
}

export type TakeOverStep =
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'ask-to-give-up' }
  | { readonly kind: 'promote'; readonly proof: string }
  | { readonly kind: 'abandon'; readonly why: string };

export function judgeTakeOver(sight: TakeOverSight): TakeOverStep {
  const { step, isIn, isRunning, leaseLeftMs, ageMs, primary } = sight;
  if (!isIn || saysOut(primary)) return { kind: 'abandon', why: 'commits do not wait for it any more' };
  const isLate = !step.asserted && ageMs > PLANNED_MS;
  const pending = (why: string): TakeOverStep => (isLate ? { kind: 'abandon', why } : { kind: 'wait', why });
  if (!isRunning) return pending('its Postgres does not run');
  if (hasGivenUp(primary, step.order)) return { kind: 'promote', proof: 'its twin has given up the role' };
  if (step.asserted) {
    if (leaseLeftMs > 0)
      return { kind: 'wait', why: `leases that it gave may hold for ${Math.ceil(leaseLeftMs)} ms` };
    return { kind: 'promote', proof: 'no lease that it gave holds any more' };
  }
  if (!primary) return pending('the primary does not answer');
  if (primary.role !== 'primary') return { kind: 'abandon', why: 'its twin is not the primary' };
  return isLate ? { kind: 'abandon', why: 'the primary does not give up' } : { kind: 'ask-to-give-up' };
}

export const hasGivenUp = (primary: AgentStatus | null, order: string): boolean =>
  primary?.step?.kind === 'gave-up' && primary.step.order === order && primary.pid === null;

/** The next step, after the primary has been asked for what is its part. */
export async function stepOfTakeOver(
  own: { readonly record: RoleRecord; readonly step: TakingOver } & Pick<
    TakeOverSight,
    'isRunning' | 'ageMs'
  >,
  o: {
    readonly leaseLeftMs: () => number;
    readonly twin: Pick<AgentClient, 'status' | 'giveUp'>;
    readonly log: Pick<Logger, 'warn'>;
  },
): Promise<TakeOverStep> {
  const { record, step } = own;
  const judge = (primary: AgentStatus | null) =>
    judgeTakeOver({ ...own, isIn: record.synchronous, primary, leaseLeftMs: o.leaseLeftMs() });
  const next = judge(await o.twin.status().catch(() => null));
  if (next.kind !== 'ask-to-give-up') return next;
  try {
    const { term, why, decidedBy } = record;
    const answer = await o.twin.giveUp({ term, order: step.order, why, decidedBy });
    return hasGivenUp(answer, step.order) ? judge(answer) : next;
  } catch (error) {
    if (error instanceof AgentRefused && error.reason !== 'under-way')
      return { kind: 'abandon', why: error.message };
    // Whether it gave up is asked again: its status tells.
    o.log.warn({ err: error }, 'the primary did not say whether it gave up');
    return next;
  }
}
