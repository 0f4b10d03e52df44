/** Who changed what, by which operation: recorded with the change, for notifications and whoever reads the feed. */
import type { Cause } from '../../ddm/catalog.ts';
import type { OperationContext } from '../operation.ts';

/** As events name them; other operations go by their own names. */
const VIA: Readonly<Record<string, string>> = {
  PutObject: 'Put',
  PostObject: 'Post',
  CopyObject: 'Copy',
  DeleteObject: 'Delete',
  DeleteObjects: 'Delete',
};

export function causeOf(
  ctx: Pick<OperationContext, 'operation' | 'principal' | 'origin' | 'requestId'>,
): Cause {
  const { operation, principal, origin, requestId } = ctx;
  return {
    via: VIA[operation.name] ?? operation.name,
    ...(principal.kind === 'account' && {
      principal: `AWS:${principal.identity?.userId ?? principal.account.id}`,
    }),
    ...(origin.ip && { ip: origin.ip }),
    requestId,
  };
}
