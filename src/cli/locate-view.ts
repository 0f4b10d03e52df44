/** `antipode locate` for people: a line for each blob of the object, what each node says about it, and what was searched. */
import type {
  BlobReport,
  LocateReport,
  NameReport,
  NameSearchReport,
  ReplicaReport,
  SearchReport,
} from '../admin/api.ts';
import { bytesText, table } from './table.ts';

export function locateText(found: LocateReport): string {
  const title = `s3://${found.bucket}/${found.key}  version ${found.versionId}, ${bytesText(found.size)}`;
  const names = nameTexts(found.directory);
  if (found.blobs.length === 0) return [`${title}, no bytes to keep`, ...names].join('\n\n');
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
  return [`${title}\n\n${table(columns, rows)}${more}`, ...searched, ...names].join('\n\n');
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
    noteText(step),
  ]);
  return `search for ${blob.id}\n${table(['STEP', 'TRANSPORT', 'ANSWER', 'TIME', 'NOTE'], rows)}`;
}

/** Nothing, where the bucket is where it is computed and listed, and nobody was asked. */
function nameTexts({ computed, listed, pair, search }: NameReport): readonly string[] {
  if (search.length === 0 && pair === computed) return [];
  const list = listed === 'unknown' ? 'the list cannot be read' : `listed at ${listed ?? 'no pair'}`;
  const line = `bucket at ${pair}; ${list}, computed ${computed}`;
  if (search.length === 0) return [line];
  const rows = search.map((step) => [
    [step.step, step.center].filter((part) => part !== null).join(' '),
    step.transport,
    answerText(step),
    `${step.ms} ms`,
    noteText(step),
  ]);
  return [`${line}\n${table(['STEP', 'TRANSPORT', 'ANSWER', 'TIME', 'NOTE'], rows)}`];
}

const noteText = ({ silent, leftOut }: Pick<SearchReport, 'silent' | 'leftOut'>): string =>
  [
    silent.length > 0 ? `silent: ${silent.join(', ')}` : '',
    leftOut.length > 0 ? `left out: ${leftOut.join(', ')}` : '',
  ]
    .filter((note) => note !== '')
    .join('; ');

const answerText = ({ answer, foundAt }: Pick<NameSearchReport, 'answer' | 'foundAt'>): string =>
  answer === 'found' ? `found at ${foundAt.join(', ')}` : answer;
