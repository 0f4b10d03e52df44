/** The version that a request on an object's subresource names, or the error that AWS gives. */
import type { ObjectVersion } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';

/** @throws {S3Error} NoSuchKey, NoSuchVersion, MethodNotAllowed (the version named is a delete marker) */
export async function findObject(ctx: OperationContext): Promise<ObjectVersion> {
  const { services, bucket, key } = ctx;
  const versionId = ctx.query.get('versionId');
  const version = await services.catalog.findVersion(bucket!.id, key, versionId);
  if (!version) {
    throw versionId === undefined
      ? new S3Error('NoSuchKey', { fields: { Key: key } })
      : new S3Error('NoSuchVersion', { fields: { Key: key, VersionId: versionId } });
  }
  if (!version.isDeleteMarker) return version;
  const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId };
  throw versionId === undefined
    ? new S3Error('NoSuchKey', { fields: { Key: key }, headers })
    : new S3Error('MethodNotAllowed', {
        fields: { Method: ctx.operation.method, ResourceType: 'DeleteMarker' },
        headers: { ...headers, allow: 'DELETE' },
      });
}

/** Absent for a bucket that never had versioning. */
export const versionHeader = (version: ObjectVersion, ctx: OperationContext): string | undefined =>
  ctx.bucket!.versioning === 'unversioned' ? undefined : version.versionId;
