/** Who owns a delete marker: as with objects (acl/new-object.ts), the bucket's owner where ownership says so or nobody signed. */
import type { AccountId } from '../../base/ids.ts';
import { effectiveOwner } from '../acl/ownership.ts';
import type { OperationContext } from '../operation.ts';

export function ownerOf(ctx: Pick<OperationContext, 'principal' | 'bucket'>): AccountId {
  const bucket = ctx.bucket!;
  return effectiveOwner(bucket, ctx.principal.kind === 'account' ? ctx.principal.account.id : bucket.owner);
}
