/**
 * Accounts, access keys and entities, on the root pair. Keys, each with its user, are cached for at most settingsAgeMs;
 * absence never is.
 */
import { LRUCache } from 'lru-cache';
import type { AccountId } from '../base/ids.ts';
import type { AccessKey, Account, Catalog, EntityCatalog, Outcome } from './catalog.ts';
import type { Directories } from './directories.ts';
import { openEntities } from './entities.ts';
import { accessKeyOf, accountOf, isStorable } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import { statement } from './statements.ts';

const FIND_ACCESS_KEY = statement('find-access-key');
const LIST_ACCESS_KEYS = statement('list-access-keys');
const CREATE_ACCESS_KEY = statement('create-access-key');
const SET_ACCESS_KEY_STATUS = statement('set-access-key-status');
const RESEAL_ACCESS_KEY = statement('reseal-access-key');
const DELETE_ACCESS_KEY = statement('delete-access-key');
const FIND_ACCOUNT = statement('find-account');
const LIST_ACCOUNTS = statement('list-accounts');
const CREATE_ACCOUNT = statement('create-account');
const DELETE_ACCOUNT = statement('delete-account');
const SET_ACCOUNT_QUOTA = statement('set-account-quota');

const NO_QUOTA = JSON.stringify({ bytes: null, objects: null });
const KEYS_MAX = 10_000;

export const done = <T>(value: T) => ({ outcome: 'done', value }) as const;
export const refused = <R extends string>(reason: R) => ({ outcome: 'refused', reason }) as const;
export const UNKNOWN = { outcome: 'unknown' } as const;

export type Accounts = Pick<
  Catalog,
  | 'findAccessKey'
  | 'findAccount'
  | 'listAccounts'
  | 'createAccount'
  | 'deleteAccount'
  | 'listAccessKeys'
  | 'createAccessKey'
  | 'setAccessKeyStatus'
  | 'resealAccessKey'
  | 'deleteAccessKey'
> &
  EntityCatalog;

type DeleteRefusal = 'no-such-account' | 'has-keys' | 'has-entities' | 'has-buckets' | 'root';
type CreateKeyRefusal = 'exists' | 'no-such-account' | 'no-such-user' | 'too-many';

export function openAccounts(directories: Directories, o: CatalogOptions): Accounts {
  const keys = new LRUCache<string, AccessKey>({
    max: KEYS_MAX,
    ttl: o.settingsAgeMs,
    ttlResolution: 0,
    perf: { now: () => o.clock.monotonic() },
  });
  /** Raised by every local change: what was read before it is not put into the cache after it. */
  let generation = 0;
  const forget = (accessKeyId: string) => {
    generation++;
    keys.delete(accessKeyId);
  };

  /** A change of one key: done when a row was there. */
  const changeKey = async (
    s: ReturnType<typeof statement>,
    values: readonly [string, ...unknown[]],
  ): Promise<Outcome<null, 'no-such-key'>> => {
    try {
      const answer = await directories.root.write(s, values);
      if (answer === 'unknown') return UNKNOWN;
      return answer.rowCount > 0 ? done(null) : refused('no-such-key');
    } finally {
      forget(values[0]);
    }
  };

  const forgetAll = () => {
    generation++;
    keys.clear();
  };

  return {
    ...openEntities(directories, o, forgetAll),

    async findAccessKey(accessKeyId) {
      const cached = keys.get(accessKeyId);
      if (cached) return cached;
      if (!isStorable(accessKeyId)) return null;
      const readAt = generation;
      const [row] = await directories.root.read(FIND_ACCESS_KEY, [accessKeyId]);
      if (!row) return null;
      const key = accessKeyOf(row);
      if (generation === readAt) keys.set(accessKeyId, key);
      return key;
    },

    async findAccount(id) {
      const [row] = await directories.root.read(FIND_ACCOUNT, [id]);
      return row ? accountOf(row) : null;
    },

    async listAccounts() {
      return (await directories.root.read(LIST_ACCOUNTS, [])).map(accountOf);
    },

    async createAccount(account: Account) {
      const { id, displayName, email, tenant, isRoot } = account;
      const values = [id, displayName, email ?? null, tenant ?? null, isRoot];
      const answer = await directories.root.write(CREATE_ACCOUNT, values);
      if (answer === 'unknown') return UNKNOWN;
      return answer.rowCount > 0 ? done(account) : refused('exists');
    },

    async deleteAccount(id) {
      const answer = await directories.root.write(DELETE_ACCOUNT, [id]);
      if (answer === 'unknown') return UNKNOWN;
      const said = answer.rows[0]?.answer as 'done' | DeleteRefusal;
      if (said !== 'done') return refused(said);
      // The root pair's share of the account's quota went with it.
      for (const directory of directories.all())
        if (directory !== directories.root) await directory.write(SET_ACCOUNT_QUOTA, [id, NO_QUOTA]);
      return done(null);
    },

    async listAccessKeys(account: AccountId) {
      return (await directories.root.read(LIST_ACCESS_KEYS, [account])).map(accessKeyOf);
    },

    async createAccessKey({ accessKeyId, account, sealedSecret, user }) {
      const { root } = directories;
      const values = [accessKeyId, account, sealedSecret, user?.id ?? null, user?.max ?? null];
      const answer = await root.write(CREATE_ACCESS_KEY, values);
      forget(accessKeyId);
      if (answer === 'unknown') return UNKNOWN;
      const said = answer.rows[0]?.answer as 'done' | CreateKeyRefusal;
      if (said !== 'done') return refused(said);
      // It has been made: what cannot be read now, or is gone again, is not "not done".
      const [row] = await root.read(FIND_ACCESS_KEY, [accessKeyId]).catch(() => []);
      return row ? done(accessKeyOf(row)) : UNKNOWN;
    },

    setAccessKeyStatus: (accessKeyId, status) => changeKey(SET_ACCESS_KEY_STATUS, [accessKeyId, status]),
    resealAccessKey: (accessKeyId, from, to) => changeKey(RESEAL_ACCESS_KEY, [accessKeyId, from, to]),
    deleteAccessKey: (accessKeyId) => changeKey(DELETE_ACCESS_KEY, [accessKeyId]),
  };
}
