/** `antipode locate` for people: a line for each blob of the object, what each node says about it, and what was searched. */
import type { BlobReport, LocateReport, ReplicaReport, SearchReport } from '../admin/api.ts';
import { bytesText, table } from './table.ts';

export function locateText(found: LocateReport): string {
  const title = `s3://${found.bucket}/${found.key}  version ${found.versionId}, ${bytesText(found.size)}`;
  if (found.blobs.length === 0) return `${title}, no bytes to keep`;
  const rows = found.blobs.map((blob) => [
    blob.id,
    bytesText(blob.size),
    replicaText(blob, blob.map.home),
    replicaText(blob, blob.map.twin),
    blob.replicas
      .filter((replica) => replica.offMap)
      .map((replica) => `${replica.member} ${replica.state}`)
      .join(', '),
    blob.replicas.find((replica) => replica.reason)?.reason ?? '',
  ]);
  const more = found.truncated ? '\n… and more' : '';
  const searched = found.blobs.filter((blob) => blob.search.length > 0).map(searchText);
  const columns = ['BLOB', 'SIZE', 'HOME', 'TWIN', 'OFF THE MAP', 'NOTE'];
  return [`${title}\n\n${table(columns, rows)}${more}`, ...searched].join('\n\n');
}

function replicaText(blob: BlobReport, member: string | null): string {
  const replica: ReplicaReport | undefined = blob.replicas.find((each) => each.member === member);
  if (!replica) return '';
  return `${replica.member} ${replica.state}${replica.absent ? ' (not there yet)' : ''}`;
}

function searchText(blob: BlobReport): string {
  const rows = blob.search.map((step) => [
    `${step.step} ${step.center}`,
    step.transport,
    answerText(step),
    `${step.ms} ms`,
    [
      step.silent.length > 0 ? `silent: ${step.silent.join(', ')}` : '',
      step.leftOut.length > 0 ? `left out: ${step.leftOut.join(', ')}` : '',
    ]
      .filter((note) => note !== '')
      .join('; '),
  ]);
  return `search for ${blob.id}\n${table(['STEP', 'TRANSPORT', 'ANSWER', 'TIME', 'NOTE'], rows)}`;
}

const answerText = ({ answer, foundAt }: SearchReport): string =>
  answer === 'found' ? `found at ${foundAt.join(', ')}` : answer;
