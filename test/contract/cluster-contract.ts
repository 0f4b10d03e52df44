/** What every implementation of the catalog does about the cluster itself. Runs on the model and on Postgres. */
import { describe } from 'node:test';
import { blobsContract } from './blobs-contract.ts';
import { freshCatalog } from './cluster-kit.ts';
import { conditionsContract } from './conditions-contract.ts';
import type { MakeCatalog } from './contract-kit.ts';
import { epochsContract } from './epochs-contract.ts';
import { repairsContract } from './repairs-contract.ts';
import { resyncContract } from './resync-contract.ts';

export function clusterContract(name: string, make: MakeCatalog): void {
  describe(`the cluster's contract: ${name}`, () => {
    const fresh = freshCatalog(make);
    conditionsContract(fresh);
    resyncContract(fresh);
    epochsContract(fresh);
    repairsContract(fresh);
    blobsContract(fresh);
  });
}
