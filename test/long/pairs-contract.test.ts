/** The contracts of the catalog and of the cluster on several directory pairs. */
import { after } from 'node:test';
import { catalogContract } from '../contract/catalog-contract.ts';
import { clusterContract } from '../contract/cluster-contract.ts';
import { makeCatalogWith } from '../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../harness/postgres.ts';

after(stopSharedServer);

catalogContract('three pairs', makeCatalogWith(3, testDatabase));
clusterContract('two pairs', makeCatalogWith(2, testDatabase));
clusterContract('three pairs', makeCatalogWith(3, testDatabase));
