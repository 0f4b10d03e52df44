/** How users, roles and sessions are named in policies and answers. Account ids are any text. */
import type { Account, Entity } from '../ddm/catalog.ts';

export const accountArn = (account: Account): string => `arn:aws:iam::${account.id}:root`;

/** Of a user or role, also of one that does not exist (then `path` is `/`). */
export const entityArn = (entity: Pick<Entity, 'kind' | 'account' | 'path' | 'name'>): string =>
  `arn:aws:iam::${entity.account.id}:${entity.kind}${entity.path}${entity.name}`;

export const sessionArn = (account: Account, role: string, session: string): string =>
  `arn:aws:sts::${account.id}:assumed-role/${role}/${session}`;
