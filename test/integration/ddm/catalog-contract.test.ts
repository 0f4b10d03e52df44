/** The catalog's contract on Postgres. */
import { after } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { catalogContract } from '../../contract/catalog-contract.ts';
import { clusterContract } from '../../contract/cluster-contract.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

after(stopSharedServer);

const make = async () => {
  const { app } = await testDatabase();
  const catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  return { catalog, close: () => catalog.close() };
};
catalogContract('Postgres', make);
clusterContract('Postgres', make);
