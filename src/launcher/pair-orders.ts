/**
 * An operator's orders to a decider: take a member out until further notice, or let it return. The primary is taken out by
 * a planned switch: it ends in order, so that its twin has all it has, and the twin is promoted. Invariant: an order that
 * is refused has changed nothing for good; the reason says what must be otherwise.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { DECIDED_BY_ITSELF } from './decisions.ts';
import { isLevel } from './judge-pair.ts';
import type { DirectoryWordMessage } from './messages.ts';
import type { Cause, PairDecider } from './pair-decider.ts';

export class OrderRefused extends Error {
  override readonly name = 'OrderRefused';
}

export interface Order {
  readonly member: MemberId;
  readonly why: string;
  readonly decidedBy: string;
}

/** A step of the decider's own goes first. */
const FREE_MS = 30_000;
/** Fast shutdown, then immediate; what is left is killed. */
const OFF_MS = 25_000;
const UP_MS = 60_000;
const FRESH_MS = 1_500;
const POLL_MS = 20;

/** @throws {OrderRefused} */
export async function enterFailover(
  d: PairDecider,
  order: Order,
  clock: Clock,
): Promise<DirectoryWordMessage> {
  await untilFree(d, clock);
  const { primary, twin, twinIn, mayReturn } = d.now.standing;
  const { why, decidedBy } = order;
  const cause: Cause = { why, decidedBy, mayReturn: false };
  if (order.member === primary) await switchOver(d, cause, clock);
  else if (twinIn || mayReturn) {
    if (!d.primaryRuns)
      throw new OrderRefused(`${primary}, the primary, does not run: nobody but ${twin} could take over`);
    await d.hold(async () => {
      await turnOff(d, twin, clock);
      d.now.returning = null;
      await d.leaveOut(cause);
    });
  }
  return wordOf(d, order.member);
}

/** @throws {OrderRefused} */
export async function leaveFailover(
  d: PairDecider,
  order: Order,
  clock: Clock,
): Promise<DirectoryWordMessage> {
  await untilFree(d, clock);
  const { twin, twinIn, mayReturn } = d.now.standing;
  if (order.member === twin && !twinIn && !mayReturn)
    await d.hold(async () => {
      const cause = { why: order.why, decidedBy: order.decidedBy, mayReturn: true };
      d.record('may-return', twin, cause, 'commits do not wait for it yet');
      d.now.standing = { ...d.now.standing, mayReturn: true };
      d.startTwin();
    });
  return wordOf(d, order.member);
}

async function switchOver(d: PairDecider, cause: Cause, clock: Clock): Promise<void> {
  const { primary, twin } = d.now.standing;
  const reason = whyNot(d, clock);
  if (reason !== null) throw new OrderRefused(reason);
  await d.hold(async () => {
    await turnOff(d, primary, clock);
    await d.after('told-off');
    if (d.now.twin.state !== 'running')
      throw new OrderRefused(`${twin} has ended meanwhile: ${primary} is started again`);
    await d.promote(cause);
  });
  // It is decided: whether it is up is what status says.
  await until(clock, UP_MS, () => d.primaryRuns || d.stopped);
}

/** null: the twin can take over at once, with all that there is. */
function whyNot(d: PairDecider, clock: Clock): string | null {
  const { standing, replication } = d.now;
  const { primary, twin } = standing;
  if (!standing.twinIn)
    return `${twin} is out (${d.lastDecision?.why}): it lacks what was written since; let it return first`;
  if (!d.primaryRuns) return `${primary} does not run: the launcher decides about that by itself`;
  if (d.now.twin.state !== 'running' || clock.monotonic() - d.now.twin.aliveAt > FRESH_MS)
    return `${twin}, which would take over, does not answer`;
  if (d.now.twin.diskFull) return `${twin}, which would take over, has no room left on its disk`;
  if (replication?.state !== 'streaming') return `${twin}, which would take over, does not stream`;
  if (!isLevel(replication))
    return `${twin}, which would take over, is ${replication.flushed - (replication.replayed ?? 0)} bytes behind`;
  return null;
}

/** In order where it can be; what does not end in time is killed by the step that follows. */
async function turnOff(d: PairDecider, id: MemberId, clock: Clock): Promise<void> {
  const turn = d.now.isStarting(id);
  d.handle(id).take({ kind: 'off' }, turn);
  d.changed();
  await until(clock, OFF_MS, () => d.now.server(id).state === 'down' || d.stopped);
  if (d.stopped) throw new OrderRefused('the store is being stopped');
}

async function untilFree(d: PairDecider, clock: Clock): Promise<void> {
  await until(clock, FREE_MS, () => !d.busy || d.stopped);
  if (d.stopped) throw new OrderRefused('the store is being stopped');
  if (d.busy) throw new OrderRefused('another step is under way: look at antipode status and repeat');
}

async function until(clock: Clock, ms: number, condition: () => boolean): Promise<void> {
  const end = clock.monotonic() + ms;
  while (!condition() && clock.monotonic() < end) await clock.sleep(POLL_MS);
}

function wordOf(d: PairDecider, member: MemberId): DirectoryWordMessage {
  const { standing, lastDecision: last } = { standing: d.now.standing, lastDecision: d.lastDecision };
  const condition = d.members().find(({ id }) => id === member)?.condition ?? 'serving';
  const { at = '', why = 'nothing was ever decided', decidedBy = DECIDED_BY_ITSELF } = last ?? {};
  const isOut = member === standing.twin && !standing.twinIn;
  return { member, condition, since: at, why, decidedBy, mayReturn: !isOut || standing.mayReturn };
}
