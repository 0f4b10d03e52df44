/** How documents name an operation's request and status, for the parity tests. */
import type { OperationRow } from '../../../src/s3api/operation.ts';

/** `PUT object ?partNumber&uploadId x-amz-copy-source` */
export function requestOf({ method, target, query, headers }: OperationRow): string {
  const keys = Object.entries(query ?? {}).map(([key, value]) => (value === true ? key : `${key}=${value}`));
  const parts: string[] = [method, target];
  if (keys.length > 0) parts.push(`?${keys.sort().join('&')}`);
  return [...parts, ...(headers ?? [])].join(' ');
}

export const STATUS_WORDS = {
  supported: 'yes',
  'not-set': 'default only',
  unsupported: '501',
} as const;

/** The cells of every table row of a markdown text that begins with a code word in backticks. */
export function tableRows(markdown: string): string[][] {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
    );
}
