/** A gateway's notifications, from its configuration: the webhooks, the job that sends to them, what operators see of it. */

import type { NotificationsAdmin } from '../admin/notifications.ts';
import { systemClock } from '../base/clock.ts';
import type { MemberConfig } from '../config.ts';
import type { PostgresCatalog } from '../ddm/postgres-catalog.ts';
import { startNotifications } from '../jobs/notifications/start.ts';
import type { MemberProcess } from './member.ts';
import { type ReadWebhook, readWebhooks, WebhookError } from './webhooks.ts';

export interface GatewayNotifications {
  /** Names of the webhooks. */
  readonly webhooks: ReadonlySet<string>;
  readonly admin: NotificationsAdmin;
}

/** Without webhooks nothing is started, and dead letters of former ones can still be seen to. */
export async function openNotifications(
  proc: MemberProcess,
  config: MemberConfig,
  catalog: PostgresCatalog,
): Promise<GatewayNotifications> {
  const { settings, cluster, gateway } = config;
  const ports = [gateway?.listen.host, gateway?.admin.host].filter((host) => host !== undefined);
  const own = [
    ...cluster.centers.flatMap((center) => center.subnets),
    ...cluster.members.map((member) => member.address),
    ...ports,
  ];
  let targets: readonly ReadWebhook[];
  try {
    targets = readWebhooks(settings.webhooks, own);
  } catch (error) {
    if (error instanceof WebhookError) return proc.refuse(error.message);
    throw error;
  }
  const webhooks = new Set(targets.map(({ name }) => name));
  if (targets.length === 0)
    return { webhooks, admin: { queue: catalog, declared: webhooks, figures: () => new Map() } };
  const job = startNotifications({
    ...{ source: catalog, targets, owner: config.member, timings: settings.notifications },
    ...{ clock: systemClock, random: Math.random, log: proc.log },
  });
  proc.onEnd(() => job.close());
  return { webhooks, admin: { queue: catalog, declared: webhooks, figures: job.counts } };
}
