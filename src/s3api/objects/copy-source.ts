/**
 * The x-amz-copy-source header: `[/]bucket/key[?versionId=…]`, URL-encoded UTF-8. The version is split off before
 * decoding, so a key may hold an encoded `?versionId`. Source: "CopyObject", Amazon S3 API Reference.
 */
import { LIMITS } from '../../base/limits.ts';
import { S3Error } from '../errors.ts';

export interface CopySource {
  readonly bucketName: string;
  readonly key: string;
  readonly versionId?: string;
}

const invalid = (message: string, header: string) =>
  new S3Error('InvalidArgument', {
    message,
    fields: { ArgumentName: 'x-amz-copy-source', ArgumentValue: header },
  });

/** @throws {S3Error} InvalidArgument, KeyTooLongError, NotImplemented (access points) */
export function parseCopySource(header: string): CopySource {
  if (header.startsWith('arn:'))
    throw new S3Error('NotImplemented', { fields: { Header: 'x-amz-copy-source' } });
  const at = header.indexOf('?');
  const path = at < 0 ? header : header.slice(0, at);
  const query = at < 0 ? '' : header.slice(at + 1);
  const encodedId = /^versionId=([^&]*)$/.exec(query)?.[1];
  const versionId = encodedId === undefined ? undefined : decode(encodedId, header);
  if (query !== '' && versionId === undefined)
    throw invalid('The x-amz-copy-source header has an unknown query parameter.', header);
  if (versionId === '') throw invalid('Version id cannot be the empty string', header);
  if (versionId !== undefined && !/^[!-~]{1,1024}$/.test(versionId))
    throw invalid('Invalid version id specified', header);
  const decoded = decode(path, header).replace(/^\//, '');
  const slash = decoded.indexOf('/');
  if (slash < 1 || slash === decoded.length - 1)
    throw invalid('Copy Source must mention the source bucket and key: sourcebucket/sourcekey', header);
  const key = decoded.slice(slash + 1);
  if (Buffer.byteLength(key) > LIMITS.keyBytesMax) throw new S3Error('KeyTooLongError');
  return {
    bucketName: decoded.slice(0, slash),
    key,
    ...(versionId === undefined ? {} : { versionId }),
  };
}

/** Percent-decodes bytes and reads the result as UTF-8; a plus sign is a space, as S3 reads this header. */
function decode(text: string, header: string): string {
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    throw invalid('The copy source is not valid UTF-8.', header);
  }
}
