/** Inline policies of users and roles. Source: PutUserPolicy, PutRolePolicy and their reads, IAM API Reference. */
import { LIMITS } from '../../base/limits.ts';
import type { EntityKind } from '../../ddm/catalog.ts';
import { tag } from '../xml.ts';
import { entityNamed, iamAction, nameOf, type QueryAction, type QueryContext } from './action.ts';
import { documentXml, listXml, PAGE_PARAMETERS, pageOf, pageOfNames } from './documents.ts';
import { parsed, refusals } from './entities.ts';
import { QueryError, settled } from './errors.ts';

const noSuchPolicy = (kind: EntityKind, policy: string): QueryError =>
  new QueryError('NoSuchEntity', `The ${kind} policy with name ${policy} cannot be found.`);

function policyActions(kind: EntityKind): QueryAction[] {
  const title = kind === 'user' ? 'User' : 'Role';
  const name = `${title}Name`;
  const named = (ctx: QueryContext) => entityNamed(ctx, kind, ctx.parameters.required(name, 'entityName'));
  const charactersMax = kind === 'user' ? LIMITS.userPoliciesCharactersMax : LIMITS.rolePoliciesCharactersMax;

  return [
    iamAction(`Put${title}Policy`, [name, 'PolicyName', 'PolicyDocument'], async (ctx) => {
      const policy = ctx.parameters.required('PolicyName', 'policyName');
      const text = ctx.parameters.required('PolicyDocument', 'document');
      const entity = await named(ctx);
      parsed(text, 'identity');
      const putPolicy = { name: policy, text, charactersMax };
      return settled(await ctx.catalog.changeEntity(nameOf(entity), { putPolicy }), {
        ...refusals(kind, entity.name),
        'too-large': () =>
          new QueryError(
            'LimitExceeded',
            `Maximum policy size of ${charactersMax} bytes exceeded for ${kind} ${entity.name}`,
          ),
      });
    }),

    iamAction(`Get${title}Policy`, [name, 'PolicyName'], async (ctx) => {
      const policy = ctx.parameters.required('PolicyName', 'policyName');
      const { name: owner, policies } = await named(ctx);
      if (!Object.hasOwn(policies, policy)) throw noSuchPolicy(kind, policy);
      return (
        tag(name, owner) + tag('PolicyName', policy) + tag('PolicyDocument', documentXml(policies[policy]!))
      );
    }),

    iamAction(`List${title}Policies`, [name, ...PAGE_PARAMETERS], async (ctx) => {
      const page = pageOf(ctx.parameters);
      const { names, last } = pageOfNames(Object.keys((await named(ctx)).policies), page);
      const members = names.map((policy) => tag('member', policy));
      return listXml('PolicyNames', members, last);
    }),

    iamAction(`Delete${title}Policy`, [name, 'PolicyName'], async (ctx) => {
      const dropPolicy = ctx.parameters.required('PolicyName', 'policyName');
      const entity = await named(ctx);
      return settled(await ctx.catalog.changeEntity(nameOf(entity), { dropPolicy }), {
        ...refusals(kind, entity.name),
        'no-such-policy': () => noSuchPolicy(kind, dropPolicy),
      });
    }),
  ];
}

export const POLICY_ACTIONS: readonly QueryAction[] = [...policyActions('user'), ...policyActions('role')];
