/** The catalog's contract on two directory pairs: each a database of its own. test/long has it on three. */
import { after } from 'node:test';
import { catalogContract } from '../../contract/catalog-contract.ts';
import { makeCatalogWith } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

after(stopSharedServer);

catalogContract('two pairs', makeCatalogWith(2, testDatabase));
