/** Accounts, access keys and entities of the model catalog. */
import type { AccountId } from '../../src/base/ids.ts';
import type { AccessKey, Account, Outcome } from '../../src/ddm/catalog.ts';
import { ModelEntities } from './model-entities.ts';

export class ModelAccounts {
  readonly #accounts = new Map<AccountId, Account>();
  readonly #keys = new Map<string, AccessKey>();
  readonly #now: () => number;
  readonly entities: ModelEntities;

  constructor(now: () => number) {
    this.#now = now;
    this.entities = new ModelEntities((id) => this.account(id), now);
  }

  account(id: AccountId): Account | null {
    return this.#accounts.get(id) ?? null;
  }
  accounts(): Account[] {
    return [...this.#accounts.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
  createAccount(account: Account): Outcome<Account, 'exists'> {
    if (this.#accounts.has(account.id)) return { outcome: 'refused', reason: 'exists' };
    this.#accounts.set(account.id, account);
    return { outcome: 'done', value: account };
  }
  deleteAccount(
    id: AccountId,
    hasBuckets: boolean,
  ): Outcome<null, 'no-such-account' | 'has-keys' | 'has-entities' | 'has-buckets' | 'root'> {
    const account = this.#accounts.get(id);
    if (account === undefined) return { outcome: 'refused', reason: 'no-such-account' };
    if (account.isRoot) return { outcome: 'refused', reason: 'root' };
    if (this.keys(id).length > 0) return { outcome: 'refused', reason: 'has-keys' };
    if (this.entities.hasAny(id)) return { outcome: 'refused', reason: 'has-entities' };
    if (hasBuckets) return { outcome: 'refused', reason: 'has-buckets' };
    this.#accounts.delete(id);
    return { outcome: 'done', value: null };
  }

  key(id: string): AccessKey | null {
    const key = this.#keys.get(id);
    return key ? this.#withUser(key) : null;
  }
  keys(account: AccountId): AccessKey[] {
    return [...this.#keys.values()].filter((key) => key.account.id === account).map((k) => this.#withUser(k));
  }
  hasKeys(user: string): boolean {
    return [...this.#keys.values()].some((key) => key.user?.id === user);
  }
  /** With the user as it is now. */
  #withUser(key: AccessKey): AccessKey {
    const user = key.user && this.entities.byId(key.user.id);
    return user ? { ...key, user } : key;
  }
  createKey(key: {
    accessKeyId: string;
    account: AccountId;
    sealedSecret: Buffer;
    user?: { readonly id: string; readonly max: number };
  }): Outcome<AccessKey, 'exists' | 'no-such-account' | 'no-such-user' | 'too-many'> {
    const account = this.#accounts.get(key.account);
    if (account === undefined) return { outcome: 'refused', reason: 'no-such-account' };
    const user = key.user && this.entities.byId(key.user.id);
    if (key.user && user?.account.id !== key.account) return { outcome: 'refused', reason: 'no-such-user' };
    if (key.user && this.keys(key.account).filter((k) => k.user?.id === user?.id).length >= key.user.max)
      return { outcome: 'refused', reason: 'too-many' };
    if (this.#keys.has(key.accessKeyId)) return { outcome: 'refused', reason: 'exists' };
    const value: AccessKey = {
      accessKeyId: key.accessKeyId,
      account,
      status: 'active',
      sealedSecret: key.sealedSecret,
      createdAt: new Date(this.#now()),
      ...(user && { user }),
    };
    this.#keys.set(key.accessKeyId, value);
    return { outcome: 'done', value };
  }
  setKeyStatus(id: string, status: 'active' | 'inactive'): Outcome<null, 'no-such-key'> {
    const key = this.#keys.get(id);
    if (key === undefined) return { outcome: 'refused', reason: 'no-such-key' };
    this.#keys.set(id, { ...key, status });
    return { outcome: 'done', value: null };
  }
  resealKey(id: string, from: Buffer, to: Buffer): Outcome<null, 'no-such-key'> {
    const key = this.#keys.get(id);
    if (!key?.sealedSecret.equals(from)) return { outcome: 'refused', reason: 'no-such-key' };
    this.#keys.set(id, { ...key, sealedSecret: to });
    return { outcome: 'done', value: null };
  }
  deleteKey(id: string): Outcome<null, 'no-such-key'> {
    return this.#keys.delete(id)
      ? { outcome: 'done', value: null }
      : { outcome: 'refused', reason: 'no-such-key' };
  }
}
