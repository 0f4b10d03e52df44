/**
 * Whose an object is that a request makes, and which list it has. For PutObject, CopyObject, CreateMultipartUpload and
 * forms, whose fields have the names of the headers.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Acl, Bucket } from '../../ddm/catalog.ts';
import type { Principal } from '../../identity/types.ts';
import { publicAccessBlockOf } from '../access/bucket-policy.ts';
import { S3Error } from '../errors.ts';
import type { Services } from '../operation.ts';
import { cannedAcl, isPublicAcl, keptAcl } from './acl.ts';
import { aclsCount, aclsNotSupported, isByDefault, ownershipOf } from './ownership.ts';
import { aclOfHeaders, type RequestedAcl, resolveGrants } from './requested.ts';

export interface MakingRequest {
  readonly services: Pick<Services, 'catalog'>;
  /** Who makes it. */
  readonly principal: Principal;
  readonly bucket: Bucket | null;
  readonly headers: Readonly<Record<string, string | undefined>>;
}
export interface NewObjectAccess {
  readonly owner: AccountId;
  /** To be spread into the object's attributes. */
  readonly attributes: { readonly acl?: Acl };
}

/**
 * To be asked before the body is read.
 * @throws {S3Error} AccessControlListNotSupported, AccessDenied (public lists are blocked), InvalidArgument …
 */
export async function accessOfNewObject(request: MakingRequest): Promise<NewObjectAccess> {
  const { services, principal } = request;
  const bucket = request.bucket!;
  const requested = aclOfHeaders(request.headers, 'object');
  if (!aclsCount(bucket)) {
    if (requested !== null) await requireDefault(request, requested);
    return { owner: bucket.owner, attributes: {} };
  }
  const writer = principal.kind === 'account' ? principal.account.id : bucket.owner;
  const givesAway =
    requested?.kind === 'canned' &&
    requested.name === 'bucket-owner-full-control' &&
    ownershipOf(bucket) === 'BucketOwnerPreferred';
  const owner = givesAway ? bucket.owner : writer;
  if (requested === null) return { owner, attributes: {} };
  const acl =
    requested.kind === 'canned'
      ? cannedAcl(requested.name, owner, bucket.owner)
      : await resolveGrants(services.catalog, requested.grants);
  requireUnblocked(bucket, acl);
  const kept = keptAcl(acl, owner);
  return { owner, attributes: kept === null ? {} : { acl: kept } };
}

/**
 * Where lists do not count one may be named that says what holds anyway: tools copy an object with its list.
 * @throws {S3Error} AccessControlListNotSupported
 */
export async function requireDefault(
  { services, bucket }: Pick<MakingRequest, 'services' | 'bucket'>,
  requested: RequestedAcl,
): Promise<void> {
  if (requested.kind === 'canned') {
    if (requested.name === 'bucket-owner-full-control') return;
    if (requested.name === 'private' && isByDefault(bucket!)) return;
    throw aclsNotSupported();
  }
  const acl = await resolveGrants(services.catalog, requested.grants);
  if (keptAcl(acl, bucket!.owner) !== null) throw aclsNotSupported();
}

/** @throws {S3Error} AccessDenied: the bucket takes no list that is public (BlockPublicAcls) */
export function requireUnblocked(bucket: Bucket, acl: Acl): void {
  if (isPublicAcl(acl) && publicAccessBlockOf(bucket).blockPublicAcls) throw new S3Error('AccessDenied');
}
