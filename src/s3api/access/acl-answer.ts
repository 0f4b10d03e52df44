/**
 * What access control lists add to the decision (authorize.ts). Only where they count: with BucketOwnerEnforced everything
 * in a bucket is its owner's and lists grant nothing. Source: "Mapping of ACL permissions and access policy permissions",
 * Amazon S3 User Guide; WRITE also lets delete, as it did before that page said otherwise and as other stores have it.
 */
import type { AccountId } from '../../base/ids.ts';
import type { AclPermission, Bucket } from '../../ddm/catalog.ts';
import { aclGrants, aclOfBucket, aclOfVersion, isPublicAcl } from '../acl/acl.ts';
import { aclsCount } from '../acl/ownership.ts';
import type { AccessQuestion } from '../authorize.ts';

export { aclsCount } from '../acl/ownership.ts';

export interface AclRules {
  /** Grants to everybody count for nothing (IgnorePublicAcls). */
  readonly ignorePublic: boolean;
}

/** What the bucket's list decides. */
const OF_BUCKET: Readonly<Record<string, AclPermission>> = {
  's3:ListBucket': 'READ',
  's3:ListBucketVersions': 'READ',
  's3:ListBucketMultipartUploads': 'READ',
  's3:PutObject': 'WRITE',
  's3:DeleteObject': 'WRITE',
  's3:AbortMultipartUpload': 'WRITE',
  's3:ListMultipartUploadParts': 'WRITE',
  's3:GetBucketAcl': 'READ_ACP',
  's3:PutBucketAcl': 'WRITE_ACP',
};
/** What the object's list decides. */
const OF_OBJECT: Readonly<Record<string, AclPermission>> = {
  's3:GetObject': 'READ',
  's3:GetObjectVersion': 'READ',
  's3:GetObjectTorrent': 'READ',
  's3:GetObjectVersionTorrent': 'READ',
  's3:GetObjectAcl': 'READ_ACP',
  's3:GetObjectVersionAcl': 'READ_ACP',
  's3:PutObjectAcl': 'WRITE_ACP',
  's3:PutObjectVersionAcl': 'WRITE_ACP',
};

/** Operations whose object is new: its writer's, unless the bucket says otherwise. */
const MAKES_OBJECTS: ReadonlySet<string> = new Set([
  'PutObject',
  'CopyObject',
  'CreateMultipartUpload',
  'PostObject',
]);
/** What comes with a new object, and is about it and not about what was there before. */
const OF_NEW_OBJECTS: ReadonlySet<string> = new Set(['s3:PutObjectAcl', 's3:PutObjectTagging']);
/** What is the bucket owner's to allow also of new objects that are not: a lock keeps the bucket from being emptied. */
const LOCKS: ReadonlySet<string> = new Set(['s3:PutObjectRetention', 's3:PutObjectLegalHold']);
/** About an object's key, and for the bucket's owner to allow. */
const OF_KEYS: ReadonlySet<string> = new Set([
  's3:PutObject',
  's3:DeleteObject',
  's3:DeleteObjectVersion',
  's3:AbortMultipartUpload',
  's3:ListMultipartUploadParts',
  's3:BypassGovernanceRetention',
]);

/** Whether the list of the bucket or of the object grants what is asked. */
export async function aclAllows(question: AccessQuestion, { ignorePublic }: AclRules): Promise<boolean> {
  const { bucket, action, principal } = question;
  if (bucket === null || !aclsCount(bucket)) return false;
  const ofBucket = OF_BUCKET[action];
  if (ofBucket !== undefined) return aclGrants(aclOfBucket(bucket), principal, ofBucket, ignorePublic);
  // Who signs owns what it writes (resourceOwner); who does not may say as much of it.
  if (isOfNewObject(question)) return aclGrants(aclOfBucket(bucket), principal, 'WRITE', ignorePublic);
  const ofObject = OF_OBJECT[action];
  if (ofObject === undefined) return false;
  const version = await question.findObject();
  // Who may list is told that there is nothing.
  if (version === null || version.isDeleteMarker)
    return aclGrants(aclOfBucket(bucket), principal, 'READ', ignorePublic);
  return aclGrants(aclOfVersion(bucket, version), principal, ofObject, ignorePublic);
}

/** Whether the bucket's list grants something to everybody, or to everybody with an account. */
export const bucketAclIsPublic = (bucket: Bucket): boolean => isPublicAcl(aclOfBucket(bucket));

/** Whose the thing is that is asked about: the object's owner where lists count and the object decides, else the bucket's. */
export async function resourceOwner(question: AccessQuestion): Promise<AccountId | null> {
  const { bucket, action, key, principal } = question;
  if (bucket === null) return null;
  if (key === '' || OF_KEYS.has(action) || !aclsCount(bucket)) return bucket.owner;
  if (LOCKS.has(action) && MAKES_OBJECTS.has(question.operation ?? '')) return bucket.owner;
  if (isOfNewObject(question)) return principal.kind === 'account' ? principal.account.id : bucket.owner;
  const version = await question.findObject();
  return version === null || version.isDeleteMarker ? bucket.owner : version.owner;
}

const isOfNewObject = ({ operation = '', action }: AccessQuestion): boolean =>
  OF_NEW_OBJECTS.has(action) && MAKES_OBJECTS.has(operation);
