/**
 * What policies say of a request: `deny` if one statement denies, else `allow` if one allows, else `none`. Pure.
 * Source: "Policy evaluation logic", AWS IAM User Guide.
 */
import type { Principal } from '../types.ts';
import { holds } from './conditions.ts';
import { fillIn, likeAction, matchesPieces } from './pattern.ts';
import { matchPrincipal, type PrincipalMatch } from './principals.ts';
import type { Effect, PolicyContext, PolicyDocument, Statement } from './types.ts';

export interface PolicyRequest {
  readonly principal: Principal;
  /** `s3:GetObject` */
  readonly action: string;
  /** `arn:aws:s3:::bucket/key` */
  readonly resource: string;
  readonly context: PolicyContext;
}

export interface PolicyFinding {
  readonly effect: Effect;
  /** Of an `allow`: it names who asks, or everybody; not merely the account of who asks. */
  readonly direct: boolean;
  /** The statement that decided: its Sid, or its place in the policy. */
  readonly statement?: string;
}

export const evaluate = (documents: readonly PolicyDocument[], request: PolicyRequest): Effect =>
  find(documents, request).effect;

/** As {@link evaluate}, with the statement that decided. */
export function find(documents: readonly PolicyDocument[], request: PolicyRequest): PolicyFinding {
  let allowed: PolicyFinding = { effect: 'none', direct: false };
  for (const document of documents) {
    for (const [i, statement] of document.statements.entries()) {
      const match = applies(document, statement, request);
      if (match === 'no') continue;
      const finding = { direct: match === 'direct', statement: statement.sid ?? `#${i + 1}` };
      if (statement.effect === 'Deny') return { effect: 'deny', ...finding };
      if (allowed.effect === 'none' || (finding.direct && !allowed.direct))
        allowed = { effect: 'allow', ...finding };
    }
  }
  return allowed;
}

function applies(document: PolicyDocument, statement: Statement, request: PolicyRequest): PrincipalMatch {
  const { action, resource, conditions } = statement;
  const who = whoIs(statement, request.principal);
  if (who === 'no') return who;
  if (action.patterns.some((pattern) => likeAction(pattern, request.action)) === action.not) return 'no';
  const variables = document.version === '2012-10-17';
  const filled = variables ? request.context : null;
  const hits = (pattern: string): boolean => {
    if (pattern === '*') return true;
    const pieces = fillIn(pattern, filled, true);
    return pieces !== null && matchesPieces(pieces, request.resource);
  };
  if (resource !== undefined && resource.patterns.some(hits) === resource.not) return 'no';
  return conditions.every((condition) => holds(condition, request.context, variables)) ? who : 'no';
}

function whoIs({ principal }: Statement, who: Principal): PrincipalMatch {
  if (principal === undefined) return 'direct';
  const match = matchPrincipal(principal.entries, who);
  if (!principal.not) return match;
  return match === 'no' ? 'direct' : 'no';
}
