/** `antipode status` for people. */
import type { StatusReport } from '../admin/api.ts';
import { bytesText, table } from './table.ts';

export function statusText(status: StatusReport): string {
  const lost = status.pairs.filter((pair) => pair.state !== 'redundant');
  const verdict =
    lost.length === 0
      ? 'every pair of twins is complete'
      : `redundancy is lost: ${lost.map((pair) => `${pair.id} ${pair.state}`).join(', ')}`;
  const centers = table(
    ['CENTER', 'SUBNET', 'CONDITION'],
    status.centers.map((c) => [c.name, c.subnet, c.condition]),
  );
  const members = table(
    ['MEMBER', 'CENTER', 'ADDRESS', 'TWIN', 'CONDITION', 'PID', 'REQUESTS', 'CONTROL', 'STORED', 'NOTE'],
    status.members.map((m) => [
      m.id,
      m.center,
      m.address,
      m.twin,
      m.condition,
      m.pid,
      m.requests,
      m.controlRequests,
      m.storedBytes === undefined ? null : bytesText(m.storedBytes),
      m.reason ?? (m.primary ? 'primary' : ''),
    ]),
  );
  return [
    centers,
    members,
    `epoch ${status.epoch}, ${status.repairs.queued} repairs queued; ${verdict}`,
  ].join('\n\n');
}
