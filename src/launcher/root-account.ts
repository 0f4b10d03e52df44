/**
 * The root account and its access key, as the data folder's credentials say: made on the first start, followed when
 * ANTIPODE_ACCESS_KEY or ANTIPODE_SECRET_KEY say something else later. Safe when several gateways do it at once.
 */
import type { AccountId } from '../base/ids.ts';
import type { Catalog } from '../ddm/catalog.ts';
import type { Keyring } from '../identity/envelope.ts';
import { openSecret, sealSecret } from '../identity/secret-box.ts';
import type { RootCredentials } from './secrets.ts';

export const ROOT_ACCOUNT = 'root' as AccountId;
const TRIES = 20;
const PAUSE_MS = 250;

export async function ensureRoot(
  catalog: Catalog,
  credentials: RootCredentials,
  keyring: Pick<Keyring, 'master' | 'masters'>,
  sleep: (ms: number) => Promise<unknown>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryEnsureRoot(catalog, credentials, keyring);
    } catch (error) {
      // The catalog may have lost its primary a moment ago.
      if (attempt === TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

async function tryEnsureRoot(
  catalog: Catalog,
  credentials: RootCredentials,
  { master, masters }: Pick<Keyring, 'master' | 'masters'>,
): Promise<void> {
  const { accessKeyId, secretKey, revoked = [] } = credentials;
  if (!(await catalog.findAccount(ROOT_ACCOUNT))) {
    const account = { id: ROOT_ACCOUNT, displayName: 'root', isRoot: true };
    settled(await catalog.createAccount(account));
  }
  for (const id of revoked) {
    const key = await catalog.findAccessKey(id);
    if (key?.account.id === ROOT_ACCOUNT) settled(await catalog.deleteAccessKey(id));
  }
  const known = await catalog.findAccessKey(accessKeyId);
  if (known) {
    if (known.account.id !== ROOT_ACCOUNT)
      throw new Error(
        `the access key ${accessKeyId} belongs to ${known.account.id}, not to the root account`,
      );
    if (openSecret(masters, known.sealedSecret, accessKeyId).toString() === secretKey) return;
    settled(await catalog.deleteAccessKey(accessKeyId));
  }
  const sealedSecret = sealSecret(master, secretKey, accessKeyId);
  settled(await catalog.createAccessKey({ accessKeyId, account: ROOT_ACCOUNT, sealedSecret }));
}

/** `refused` means that another gateway was there first. */
function settled(outcome: { readonly outcome: 'done' | 'refused' | 'unknown' }): void {
  if (outcome.outcome === 'unknown')
    throw new Error('the catalog did not say whether it took the root account');
}
