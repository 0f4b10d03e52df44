/**
 * Headers and parameters that would change what an operation means and that this store does not support: 501, never
 * silence. What names the default is accepted. One check for every operation, before its body is read.
 */
import type { Bucket } from '../ddm/catalog.ts';
import { STORAGE_CLASSES, UNSUPPORTED_CLASSES } from '../lifecycle/classes.ts';
import { isEncryptionHeader, takesEncryptionHeader } from './encryption/headers.ts';
import { S3Error } from './errors.ts';
import type { OperationRow } from './operation.ts';

export interface MeaningRequest {
  readonly operation: OperationRow;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly query: ReadonlyMap<string, string>;
  readonly bucket: Bucket | null;
  /** Those that are declared; default: STORAGE_CLASSES. */
  readonly storageClasses: readonly string[] | undefined;
}

const REFUSED_HEADERS: ReadonlySet<string> = new Set([
  'x-amz-mfa',
  'x-amz-write-offset-bytes',
  'x-amz-create-session-mode',
  'x-amz-bucket-namespace',
]);
/** Operations that make a version, which may be locked from the start. */
const TAKES_LOCKS: ReadonlySet<string> = new Set(['PutObject', 'CopyObject', 'CreateMultipartUpload']);
const LOCK_PREFIX = 'x-amz-object-lock-';
/** Operations on objects that take a version id; the others refuse it, so that none acts on the wrong version. */
const TAKES_VERSION: ReadonlySet<string> = new Set(
  `GetObject HeadObject DeleteObject GetObjectAcl PutObjectAcl GetObjectTagging PutObjectTagging DeleteObjectTagging
   GetObjectAttributes GetObjectRetention PutObjectRetention GetObjectLegalHold PutObjectLegalHold GetObjectTorrent
   RestoreObject SelectObjectContent UpdateObjectEncryption`.split(/\s+/),
);

/** @throws {S3Error} NotImplemented, InvalidArgument, InvalidStorageClass, AccessDenied */
export function checkMeaning(request: MeaningRequest): void {
  const { headers, bucket } = request;
  const owner = headers['x-amz-expected-bucket-owner'];
  if (owner !== undefined && bucket !== null && owner !== bucket.owner) throw new S3Error('AccessDenied');
  for (const name in headers) {
    if (!name.startsWith('x-amz-')) continue;
    if (REFUSED_HEADERS.has(name)) throw notImplemented(name);
    if (isEncryptionHeader(name) && !takesEncryptionHeader(request.operation.name, name))
      throw notImplemented(name);
    if (name.startsWith(LOCK_PREFIX) && !TAKES_LOCKS.has(request.operation.name)) throw notImplemented(name);
  }
  checkStorageClass(request);
  checkVersionId(request);
}

/** 501 for a header or parameter that would change the meaning. */
export const notImplemented = (name: string): S3Error =>
  new S3Error('NotImplemented', { fields: { Header: name } });

function checkStorageClass({ headers, storageClasses = STORAGE_CLASSES }: MeaningRequest): void {
  const value = headers['x-amz-storage-class'];
  if (value === undefined || storageClasses.includes(value)) return;
  if (UNSUPPORTED_CLASSES.has(value)) throw notImplemented('x-amz-storage-class');
  throw new S3Error('InvalidStorageClass', { fields: { StorageClassRequested: value } });
}

function checkVersionId({ operation, query }: MeaningRequest): void {
  const versionId = query.get('versionId');
  if (versionId === undefined || operation.target !== 'object') return;
  const fields = { ArgumentName: 'versionId', ArgumentValue: versionId };
  if (versionId === '')
    throw new S3Error('InvalidArgument', { message: 'Version id cannot be the empty string', fields });
  // Said back, it would also break the XML of the error.
  if (!/^[!-~]{1,1024}$/.test(versionId))
    throw new S3Error('InvalidArgument', {
      message: 'Invalid version id specified',
      fields: { ArgumentName: 'versionId' },
    });
  if (!TAKES_VERSION.has(operation.name))
    throw new S3Error('InvalidArgument', {
      message: 'This operation does not accept a version-id.',
      fields,
    });
}
