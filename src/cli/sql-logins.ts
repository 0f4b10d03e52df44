/** `antipode user create|list|delete --sql`: logins for psql and other programs, beside the accounts of S3. */
import type { NewSqlLoginReport, SqlLoginReport } from '../admin/sql-api.ts';
import type { AdminClient } from './admin-client.ts';
import { type CommonFlags, show } from './command-kit.ts';
import { table } from './table.ts';

export async function createSqlLogin(
  client: AdminClient,
  name: string,
  flags: CommonFlags & { readonly write?: boolean; readonly renew?: boolean },
): Promise<void> {
  const { write = false, renew = false } = flags;
  const made = await client.send<NewSqlLoginReport>('POST', '/sql-logins', { name, write, renew });
  const may = made.write ? 'reads and changes' : 'reads';
  show(
    flags,
    made,
    `SQL login ${made.name}, ${may} the catalog of ${made.directories.join(', ')}\npassword ${made.password}`,
  );
}

export async function listSqlLogins(client: AdminClient, flags: CommonFlags): Promise<void> {
  const { logins } = await client.send<{ logins: SqlLoginReport[] }>('GET', '/sql-logins');
  const rows = logins.map((l) => [l.name, l.write ? 'read, write' : 'read', l.directories.join(', ')]);
  show(flags, logins, logins.length === 0 ? 'no SQL logins' : table(['LOGIN', 'MAY', 'DIRECTORIES'], rows));
}

export async function deleteSqlLogin(client: AdminClient, name: string, flags: CommonFlags): Promise<void> {
  await client.send('DELETE', `/sql-logins/${encodeURIComponent(name)}`);
  show(flags, { deleted: name }, `deleted SQL login ${name}`);
}
