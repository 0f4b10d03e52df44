/**
 * The Range header of reads and x-amz-copy-source-range of UploadPartCopy. Pure.
 * RFC 9110 section 14.1.2; S3 ignores what it cannot read and more than one range, and sends the whole object.
 */
import { S3Error } from '../errors.ts';

/** Inclusive, within the object. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

export type RangeDecision = ByteRange | 'whole' | 'unsatisfiable';

export function decideRange(header: string | undefined, size: number): RangeDecision {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? '');
  if (match === null) return 'whole';
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return 'whole';
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { from: size - length, to: size - 1 };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return 'whole';
  if (from >= size) return 'unsatisfiable';
  return { from, to: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}

export function invalidRange(requested: string, size: number): S3Error {
  return new S3Error('InvalidRange', {
    fields: { RangeRequested: requested, ActualObjectSize: String(size) },
    headers: { 'content-range': `bytes */${size}` },
  });
}

/** Strict where Range is lenient: `bytes=first-last` inside of the source. @throws {S3Error} InvalidArgument, InvalidRange */
export function parseCopySourceRange(header: string, size: number): ByteRange {
  const match = /^bytes=(\d{1,16})-(\d{1,16})$/.exec(header);
  const from = Number(match?.[1]);
  const to = Number(match?.[2]);
  if (match === null || to < from)
    throw new S3Error('InvalidArgument', {
      message:
        'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      fields: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: header },
    });
  if (to >= size) throw invalidRange(header, size);
  return { from, to };
}
