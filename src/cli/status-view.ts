/** `antipode status` for people. */
import type { StatusReport } from '../admin/api.ts';
import { bytesText, table } from './table.ts';

export function statusText(status: StatusReport): string {
  const lost = status.pairs.filter((pair) => pair.state !== 'redundant');
  const verdict =
    lost.length === 0
      ? status.redundant
        ? 'every pair of twins is complete'
        : 'redundancy is not whole while repairs are queued'
      : `redundancy is lost: ${lost.map((pair) => `${pair.id} ${pair.state}`).join(', ')}`;
  const centers = table(
    ['CENTER', 'SUBNET', 'CONDITION', 'NOTE'],
    status.centers.map((c) => [c.name, c.subnet, c.condition, sinceText(c.reason ?? '', c.since)]),
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
      noteOf(m),
    ]),
  );
  return [
    centers,
    members,
    `epoch ${status.epoch}, ${status.repairs.queued ?? 'unknown'} repairs queued; ${verdict}`,
  ].join('\n\n');
}

function noteOf(m: StatusReport['members'][number]): string {
  const { resync } = m;
  if (resync) {
    const { phase, pulledBlobs, toPull, pulledBytes, lag, lastError } = resync;
    const figures = `${phase}: ${pulledBlobs} of ${toPull} pulled (${bytesText(pulledBytes)}), ${lag} to carry home`;
    return lastError === undefined ? figures : `${figures}; ${lastError}`;
  }
  return sinceText(m.reason ?? (m.primary ? 'primary' : ''), m.since);
}

const sinceText = (note: string, since: string | undefined): string =>
  since === undefined ? note : `${note} (since ${since})`;
