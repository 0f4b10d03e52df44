/** Users and roles: made, read, listed, changed, deleted, and their tags. Source: IAM API Reference. */
import { LIMITS } from '../../base/limits.ts';
import type { Entity, EntityKind } from '../../ddm/catalog.ts';
import { accountArn, entityArn } from '../../identity/arns.ts';
import { PolicyError, parsePolicy } from '../../identity/policy/parse.ts';
import { generateId } from '../../identity/secret-box.ts';
import { tag, wrap } from '../xml.ts';
import { entityNamed, iamAction, nameOf, type QueryAction, type QueryContext } from './action.ts';
import { dateXml, entityXml, listXml, PAGE_PARAMETERS, pageOf, tagsXml } from './documents.ts';
import { noSuch, QueryError, settled, validation } from './errors.ts';

const TITLES = { user: 'User', role: 'Role' } as const;
const ID_LENGTH = 17;
const SESSION_SECONDS_MIN = 3600;
const SESSION_SECONDS_MAX = 43_200;

const exists = (kind: EntityKind, name: string): QueryError =>
  new QueryError('EntityAlreadyExists', `${TITLES[kind]} with name ${name} already exists.`);
const impossible = (): QueryError => new QueryError('ServiceFailure', 'A change was refused for no reason.');

/** What every change of an entity may be refused for. */
export const refusals = (kind: EntityKind, name: string) => ({
  'no-such-entity': () => noSuch(kind, name),
  exists: () => exists(kind, name),
  'no-such-policy': impossible,
  'too-large': impossible,
});

export function parsed(text: string, kind: 'identity' | 'trust' | 'session'): void {
  try {
    parsePolicy(text, kind);
  } catch (error) {
    if (error instanceof PolicyError)
      throw new QueryError('MalformedPolicyDocument', error.message, { cause: error });
    throw error;
  }
}

async function create(ctx: QueryContext, kind: EntityKind, more: Partial<Entity>): Promise<Entity> {
  const { parameters, account } = ctx;
  const name = parameters.required(`${TITLES[kind]}Name`, 'entityName');
  const path = parameters.optional('Path', 'path') ?? '/';
  const tags = parameters.tags() ?? {};
  requireTagCount(tags);
  ctx.authorize(entityArn({ kind, account, path, name }));
  const id = generateId(kind === 'user' ? 'AIDA' : 'AROA', ID_LENGTH);
  const max = kind === 'user' ? LIMITS.usersPerAccountMax : LIMITS.rolesPerAccountMax;
  return settled(await ctx.catalog.createEntity({ kind, id, account, name, path, tags, ...more }, max), {
    exists: () => exists(kind, name),
    'no-such-account': () =>
      new QueryError('InvalidClientTokenId', 'The security token included in the request is invalid.'),
    'too-many': () =>
      new QueryError('LimitExceeded', `Cannot exceed quota for ${TITLES[kind]}sPerAccount: ${max}`),
  });
}

async function list(ctx: QueryContext, kind: EntityKind): Promise<string> {
  const { parameters, account } = ctx;
  const pathPrefix = parameters.optional('PathPrefix', 'pathPrefix') ?? '/';
  const page = pageOf(parameters);
  ctx.authorize(`arn:aws:iam::${account.id}:${kind}${pathPrefix}`);
  const { entities, truncated } = await ctx.catalog.listEntities({
    ...{ account: account.id, kind, pathPrefix },
    ...page,
  });
  const members = entities.map((entity) => wrap('member', entityXml(entity, { tags: false })));
  return listXml(`${TITLES[kind]}s`, members, truncated ? entities.at(-1)!.name : null);
}

async function remove(ctx: QueryContext, kind: EntityKind): Promise<null> {
  const entity = await entityNamed(ctx, kind, ctx.parameters.required(`${TITLES[kind]}Name`, 'entityName'));
  const conflict = (what: string) => () =>
    new QueryError('DeleteConflict', `Cannot delete entity, must delete ${what} first.`);
  return settled(await ctx.catalog.deleteEntity(nameOf(entity)), {
    'no-such-entity': () => noSuch(kind, entity.name),
    'has-keys': conflict('access keys'),
    'has-policies': conflict('policies'),
  });
}

async function change(
  ctx: QueryContext,
  entity: Entity,
  wanted: Parameters<QueryContext['catalog']['changeEntity']>[1],
): Promise<null> {
  if (Object.keys(wanted).length === 0) return null;
  const refused = { ...refusals(entity.kind, entity.name) };
  if (wanted.name !== undefined) refused.exists = () => exists(entity.kind, wanted.name!);
  return settled(await ctx.catalog.changeEntity(nameOf(entity), wanted), refused);
}

/** The user that is named, or the asker. */
async function getUser(ctx: QueryContext): Promise<string> {
  const name = ctx.parameters.optional('UserName', 'entityName') ?? ownName(ctx);
  if (name !== null) return wrap('User', entityXml(await entityNamed(ctx, 'user', name), { tags: true }));
  const { account } = ctx;
  const arn = accountArn(account);
  const made = dateXml(new Date(0));
  return wrap('User', tag('UserId', account.id) + tag('Arn', arn) + tag('CreateDate', made));
}

/** Of the user who asks; null for the account itself. @throws {QueryError} for a session of a role */
export function ownName({ principal }: QueryContext): string | null {
  const { identity } = principal;
  if (identity === undefined) return null;
  if (identity.kind === 'user') return identity.name;
  throw validation('Must specify userName when calling with non-User credentials');
}

async function updateUser(ctx: QueryContext): Promise<null> {
  const { parameters } = ctx;
  const name = parameters.optional('NewUserName', 'entityName');
  const path = parameters.optional('NewPath', 'path');
  const user = await entityNamed(ctx, 'user', parameters.required('UserName', 'entityName'));
  ctx.authorize(entityArn({ ...user, name: name ?? user.name, path: path ?? user.path }));
  return change(ctx, user, { ...(name !== undefined && { name }), ...(path !== undefined && { path }) });
}

function trustOf(ctx: QueryContext, parameter: string): string {
  const trust = ctx.parameters.required(parameter, 'document');
  parsed(trust, 'trust');
  if (trust.replace(/\s/g, '').length > LIMITS.trustPolicyCharactersMax)
    throw new QueryError(
      'LimitExceeded',
      `Cannot exceed quota for ACLSizePerRole: ${LIMITS.trustPolicyCharactersMax}`,
    );
  return trust;
}

async function createRole(ctx: QueryContext): Promise<string> {
  const description = ctx.parameters.optional('Description', 'description');
  const role = await create(ctx, 'role', {
    trust: trustOf(ctx, 'AssumeRolePolicyDocument'),
    sessionSeconds: sessionSeconds(ctx) ?? SESSION_SECONDS_MIN,
    ...(description !== undefined && { description }),
  });
  return wrap('Role', entityXml(role, { tags: true }));
}

const sessionSeconds = ({ parameters }: QueryContext): number | undefined =>
  parameters.integer('MaxSessionDuration', SESSION_SECONDS_MIN, SESSION_SECONDS_MAX);

async function updateRole(ctx: QueryContext): Promise<string> {
  const { parameters } = ctx;
  const description = parameters.optional('Description', 'description');
  const seconds = sessionSeconds(ctx);
  const role = await entityNamed(ctx, 'role', parameters.required('RoleName', 'entityName'));
  await change(ctx, role, {
    ...(description !== undefined && { description }),
    ...(seconds !== undefined && { sessionSeconds: seconds }),
  });
  return '';
}

async function updateTrust(ctx: QueryContext): Promise<null> {
  const trust = trustOf(ctx, 'PolicyDocument');
  const role = await entityNamed(ctx, 'role', ctx.parameters.required('RoleName', 'entityName'));
  return change(ctx, role, { trust });
}

// ----------------------------------------------------------------------------------------------- tags

function requireTagCount(tags: Readonly<Record<string, string>>): void {
  if (Object.keys(tags).length > LIMITS.tagsPerEntityMax)
    throw new QueryError(
      'LimitExceeded',
      `Cannot exceed quota for TagsPerResource: ${LIMITS.tagsPerEntityMax}`,
    );
}

const tagActions = (kind: EntityKind): QueryAction[] => {
  const title = TITLES[kind];
  const named = (ctx: QueryContext) =>
    entityNamed(ctx, kind, ctx.parameters.required(`${title}Name`, 'entityName'));
  return [
    iamAction(`List${title}Tags`, [`${title}Name`, ...PAGE_PARAMETERS], async (ctx) => {
      pageOf(ctx.parameters);
      return listXml('Tags', [tagsXml((await named(ctx)).tags)], null);
    }),
    iamAction(`Tag${title}`, [`${title}Name`, 'Tags'], async (ctx) => {
      const given = ctx.parameters.tags();
      if (!given)
        throw validation(
          "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must not be null",
        );
      const entity = await named(ctx);
      const tags = { ...entity.tags, ...given };
      requireTagCount(tags);
      return change(ctx, entity, { tags });
    }),
    iamAction(`Untag${title}`, [`${title}Name`, 'TagKeys'], async (ctx) => {
      const gone = new Set(ctx.parameters.list('TagKeys'));
      const entity = await named(ctx);
      const left = Object.entries(entity.tags).filter(([key]) => !gone.has(key));
      return change(ctx, entity, { tags: Object.fromEntries(left) });
    }),
  ];
};

/** How many there are and may be. */
async function summary(ctx: QueryContext): Promise<string> {
  ctx.authorize('*');
  const query = { account: ctx.account.id, pathPrefix: '', after: '' };
  const users = await ctx.catalog.listEntities({ ...query, kind: 'user', max: LIMITS.usersPerAccountMax });
  const roles = await ctx.catalog.listEntities({ ...query, kind: 'role', max: LIMITS.rolesPerAccountMax });
  const figures = {
    Users: users.entities.length,
    UsersQuota: LIMITS.usersPerAccountMax,
    Roles: roles.entities.length,
    RolesQuota: LIMITS.rolesPerAccountMax,
    Groups: 0,
    GroupsQuota: 0,
    Policies: 0,
    PoliciesQuota: 0,
    MFADevices: 0,
    AccessKeysPerUserQuota: LIMITS.accessKeysPerUserMax,
    UserPolicySizeQuota: LIMITS.userPoliciesCharactersMax,
    RolePolicySizeQuota: LIMITS.rolePoliciesCharactersMax,
    AssumeRolePolicySizeQuota: LIMITS.trustPolicyCharactersMax,
  };
  const entries = Object.entries(figures).map(([name, n]) =>
    wrap('entry', tag('key', name) + tag('value', n)),
  );
  return wrap('SummaryMap', entries.join(''));
}

export const ENTITY_ACTIONS: readonly QueryAction[] = [
  iamAction('CreateUser', ['UserName', 'Path', 'Tags'], async (ctx) =>
    wrap('User', entityXml(await create(ctx, 'user', {}), { tags: true })),
  ),
  iamAction('GetUser', ['UserName'], getUser),
  iamAction('ListUsers', ['PathPrefix', ...PAGE_PARAMETERS], (ctx) => list(ctx, 'user')),
  iamAction('UpdateUser', ['UserName', 'NewUserName', 'NewPath'], updateUser),
  iamAction('DeleteUser', ['UserName'], (ctx) => remove(ctx, 'user')),
  iamAction(
    'CreateRole',
    ['RoleName', 'Path', 'AssumeRolePolicyDocument', 'Description', 'MaxSessionDuration', 'Tags'],
    createRole,
  ),
  iamAction('GetRole', ['RoleName'], async (ctx) => {
    const role = await entityNamed(ctx, 'role', ctx.parameters.required('RoleName', 'entityName'));
    return wrap('Role', entityXml(role, { tags: true }));
  }),
  iamAction('ListRoles', ['PathPrefix', ...PAGE_PARAMETERS], (ctx) => list(ctx, 'role')),
  iamAction('UpdateRole', ['RoleName', 'Description', 'MaxSessionDuration'], updateRole),
  iamAction('UpdateAssumeRolePolicy', ['RoleName', 'PolicyDocument'], updateTrust),
  iamAction('DeleteRole', ['RoleName'], (ctx) => remove(ctx, 'role')),
  iamAction('GetAccountSummary', [], summary),
  ...tagActions('user'),
  ...tagActions('role'),
];
