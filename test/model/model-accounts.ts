/** Accounts and access keys of the model catalog. */
import type { AccountId } from '../../src/base/ids.ts';
import type { AccessKey, Account, Outcome } from '../../src/ddm/catalog.ts';

export class ModelAccounts {
  readonly #accounts = new Map<AccountId, Account>();
  readonly #keys = new Map<string, AccessKey>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
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
  ): Outcome<null, 'no-such-account' | 'has-keys' | 'has-buckets' | 'root'> {
    const account = this.#accounts.get(id);
    if (account === undefined) return { outcome: 'refused', reason: 'no-such-account' };
    if (account.isRoot) return { outcome: 'refused', reason: 'root' };
    if (this.keys(id).length > 0) return { outcome: 'refused', reason: 'has-keys' };
    if (hasBuckets) return { outcome: 'refused', reason: 'has-buckets' };
    this.#accounts.delete(id);
    return { outcome: 'done', value: null };
  }

  key(id: string): AccessKey | null {
    return this.#keys.get(id) ?? null;
  }
  keys(account: AccountId): AccessKey[] {
    return [...this.#keys.values()].filter((key) => key.account.id === account);
  }
  createKey(key: {
    accessKeyId: string;
    account: AccountId;
    sealedSecret: Buffer;
  }): Outcome<AccessKey, 'exists' | 'no-such-account'> {
    const account = this.#accounts.get(key.account);
    if (account === undefined) return { outcome: 'refused', reason: 'no-such-account' };
    if (this.#keys.has(key.accessKeyId)) return { outcome: 'refused', reason: 'exists' };
    const value: AccessKey = {
      accessKeyId: key.accessKeyId,
      account,
      status: 'active',
      sealedSecret: key.sealedSecret,
      createdAt: new Date(this.#now()),
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
  deleteKey(id: string): Outcome<null, 'no-such-key'> {
    return this.#keys.delete(id)
      ? { outcome: 'done', value: null }
      : { outcome: 'refused', reason: 'no-such-key' };
  }
}
