/**
 * What access control lists add to the decision (authorize.ts). Only where they count: with BucketOwnerEnforced everything
 * in a bucket is its owner's and lists grant nothing.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Bucket } from '../../ddm/catalog.ts';
import type { AccessQuestion } from '../authorize.ts';

export interface AclRules {
  /** Grants to everybody count for nothing (IgnorePublicAcls). */
  readonly ignorePublic: boolean;
}

export const aclsCount = (_bucket: Bucket): boolean => false;

/** Whether the list of the bucket or of the object grants what is asked. */
export async function aclAllows(question: AccessQuestion, _rules: AclRules): Promise<boolean> {
  return question.bucket !== null && aclsCount(question.bucket) && false;
}

/** Whether the bucket's list grants something to everybody, or to everybody with an account. */
export const bucketAclIsPublic = (_bucket: Bucket): boolean => false;

/** Whose the thing is that is asked about: the object's owner where lists count and the object decides, else the bucket's. */
export async function resourceOwner(question: AccessQuestion): Promise<AccountId | null> {
  return question.bucket?.owner ?? null;
}
