/** Users and roles of the model catalog. */
import type { AccountId } from '../../src/base/ids.ts';
import type {
  Account,
  Entity,
  EntityCatalog,
  EntityChange,
  EntityKind,
  EntityName,
  NewEntity,
  Outcome,
} from '../../src/ddm/catalog.ts';

type Said<M extends keyof EntityCatalog> = Awaited<ReturnType<EntityCatalog[M]>>;
type Query = Parameters<EntityCatalog['listEntities']>[0];

const refused = <R extends string>(reason: R) => ({ outcome: 'refused', reason }) as const;
const DONE = { outcome: 'done', value: null } as const;
const compact = (texts: readonly string[]) => texts.join('').replace(/\s/g, '').length;

const lower = (text: string) => text.toLowerCase();

export class ModelEntities {
  readonly #entities = new Map<string, Entity>();
  readonly #account: (id: AccountId) => Account | null;
  readonly #now: () => number;

  constructor(account: (id: AccountId) => Account | null, now: () => number) {
    this.#account = account;
    this.#now = now;
  }

  byId(id: string): Entity | null {
    return this.#entities.get(id) ?? null;
  }
  find({ account, kind, name }: EntityName): Entity | null {
    return this.#taken(account, kind, name) ?? null;
  }
  hasAny(account: AccountId): boolean {
    return this.#of(account, 'user').length > 0 || this.#of(account, 'role').length > 0;
  }

  list({ account, kind, pathPrefix, after, max }: Query): Said<'listEntities'> {
    const found = this.#of(account, kind).filter(
      (e) => e.path.startsWith(pathPrefix) && lower(e.name) > lower(after),
    );
    return { entities: found.slice(0, max), truncated: found.length > max };
  }

  create(entity: NewEntity, max: number): Said<'createEntity'> {
    const account = this.#account(entity.account.id);
    if (account === null) return refused('no-such-account');
    if (this.#taken(account.id, entity.kind, entity.name)) return refused('exists');
    if (this.#of(account.id, entity.kind).length >= max) return refused('too-many');
    const value: Entity = { ...entity, account, policies: {}, createdAt: new Date(this.#now()) };
    this.#entities.set(value.id, value);
    return { outcome: 'done', value };
  }

  change(name: EntityName, { putPolicy, dropPolicy, ...change }: EntityChange): Said<'changeEntity'> {
    const entity = this.find(name);
    if (entity?.name !== name.name) return refused('no-such-entity');
    const other = change.name && this.#taken(name.account, name.kind, change.name);
    if (other && other.id !== entity.id) return refused('exists');
    const policies = { ...entity.policies };
    if (dropPolicy !== undefined) {
      if (!Object.hasOwn(policies, dropPolicy)) return refused('no-such-policy');
      delete policies[dropPolicy];
    }
    if (putPolicy) {
      policies[putPolicy.name] = putPolicy.text;
      if (compact(Object.values(policies)) > putPolicy.charactersMax) return refused('too-large');
    }
    this.#entities.set(entity.id, { ...entity, ...change, policies });
    return DONE;
  }

  remove(
    name: EntityName,
    hasKeys: (id: string) => boolean,
  ): Outcome<null, 'no-such-entity' | 'has-keys' | 'has-policies'> {
    const entity = this.find(name);
    if (entity?.name !== name.name) return refused('no-such-entity');
    if (hasKeys(entity.id)) return refused('has-keys');
    if (Object.keys(entity.policies).length > 0) return refused('has-policies');
    this.#entities.delete(entity.id);
    return DONE;
  }

  #of(account: AccountId, kind: EntityKind): Entity[] {
    return [...this.#entities.values()]
      .filter((entity) => entity.account.id === account && entity.kind === kind)
      .sort((a, b) => (lower(a.name) < lower(b.name) ? -1 : 1));
  }
  #taken(account: AccountId, kind: EntityKind, name: string): Entity | undefined {
    return this.#of(account, kind).find((entity) => lower(entity.name) === lower(name));
  }
}
