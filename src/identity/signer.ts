/** Whose an access key is, permanent or of a session, and how its secret is opened. */
import type { AccessKey } from '../ddm/catalog.ts';
import { invalidToken } from './errors.ts';
import { identityOfUser } from './identities.ts';
import type { Sessions } from './sessions.ts';
import type { Principal } from './types.ts';

export type AccountPrincipal = Extract<Principal, { readonly kind: 'account' }>;

export interface Signer {
  readonly principal: AccountPrincipal;
  /** Changes whenever the secret does. */
  readonly sealed: Buffer;
  open(): string | Buffer;
}

export interface SignerDeps {
  findAccessKey(accessKeyId: string): Promise<AccessKey | null>;
  /** Opens {@link AccessKey.sealedSecret}. Called once per key and day, as long as the row stays the same. */
  openSecret(key: AccessKey): string | Buffer;
  /** Without it session tokens are refused. */
  readonly sessions?: Pick<Sessions, 'find'>;
}

const ACCESS_KEY_ID = /^[!-~]{1,128}$/;

/**
 * null: nobody has that key, or it is not in use.
 * @param token x-amz-security-token; undefined where there is none
 * @throws {AuthError} InvalidToken, ExpiredToken @throws what `findAccessKey` throws
 */
export async function findSigner(
  deps: SignerDeps,
  accessKeyId: string,
  token: string | undefined,
): Promise<Signer | null> {
  if (!ACCESS_KEY_ID.test(accessKeyId)) return null;
  if (token !== undefined) {
    if (!deps.sessions) throw invalidToken();
    return deps.sessions.find(accessKeyId, token);
  }
  const key = await deps.findAccessKey(accessKeyId);
  if (key?.status !== 'active') return null;
  return { principal: ownerOfKey(key), sealed: key.sealedSecret, open: () => deps.openSecret(key) };
}

export function ownerOfKey(key: AccessKey): AccountPrincipal {
  const { account, accessKeyId, user } = key;
  return { kind: 'account', account, accessKeyId, ...(user && { identity: identityOfUser(user) }) };
}
