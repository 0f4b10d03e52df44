/** Users and access keys: what the admin API does with them. A secret leaves this file once, when its key is made. */
import type { AccountId } from '../base/ids.ts';
import type { AccessKey, Account, Catalog } from '../ddm/catalog.ts';
import { generateAccessKey } from '../identity/secret-box.ts';
import { AdminError } from './admin-error.ts';
import type { KeyReport, NewKey, NewKeyReport, NewUser, UserReport } from './api.ts';

export interface Accounts {
  listUsers(): Promise<UserReport[]>;
  createUser(user: NewUser): Promise<UserReport>;
  deleteUser(id: string): Promise<void>;
  listKeys(user?: string): Promise<KeyReport[]>;
  createKey(key: NewKey): Promise<NewKeyReport>;
  setKeyStatus(accessKeyId: string, status: 'active' | 'inactive', askedBy: string): Promise<KeyReport>;
  deleteKey(accessKeyId: string, askedBy: string): Promise<void>;
}

export interface AccountsOptions {
  readonly catalog: Catalog;
  readonly sealSecret: (secret: string, accessKeyId: string) => Buffer;
}

export function createAccounts({ catalog, sealSecret }: AccountsOptions): Accounts {
  const findKey = async (accessKeyId: string) => {
    const key = await catalog.findAccessKey(accessKeyId);
    if (!key) throw new AdminError('NoSuchKey', `there is no access key ${accessKeyId}`);
    return key;
  };
  const refuseOwn = (accessKeyId: string, askedBy: string) => {
    if (accessKeyId === askedBy)
      throw new AdminError('RootIsKept', 'a request cannot take away the key that signs it');
  };

  return {
    async listUsers() {
      return (await catalog.listAccounts()).map(userReport);
    },

    async createUser({ id, displayName, email, tenant }) {
      const result = await catalog.createAccount({
        id: id as AccountId,
        displayName: displayName ?? id,
        ...(email === undefined ? {} : { email }),
        ...(tenant === undefined ? {} : { tenant }),
        isRoot: false,
      });
      switch (result.outcome) {
        case 'done':
          return userReport(result.value);
        case 'refused':
          throw new AdminError('UserExists', `there is a user ${id} already`);
        case 'unknown':
          throw unknownOutcome();
      }
    },

    async deleteUser(id) {
      const result = await catalog.deleteAccount(id as AccountId);
      if (result.outcome === 'done') return;
      if (result.outcome === 'unknown') throw unknownOutcome();
      switch (result.reason) {
        case 'no-such-account':
          throw new AdminError('NoSuchUser', `there is no user ${id}`);
        case 'has-keys':
          throw new AdminError('UserHasKeys', `user ${id} has access keys; delete them first`);
        case 'has-entities':
          throw new AdminError('UserHasEntities', `user ${id} has IAM users or roles; delete them first`);
        case 'has-buckets':
          throw new AdminError('UserHasBuckets', `user ${id} owns buckets; delete them first`);
        case 'root':
          throw new AdminError('RootIsKept', 'the root user cannot be deleted');
      }
    },

    async listKeys(user) {
      const owners =
        user === undefined ? (await catalog.listAccounts()).map((a) => a.id) : [user as AccountId];
      const keys: KeyReport[] = [];
      for (const owner of owners) keys.push(...(await catalog.listAccessKeys(owner)).map(keyReport));
      if (user !== undefined && keys.length === 0 && !(await catalog.findAccount(user as AccountId))) {
        throw new AdminError('NoSuchUser', `there is no user ${user}`);
      }
      return keys;
    },

    async createKey({ user, ...given }) {
      const { accessKeyId, secretAccessKey } = { ...generateAccessKey(), ...given };
      const result = await catalog.createAccessKey({
        accessKeyId,
        account: user as AccountId,
        sealedSecret: sealSecret(secretAccessKey, accessKeyId),
      });
      if (result.outcome === 'done') return { ...keyReport(result.value), secretAccessKey };
      if (result.outcome === 'unknown') throw unknownOutcome();
      switch (result.reason) {
        case 'exists':
          throw new AdminError('KeyExists', `there is an access key ${accessKeyId} already`);
        case 'no-such-account':
          throw new AdminError('NoSuchUser', `there is no user ${user}`);
        case 'no-such-user':
        case 'too-many':
          throw new Error(`a key of an account was refused: ${result.reason}`);
      }
    },

    async setKeyStatus(accessKeyId, status, askedBy) {
      if (status === 'inactive') refuseOwn(accessKeyId, askedBy);
      const result = await catalog.setAccessKeyStatus(accessKeyId, status);
      if (result.outcome === 'unknown') throw unknownOutcome();
      if (result.outcome === 'refused')
        throw new AdminError('NoSuchKey', `there is no access key ${accessKeyId}`);
      // The row may be as old as the catalog's cache; the status is the one just set.
      return { ...keyReport(await findKey(accessKeyId)), status };
    },

    async deleteKey(accessKeyId, askedBy) {
      refuseOwn(accessKeyId, askedBy);
      const result = await catalog.deleteAccessKey(accessKeyId);
      if (result.outcome === 'unknown') throw unknownOutcome();
      if (result.outcome === 'refused')
        throw new AdminError('NoSuchKey', `there is no access key ${accessKeyId}`);
    },
  };
}

export const unknownOutcome = () =>
  new AdminError(
    'OutcomeUnknown',
    'the directory did not say whether the change was made; look before repeating it',
  );

function userReport({ id, displayName, email, tenant, isRoot }: Account): UserReport {
  const optional = { ...(email === undefined ? {} : { email }), ...(tenant === undefined ? {} : { tenant }) };
  return { id, displayName, ...optional, isRoot };
}

function keyReport({ accessKeyId, account, user, status, createdAt }: AccessKey): KeyReport {
  const iamUser = user && { iamUser: user.name };
  return { accessKeyId, user: account.id, ...iamUser, status, createdAt: createdAt.toISOString() };
}
