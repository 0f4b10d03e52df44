/**
 * The keys that the admin API knows. While the catalog does not answer it goes by what it saw last, and by the root
 * credentials of the deployment's own files: the word that ends an outage of the directories must get through in it.
 */
import { type AccessKey, type Catalog, CatalogUnavailable } from '../ddm/catalog.ts';
import { type MasterKey, sealSecret } from '../identity/secret-box.ts';
import { ROOT_ACCOUNT } from './root-account.ts';
import type { RootCredentials } from './secrets.ts';

const KNOWN_MAX = 100;

export interface AdminKeysOptions {
  readonly catalog: Pick<Catalog, 'findAccessKey'>;
  /** Nobody is known to answer for the root pair: asking would be waiting. */
  readonly isAway: () => boolean;
  readonly credentials: RootCredentials;
  readonly master: MasterKey;
}

export function adminKeys(o: AdminKeysOptions): (accessKeyId: string) => Promise<AccessKey | null> {
  const { accessKeyId: rootId, secretKey } = o.credentials;
  const fromFiles: AccessKey = {
    ...{ accessKeyId: rootId, status: 'active', createdAt: new Date(0) },
    account: { id: ROOT_ACCOUNT, displayName: 'root', isRoot: true },
    sealedSecret: sealSecret(o.master, secretKey, rootId),
  };
  /** As the catalog said last; of others than root's nothing is needed, since only root may use the admin API. */
  const known = new Map<string, AccessKey | null>();
  const lastOf = (id: string): AccessKey | null | undefined =>
    known.has(id) ? known.get(id) : id === rootId ? fromFiles : undefined;
  return async (accessKeyId) => {
    const last = lastOf(accessKeyId);
    if (last !== undefined && o.isAway()) return last;
    try {
      const found = await o.catalog.findAccessKey(accessKeyId);
      if (accessKeyId === rootId || found?.account.isRoot) {
        if (known.size >= KNOWN_MAX) known.clear();
        known.set(accessKeyId, found);
      }
      return found;
    } catch (error) {
      if (error instanceof CatalogUnavailable && last !== undefined) return last;
      throw error;
    }
  };
}
