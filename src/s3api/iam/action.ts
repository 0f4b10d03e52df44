/**
 * An action of the query APIs is one row: its name, what it may be told, and `run`, which answers the inside of its result.
 * Who may do it is asked in `run`, once it is known about whom.
 */
import type { Clock } from '../../base/clock.ts';
import type { Account, Catalog, Entity, EntityKind } from '../../ddm/catalog.ts';
import { entityArn } from '../../identity/arns.ts';
import type { PolicyContext } from '../../identity/policy/types.ts';
import type { Sessions } from '../../identity/sessions.ts';
import type { AccountPrincipal } from '../../identity/signer.ts';
import { noSuch } from './errors.ts';
import type { Parameters } from './parameters.ts';

export type QueryService = 'iam' | 'sts';

export const VERSIONS: Readonly<Record<QueryService, string>> = { iam: '2010-05-08', sts: '2011-06-15' };

export interface QueryContext {
  readonly action: QueryAction;
  readonly parameters: Parameters;
  readonly principal: AccountPrincipal;
  readonly account: Account;
  /** Signed with temporary credentials. */
  readonly temporary: boolean;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly sessions: Sessions;
  readonly sealSecret: (secret: string, accessKeyId: string) => Buffer;
  /** What the request says to conditions. */
  readonly facts: PolicyContext;
  /** The action itself, on `resource`. @throws {QueryError} AccessDenied */
  authorize(resource: string): void;
}

export interface QueryAction {
  readonly name: string;
  readonly service: QueryService;
  /** Names of its parameters; of lists the part before `.member`. */
  readonly parameters: readonly string[];
  /** null: the answer has no result. */
  readonly run: (ctx: QueryContext) => Promise<string | null>;
}

export const iamAction = (
  name: string,
  parameters: readonly string[],
  run: QueryAction['run'],
): QueryAction => ({ name, service: 'iam', parameters, run });

export const stsAction = (
  name: string,
  parameters: readonly string[],
  run: QueryAction['run'],
): QueryAction => ({ name, service: 'sts', parameters, run });

/** The user or role of this name, after the action on it has been allowed. @throws {QueryError} AccessDenied, NoSuchEntity */
export async function entityNamed(ctx: QueryContext, kind: EntityKind, name: string): Promise<Entity> {
  const { account } = ctx;
  const found = await ctx.catalog.findEntity({ account: account.id, kind, name });
  ctx.authorize(entityArn(found ?? { kind, account, path: '/', name }));
  if (!found) throw noSuch(kind, name);
  return found;
}

export const nameOf = (entity: Entity) => ({
  account: entity.account.id,
  kind: entity.kind,
  name: entity.name,
});
