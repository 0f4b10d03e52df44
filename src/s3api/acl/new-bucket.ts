/** What CreateBucket says about ownership and the list of the new bucket, as settings. */
import type { AccountId } from '../../base/ids.ts';
import type { Acl } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import type { Services } from '../operation.ts';
import { ACL, cannedAcl, keptAcl } from './acl.ts';
import { isObjectOwnership, type ObjectOwnership, OWNERSHIP_CONTROLS } from './ownership.ts';
import { aclOfHeaders, resolveGrants } from './requested.ts';

const HEADER = 'x-amz-object-ownership';

export interface NewBucketAccess {
  readonly settings: Readonly<Record<string, unknown>>;
  /** null: nobody but the owner has anything. */
  readonly acl: Acl | null;
  /** What the request asks for. */
  readonly ownership: ObjectOwnership | undefined;
}

/** @throws {S3Error} InvalidArgument, InvalidBucketAclWithObjectOwnership … */
export async function accessOfNewBucket(
  { catalog, objectOwnership: byDefault = 'BucketOwnerEnforced' }: Services,
  headers: Readonly<Record<string, string | undefined>>,
  owner: AccountId,
): Promise<NewBucketAccess> {
  const said = headers[HEADER];
  if (said !== undefined && !isObjectOwnership(said))
    throw new S3Error('InvalidArgument', {
      message: `Invalid ${HEADER} header: ${said.slice(0, 256)}`,
      fields: { ArgumentName: HEADER, ArgumentValue: said.slice(0, 256) },
    });
  const requested = aclOfHeaders(headers, 'bucket');
  const acl =
    requested === null
      ? null
      : requested.kind === 'canned'
        ? keptAcl(cannedAcl(requested.name, owner, null), owner)
        : keptAcl(await resolveGrants(catalog, requested.grants), owner);
  if ((said ?? byDefault) === 'BucketOwnerEnforced' && acl !== null)
    throw new S3Error('InvalidBucketAclWithObjectOwnership');
  return {
    settings: { ...controls(said, byDefault), ...(acl && { [ACL]: acl }) },
    acl,
    ownership: said,
  };
}

/** A store that gives buckets no controls of themselves, as it was everywhere before 2023, has ObjectWriter. */
function controls(said: ObjectOwnership | undefined, byDefault: ObjectOwnership): Record<string, unknown> {
  if (said !== undefined) return { [OWNERSHIP_CONTROLS]: { objectOwnership: said } };
  if (byDefault === 'BucketOwnerEnforced') return {};
  const objectOwnership = byDefault === 'ObjectWriter' ? null : byDefault;
  return { [OWNERSHIP_CONTROLS]: { objectOwnership } };
}
