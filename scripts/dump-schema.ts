/** Writes migrations/schema.sql from a fresh database that has all migrations. Run it with every new migration. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stopSharedServer, testDatabase } from '../test/harness/postgres.ts';
import { dumpSchema } from '../test/harness/schema-dump.ts';

const { owner } = await testDatabase();
await writeFile(join(import.meta.dirname, '../migrations/schema.sql'), await dumpSchema(owner));
await stopSharedServer();
