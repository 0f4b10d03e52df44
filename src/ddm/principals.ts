/** Who owns buckets and signs requests, as the catalog keeps them. Types alone; catalog.ts hands them on. */
import type { AccountId } from '../base/ids.ts';
import type { Outcome } from './catalog.ts';

export interface Account {
  readonly id: AccountId;
  readonly displayName: string;
  readonly email?: string;
  readonly tenant?: string;
  /** The root account may do everything, in every bucket. */
  readonly isRoot: boolean;
}
export interface AccessKey {
  readonly accessKeyId: string;
  readonly account: Account;
  readonly status: 'active' | 'inactive';
  /** The secret, encrypted under the master key (identity/secret-box.ts): opaque here. */
  readonly sealedSecret: Buffer;
  readonly createdAt: Date;
  /** Whose key it is; absent: the account's own. */
  readonly user?: Entity;
}

export type EntityKind = 'user' | 'role';

/** A user or a role of an account (AWS calls both entities). */
export interface Entity {
  readonly kind: EntityKind;
  /** `AIDA…`, `AROA…`; never used again. */
  readonly id: string;
  readonly account: Account;
  /** Unique among the users, or the roles, of the account, without regard to case. */
  readonly name: string;
  /** Begins and ends with `/`. */
  readonly path: string;
  readonly createdAt: Date;
  /** Inline policies: their text by name. */
  readonly policies: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  /** Of a role: the text of its trust policy. */
  readonly trust?: string;
  readonly description?: string;
  /** Of a role: the longest session. */
  readonly sessionSeconds?: number;
}

export type NewEntity = Omit<Entity, 'createdAt' | 'policies'>;

/** Tags are replaced as a whole. `charactersMax`: of all its policies together, without white space. */
export type EntityChange = Partial<
  Pick<Entity, 'name' | 'path' | 'trust' | 'description' | 'sessionSeconds' | 'tags'>
> & {
  readonly putPolicy?: { readonly name: string; readonly text: string; readonly charactersMax: number };
  readonly dropPolicy?: string;
};

/** What names an entity for people. */
export interface EntityName {
  readonly account: AccountId;
  readonly kind: EntityKind;
  readonly name: string;
}

/** Users and roles; all on the root pair. Keys of users are made with `createAccessKey`. */
export interface EntityCatalog {
  /** Without regard to case. Changes and deletions take the name as it is. */
  findEntity(name: EntityName): Promise<Entity | null>;
  /** May be cached for at most LIMITS.settingsAgeMs. */
  findEntityById(id: string): Promise<Entity | null>;
  /** By name, without regard to case; of those whose path begins with `pathPrefix`. */
  listEntities(query: {
    account: AccountId;
    kind: EntityKind;
    pathPrefix: string;
    after: string;
    max: number;
  }): Promise<{ entities: readonly Entity[]; truncated: boolean }>;
  /** @param max how many of its kind the account may have */
  createEntity(
    entity: NewEntity,
    max: number,
  ): Promise<Outcome<Entity, 'exists' | 'no-such-account' | 'too-many'>>;
  changeEntity(
    name: EntityName,
    change: EntityChange,
  ): Promise<Outcome<null, 'no-such-entity' | 'exists' | 'no-such-policy' | 'too-large'>>;
  /** Refused while it has access keys or policies. */
  deleteEntity(name: EntityName): Promise<Outcome<null, 'no-such-entity' | 'has-keys' | 'has-policies'>>;
}
