/** ListObjectVersions, page by page, on Postgres. */
import { after, before } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { Catalog } from '../../../src/ddm/catalog.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { versionPaging } from '../../contract/version-paging.ts';
import { locatorOf, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';
import { ModelDosm } from '../../model/model-dosm.ts';
import { ACCOUNTS, type S3Front, startS3Front } from '../../model/s3-front.ts';

let catalog: Catalog;
let front: S3Front;
before(async () => {
  const { app } = await testDatabase();
  catalog = await openCatalog({ root: ROOT, locator: locatorOf(app), log: quiet, clock: systemClock });
  for (const account of ACCOUNTS) await catalog.createAccount(account);
  const services = { catalog, dosm: new ModelDosm(), clock: systemClock, region: 'us-east-1' };
  front = await startS3Front({ services });
});
after(async () => {
  await front?.close();
  await catalog?.close();
  await stopSharedServer();
});

versionPaging(() => front, { runs: 10 });
