/** The catalog's contract on two and on three directory pairs: each a database of its own. */
import { after } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { catalogContract } from '../../contract/catalog-contract.ts';
import { clusterContract } from '../../contract/cluster-contract.ts';
import { locatorOfAll, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

after(stopSharedServer);

const makeWith = (pairs: number) => async () => {
  const primaries = [];
  for (let i = 0; i < pairs; i++) primaries.push((await testDatabase()).app);
  const locator = locatorOfAll(primaries);
  const catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock });
  return { catalog, close: () => catalog.close() };
};
catalogContract('two pairs', makeWith(2));
clusterContract('two pairs', makeWith(2));
catalogContract('three pairs', makeWith(3));
