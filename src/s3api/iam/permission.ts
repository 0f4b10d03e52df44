/**
 * Who may do what in the query APIs: an account everything in itself, its users and sessions what their policies allow. Pure.
 * Source: "Policy evaluation logic" and "How to use an external ID", IAM User Guide.
 */

import type { Entity } from '../../ddm/catalog.ts';
import { entityArn } from '../../identity/arns.ts';
import { evaluate, find, type PolicyRequest } from '../../identity/policy/evaluate.ts';
import type { Effect, PolicyDocument } from '../../identity/policy/types.ts';
import type { AccountPrincipal } from '../../identity/signer.ts';
import { callerArn } from './documents.ts';
import { QueryError } from './errors.ts';

export type AccountRequest = PolicyRequest & { readonly principal: AccountPrincipal };

/** What the asker's own policies say. Without an identity it is the account itself. */
export function identityEffect(request: AccountRequest): Effect {
  const { identity } = request.principal;
  if (identity === undefined) return 'allow';
  const own = evaluate(identity.policies, request);
  if (own === 'deny' || identity.boundary === undefined) return own;
  const bounds = evaluate([identity.boundary], request);
  return bounds === 'allow' ? own : bounds;
}

/** @throws {QueryError} AccessDenied */
export function requireAllowed(request: AccountRequest): void {
  const effect = identityEffect(request);
  if (effect !== 'allow') throw denied(request, effect);
}

export function denied({ principal, action, resource }: AccountRequest, effect: Effect): QueryError {
  const why =
    effect === 'deny'
      ? 'with an explicit deny in an identity-based policy'
      : `because no identity-based policy allows the ${action} action`;
  return new QueryError(
    'AccessDenied',
    `User: ${callerArn(principal)} is not authorized to perform: ${action} on resource: ${resource} ${why}`,
  );
}

/**
 * Whether a role may be assumed: its trust policy must let the asker in, and the asker's own policies must allow it,
 * unless the trust policy of a role of the same account means the asker himself and not his account.
 */
export function mayAssume(
  role: Entity,
  trust: PolicyDocument,
  asked: Omit<AccountRequest, 'resource'>,
): boolean {
  const request = { ...asked, resource: entityArn(role) };
  const { account, identity } = asked.principal;
  const own = identityEffect(request);
  const trusted = find([trust], request);
  if (own === 'deny' || trusted.effect !== 'allow') return false;
  if (own === 'allow') return true;
  // A session's own policy bounds what others grant it, too.
  return trusted.direct && account.id === role.account.id && identity?.boundary === undefined;
}
