/** Temporary credentials, and who one is. Source: AssumeRole, GetSessionToken, GetCallerIdentity, STS API Reference. */

import type { AccountId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Entity } from '../../ddm/catalog.ts';
import { sessionArn } from '../../identity/arns.ts';
import { parsePolicy } from '../../identity/policy/parse.ts';
import type { SessionCredentials, SessionOf } from '../../identity/sessions.ts';
import { tag, wrap } from '../xml.ts';
import { type QueryAction, type QueryContext, stsAction } from './action.ts';
import { callerArn, dateXml } from './documents.ts';
import { parsed } from './entities.ts';
import { QueryError, validation } from './errors.ts';
import { denied, mayAssume } from './permission.ts';

const SECONDS_MIN = 900;
const SECONDS_DEFAULT = 3600;
/** Also of an account's own session, and of a session that assumes a role. */
const CHAINED_SECONDS_MAX = 3600;
const ROLE_SECONDS_MAX = 43_200;
const TOKEN_SECONDS_MAX = 129_600;
const TOKEN_SECONDS_DEFAULT = 43_200;

const ROLE_ARN = /^arn:aws:iam::([^:]*(?::[^:/]+)*):role(\/|\/.+\/)([^/]+)$/;

const credentialsXml = (made: SessionCredentials): string =>
  wrap(
    'Credentials',
    tag('AccessKeyId', made.accessKeyId) +
      tag('SecretAccessKey', made.secretAccessKey) +
      tag('SessionToken', made.token) +
      tag('Expiration', dateXml(made.expiresAt)),
  );

async function findRole(ctx: QueryContext, arn: string): Promise<Entity | null> {
  const [, account, path, name] = ROLE_ARN.exec(arn) ?? [];
  if (!account || !name) throw validation(`${arn} is invalid`);
  const role = await ctx.catalog.findEntity({ account: account as AccountId, kind: 'role', name });
  return role?.path === path ? role : null;
}

/** What a session is asked for; null: it may not be had, for whatever reason. */
async function roleFor(ctx: QueryContext, arn: string, session: string): Promise<Entity | null> {
  const role = await findRole(ctx, arn);
  if (!role?.trust) return null;
  const externalId = ctx.parameters.optional('ExternalId', 'externalId');
  const context = new Map(ctx.facts);
  context.set('sts:rolesessionname', [session]);
  if (externalId !== undefined) context.set('sts:externalid', [externalId]);
  const asked = { principal: ctx.principal, action: 'sts:AssumeRole', context };
  return mayAssume(role, parsePolicy(role.trust, 'trust'), asked) ? role : null;
}

function secondsFor(ctx: QueryContext, role: Entity): number {
  const seconds = ctx.parameters.integer('DurationSeconds', SECONDS_MIN, ROLE_SECONDS_MAX);
  if (seconds === undefined) return Math.min(SECONDS_DEFAULT, role.sessionSeconds ?? SECONDS_DEFAULT);
  if (seconds > (role.sessionSeconds ?? SECONDS_DEFAULT))
    throw validation('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
  if (ctx.principal.identity?.kind === 'assumed-role' && seconds > CHAINED_SECONDS_MAX)
    throw validation(
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
    );
  return seconds;
}

async function assumeRole(ctx: QueryContext): Promise<string> {
  const { parameters } = ctx;
  const arn = parameters.required('RoleArn', 'arn');
  const session = parameters.required('RoleSessionName', 'sessionName');
  const policy = parameters.optional('Policy', 'sessionPolicy');
  parameters.integer('DurationSeconds', SECONDS_MIN, ROLE_SECONDS_MAX);
  if (policy !== undefined) parsed(policy, 'session');
  const role = await roleFor(ctx, arn, session);
  if (!role)
    throw denied(
      { principal: ctx.principal, action: 'sts:AssumeRole', resource: arn, context: ctx.facts },
      'none',
    );
  const of: SessionOf = { kind: 'role', role, name: session, ...(policy !== undefined && { policy }) };
  const made = ctx.sessions.issue(of, secondsFor(ctx, role));
  const user =
    tag('AssumedRoleId', `${role.id}:${session}`) + tag('Arn', sessionArn(role.account, role.name, session));
  const packed =
    policy === undefined ? undefined : Math.ceil((policy.length * 100) / LIMITS.sessionPolicyCharactersMax);
  return credentialsXml(made) + wrap('AssumedRoleUser', user) + tag('PackedPolicySize', packed);
}

async function getSessionToken(ctx: QueryContext): Promise<string> {
  const asked = ctx.parameters.integer('DurationSeconds', SECONDS_MIN, TOKEN_SECONDS_MAX);
  if (ctx.temporary)
    throw new QueryError('AccessDenied', 'Cannot call GetSessionToken with session credentials');
  const max = ctx.principal.identity ? TOKEN_SECONDS_MAX : CHAINED_SECONDS_MAX;
  const seconds = Math.min(asked ?? TOKEN_SECONDS_DEFAULT, max);
  return credentialsXml(ctx.sessions.issue({ kind: 'key', accessKeyId: ctx.principal.accessKeyId }, seconds));
}

/** Needs no permission: whoever has a key may know whose it is. */
const getCallerIdentity = async ({ principal, account }: QueryContext): Promise<string> =>
  tag('Arn', callerArn(principal)) +
  tag('UserId', principal.identity?.userId ?? account.id) +
  tag('Account', account.id);

export const STS_ACTIONS: readonly QueryAction[] = [
  stsAction(
    'AssumeRole',
    ['RoleArn', 'RoleSessionName', 'DurationSeconds', 'Policy', 'ExternalId'],
    assumeRole,
  ),
  stsAction('GetSessionToken', ['DurationSeconds'], getSessionToken),
  stsAction('GetCallerIdentity', [], getCallerIdentity),
];
