/** `antipode locate` for people: a line for each blob of the object and what each node says about it. */
import type { LocateReport } from '../admin/api.ts';
import { bytesText, table } from './table.ts';

export function locateText(found: LocateReport): string {
  const title = `s3://${found.bucket}/${found.key}  version ${found.versionId}, ${bytesText(found.size)}`;
  if (found.blobs.length === 0) return `${title}, no bytes to keep`;
  const rows = found.blobs.map((blob) => [
    blob.id,
    bytesText(blob.size),
    ...[0, 1].map((i) => {
      const replica = blob.replicas[i];
      return replica && `${replica.member} ${replica.state}`;
    }),
    blob.replicas.find((replica) => replica.reason)?.reason ?? '',
  ]);
  const more = found.truncated ? '\n… and more' : '';
  return `${title}\n\n${table(['BLOB', 'SIZE', 'HOME', 'TWIN', 'NOTE'], rows)}${more}`;
}
