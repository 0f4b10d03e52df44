/**
 * Access control lists: canned ones, what a list grants, and how it is kept. Pure. A list that only says what holds without
 * one, that its owner has FULL_CONTROL, is not stored. Source: "Access control list (ACL) overview", Amazon S3 User Guide.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Acl, AclGrant, AclGroup, AclPermission, Bucket, ObjectVersion } from '../../ddm/catalog.ts';
import type { Principal } from '../../identity/types.ts';
import { aclsCount, effectiveOwner } from './ownership.ts';

/** The bucket's setting that holds its list. */
export const ACL = 'acl';

const ofAccount = (account: AccountId, permission: AclPermission): AclGrant => ({
  grantee: { account },
  permission,
});
const ofGroup = (group: AclGroup, permission: AclPermission): AclGrant => ({
  grantee: { group },
  permission,
});

export const ownerOnly = (owner: AccountId): Acl => [ofAccount(owner, 'FULL_CONTROL')];

/** What is kept of a list; null: nothing, as it is the default. */
export function keptAcl(acl: Acl, owner: AccountId): Acl | null {
  const [only] = acl;
  const isDefault =
    acl.length === 1 &&
    only?.permission === 'FULL_CONTROL' &&
    'account' in only.grantee &&
    only.grantee.account === owner;
  return isDefault ? null : acl;
}

/** The list as it is kept, whether or not lists count. */
export const keptBucketAcl = (bucket: Bucket): Acl | null =>
  (bucket.settings[ACL] as Acl | undefined) ?? null;

export const aclOfBucket = (bucket: Bucket): Acl =>
  (aclsCount(bucket) ? keptBucketAcl(bucket) : null) ?? ownerOnly(bucket.owner);

export const aclOfVersion = (bucket: Bucket, version: Pick<ObjectVersion, 'owner' | 'acl'>): Acl =>
  (aclsCount(bucket) ? version.acl : undefined) ?? ownerOnly(effectiveOwner(bucket, version.owner));

// ------------------------------------------------------------------------------------------ canned lists

export type AclSubject = 'bucket' | 'object';
/** The service that reads machine images, as AWS names it. */
const IMAGE_READER = '6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c' as AccountId;

/** Groups come first, as people look for them first. */
const CANNED: Readonly<
  Record<
    string,
    { readonly on: readonly AclSubject[]; readonly adds: (bucketOwner: AccountId | null) => Acl }
  >
> = {
  private: { on: ['bucket', 'object'], adds: () => [] },
  'public-read': { on: ['bucket', 'object'], adds: () => [ofGroup('AllUsers', 'READ')] },
  'public-read-write': {
    on: ['bucket', 'object'],
    adds: () => [ofGroup('AllUsers', 'READ'), ofGroup('AllUsers', 'WRITE')],
  },
  'authenticated-read': {
    on: ['bucket', 'object'],
    adds: () => [ofGroup('AuthenticatedUsers', 'READ')],
  },
  'aws-exec-read': { on: ['bucket', 'object'], adds: () => [ofAccount(IMAGE_READER, 'READ')] },
  // Of a bucket they say nothing.
  'bucket-owner-read': {
    on: ['bucket', 'object'],
    adds: (owner) => (owner === null ? [] : [ofAccount(owner, 'READ')]),
  },
  'bucket-owner-full-control': {
    on: ['bucket', 'object'],
    adds: (owner) => (owner === null ? [] : [ofAccount(owner, 'FULL_CONTROL')]),
  },
  'log-delivery-write': {
    on: ['bucket'],
    adds: () => [ofGroup('LogDelivery', 'WRITE'), ofGroup('LogDelivery', 'READ_ACP')],
  },
};

export const isCannedAcl = (name: string, on: AclSubject): boolean =>
  Object.hasOwn(CANNED, name) && CANNED[name]!.on.includes(on);

/** @param bucketOwner of an object: the owner of its bucket */
export function cannedAcl(name: string, owner: AccountId, bucketOwner: AccountId | null): Acl {
  const added = CANNED[name]!.adds(bucketOwner === owner ? null : bucketOwner);
  const groups = added.filter(({ grantee }) => 'group' in grantee);
  const accounts = added.filter(({ grantee }) => 'account' in grantee);
  return [...groups, ...ownerOnly(owner), ...accounts];
}

// ------------------------------------------------------------------------------------- what lists grant

const isPublicGroup = ({ grantee }: AclGrant): boolean =>
  'group' in grantee && grantee.group !== 'LogDelivery';

/** Whether it gives anything to everybody, or to everybody with any account. */
export const isPublicAcl = (acl: Acl): boolean => acl.some(isPublicGroup);

/** @param ignorePublic grants to everybody count for nothing */
export function aclGrants(
  acl: Acl,
  principal: Principal,
  permission: AclPermission,
  ignorePublic: boolean,
): boolean {
  return acl.some((grant) => {
    if (grant.permission !== permission && grant.permission !== 'FULL_CONTROL') return false;
    const { grantee } = grant;
    if ('account' in grantee) return principal.kind === 'account' && principal.account.id === grantee.account;
    if (ignorePublic || grantee.group === 'LogDelivery') return false;
    return grantee.group === 'AllUsers' || principal.kind === 'account';
  });
}
