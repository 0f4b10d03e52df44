/** Users and roles of accounts for operators: who has which inline policies, and what they say. The rest is IAM's. */
import type { AccountId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Catalog, Entity, EntityChange, EntityName } from '../ddm/catalog.ts';
import { entityArn } from '../identity/arns.ts';
import { PolicyError, parsePolicy } from '../identity/policy/parse.ts';
import { unknownOutcome } from './accounts.ts';
import { AdminError } from './admin-error.ts';
import type { EntityReport, NewPolicy, PolicyQuery } from './policies-api.ts';

export interface Policies {
  list(account: string): Promise<EntityReport[]>;
  put(policy: NewPolicy): Promise<void>;
  remove(policy: PolicyQuery): Promise<void>;
}

const PAGE = 1000;

export function createPolicies(catalog: Catalog): Policies {
  async function listKind(account: AccountId, kind: 'user' | 'role'): Promise<Entity[]> {
    const all: Entity[] = [];
    for (;;) {
      const after = all.at(-1)?.name ?? '';
      const page = await catalog.listEntities({ account, kind, pathPrefix: '', after, max: PAGE });
      all.push(...page.entities);
      if (!page.truncated) return all;
    }
  }

  async function change(name: EntityName, wanted: EntityChange): Promise<void> {
    const outcome = await catalog.changeEntity(name, wanted);
    if (outcome.outcome === 'done') return;
    if (outcome.outcome === 'unknown') throw unknownOutcome();
    if (outcome.reason === 'no-such-entity')
      throw new AdminError('NotFound', `account ${name.account} has no ${name.kind} ${name.name}`);
    if (outcome.reason === 'no-such-policy')
      throw new AdminError('NotFound', `${name.kind} ${name.name} has no policy ${wanted.dropPolicy}`);
    throw new AdminError('TooLarge', `the policies of ${name.kind} ${name.name} would be too large together`);
  }

  return {
    async list(account) {
      const id = account as AccountId;
      if (!(await catalog.findAccount(id))) throw new AdminError('NoSuchUser', `there is no user ${account}`);
      return [...(await listKind(id, 'user')), ...(await listKind(id, 'role'))].map(reportOf);
    },
    async put({ policy, document, ...entity }) {
      requirePolicy(document);
      const { userPoliciesCharactersMax, rolePoliciesCharactersMax } = LIMITS;
      const charactersMax = entity.kind === 'user' ? userPoliciesCharactersMax : rolePoliciesCharactersMax;
      await change(nameOf(entity), { putPolicy: { name: policy, text: document, charactersMax } });
    },
    remove: ({ policy, ...entity }) => change(nameOf(entity), { dropPolicy: policy }),
  };
}

function requirePolicy(text: string): void {
  try {
    parsePolicy(text, 'identity');
  } catch (error) {
    if (error instanceof PolicyError) throw new AdminError('InvalidRequest', error.message, { cause: error });
    throw error;
  }
}

const nameOf = ({ account, kind, name }: Omit<PolicyQuery, 'policy'>): EntityName => ({
  ...{ account: account as AccountId, kind, name },
});

function reportOf(entity: Entity): EntityReport {
  const { kind, name, createdAt, policies } = entity;
  const account = entity.account.id;
  return { account, kind, name, arn: entityArn(entity), createdAt: createdAt.toISOString(), policies };
}
