/**
 * Queues of webhooks that no configuration of this gateway declares: another gateway may, or will after its restart, so they are
 * kept for a while; then what waits becomes dead letters, which can still be sent again.
 */
import type { Clock } from '../../base/clock.ts';
import type { PairId } from '../../base/ids.ts';
import type { NotificationQueue } from '../../ddm/notification-queue.ts';

export const UNDECLARED_MS = 24 * 3_600_000;
const AT_ONCE = 500;
const ROUNDS_MAX = 100;
const LEASE_MS = 10_000;

export interface UndeclaredOptions {
  readonly queue: Pick<
    NotificationQueue,
    'notificationBacklog' | 'leaseNotifications' | 'dueNotifications' | 'settleNotifications'
  >;
  readonly pair: PairId;
  readonly declared: ReadonlySet<string>;
  readonly owner: string;
  readonly clock: Clock;
}

export async function giveUpUndeclared(o: UndeclaredOptions): Promise<void> {
  const { queue, pair, declared, owner, clock } = o;
  const error = 'no webhook of this name is declared';
  for (const { pair: at, target, queued } of await queue.notificationBacklog()) {
    if (at !== pair || queued === 0 || declared.has(target)) continue;
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const due = await queue.dueNotifications(pair, target, [], AT_ONCE);
      const old = due.filter(({ queuedAt }) => clock.now() - queuedAt.getTime() >= UNDECLARED_MS);
      if (old.length === 0) break;
      if (!(await queue.leaseNotifications(pair, target, owner, LEASE_MS))) break;
      const dead = old.map(({ id }) => ({ id, error }));
      await queue.settleNotifications(pair, target, owner, { delivered: [], failed: [], dead });
    }
  }
}
