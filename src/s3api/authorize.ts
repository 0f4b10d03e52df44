/**
 * The one place that decides who may do what. Pure. In this release: the root account may do everything, a bucket's owner
 * everything in it, every account may list its own buckets and create new ones; everybody else, and everybody without
 * a signature, may do nothing.
 */
import type { Bucket } from '../ddm/catalog.ts';
import type { Principal } from '../identity/types.ts';

export type Decision = 'allow' | 'deny';

/** Permissions that need no bucket of one's own. */
const ANY_ACCOUNT: ReadonlySet<string> = new Set(['s3:ListAllMyBuckets', 's3:CreateBucket']);

/** @param bucket null for operations on the service, and for CreateBucket */
export function authorize(permission: string, principal: Principal, bucket: Bucket | null): Decision {
  if (principal.kind === 'anonymous') return 'deny';
  if (principal.account.isRoot) return 'allow';
  if (bucket === null) return ANY_ACCOUNT.has(permission) ? 'allow' : 'deny';
  return bucket.owner === principal.account.id ? 'allow' : 'deny';
}
