/**
 * Users and sessions of roles as policies see them: from the catalog's rows, each row parsed once. A stored policy that
 * cannot be read any more denies everything.
 */
import type { Entity } from '../ddm/catalog.ts';
import { entityArn, sessionArn } from './arns.ts';
import { PolicyError, parsePolicy } from './policy/parse.ts';
import type { PolicyDocument } from './policy/types.ts';
import type { Identity } from './types.ts';

const DENIES_ALL: PolicyDocument = {
  kind: 'identity',
  version: '2012-10-17',
  statements: [
    {
      effect: 'Deny',
      action: { not: false, patterns: ['*'] },
      resource: { not: false, patterns: ['*'] },
      conditions: [],
    },
  ],
  keys: new Set(),
};

const parsed = new WeakMap<Entity, readonly PolicyDocument[]>();

function policiesOf(entity: Entity): readonly PolicyDocument[] {
  const known = parsed.get(entity);
  if (known) return known;
  const policies = Object.values(entity.policies).map((text) => readable(text, 'identity'));
  parsed.set(entity, policies);
  return policies;
}

function readable(text: string, kind: 'identity' | 'session'): PolicyDocument {
  try {
    return parsePolicy(text, kind);
  } catch (error) {
    if (error instanceof PolicyError) return DENIES_ALL;
    throw error;
  }
}

export function identityOfUser(user: Entity): Identity {
  const { id: userId, name, path } = user;
  return { kind: 'user', arn: entityArn(user), userId, name, path, policies: policiesOf(user) };
}

/** @param policy the session's own, which can only take away */
export function identityOfSession(role: Entity, session: string, policy: string | undefined): Identity {
  return {
    kind: 'assumed-role',
    arn: sessionArn(role.account, role.name, session),
    userId: `${role.id}:${session}`,
    name: role.name,
    path: role.path,
    policies: policiesOf(role),
    ...(policy !== undefined && { boundary: readable(policy, 'session') }),
  };
}
