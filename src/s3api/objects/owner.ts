/** Who owns what a request makes: its account; the bucket's owner where the request is anonymous. */
import type { AccountId } from '../../base/ids.ts';
import type { OperationContext } from '../operation.ts';

export function ownerOf(ctx: Pick<OperationContext, 'principal' | 'bucket'>): AccountId {
  return ctx.principal.kind === 'account' ? ctx.principal.account.id : ctx.bucket!.owner;
}
