/**
 * The keys that the admin API knows. While the catalog does not answer it goes by what it saw last, and by the root
 * credentials of the deployment's own files: the word that ends an outage of the directories must get through in it.
 */
import { type AccessKey, type Catalog, CatalogUnavailable } from '../ddm/catalog.ts';
import { type MasterKey, sealSecret } from '../identity/secret-box.ts';
import { ROOT_ACCOUNT } from './root-account.ts';
import type { RootCredentials } from './secrets.ts';

const KNOWN_MAX = 100;

export function adminKeys(
  catalog: Pick<Catalog, 'findAccessKey'>,
  { accessKeyId: rootId, secretKey }: RootCredentials,
  master: MasterKey,
): (accessKeyId: string) => Promise<AccessKey | null> {
  const known = new Map<string, AccessKey | null>();
  const fromFiles: AccessKey = {
    ...{ accessKeyId: rootId, status: 'active', createdAt: new Date(0) },
    account: { id: ROOT_ACCOUNT, displayName: 'root', isRoot: true },
    sealedSecret: sealSecret(master, secretKey, rootId),
  };
  return async (accessKeyId) => {
    try {
      const found = await catalog.findAccessKey(accessKeyId);
      // Of the others nothing is needed here: only root may use the admin API.
      if (accessKeyId === rootId || found?.account.isRoot) {
        if (known.size >= KNOWN_MAX) known.clear();
        known.set(accessKeyId, found);
      }
      return found;
    } catch (error) {
      if (!(error instanceof CatalogUnavailable)) throw error;
      const last = known.get(accessKeyId);
      if (last !== undefined) return last;
      if (accessKeyId === rootId) return fromFiles;
      throw error;
    }
  };
}
