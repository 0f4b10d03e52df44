/**
 * The commands that talk to a running store's admin address. Exit codes: 0 done, 1 not done (or, for `status`,
 * redundancy is lost), 2 usage or configuration. `--json` prints one JSON document and nothing else.
 */
import type { Command } from 'commander';
import type { KeyReport, LocateReport, NewKeyReport, StatusReport, UserReport } from '../admin/api.ts';
import type { AdminClient } from './admin-client.ts';
import { registerBuckets } from './bucket-commands.ts';
import { registerChanges } from './changes-commands.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run, show } from './command-kit.ts';
import { registerFailover } from './failover-commands.ts';
import { locateText } from './locate-view.ts';
import { registerNotifications } from './notification-commands.ts';
import { registerPairs } from './pair-commands.ts';
import { registerPolicies } from './policy-commands.ts';
import { registerRebuild } from './rebuild-command.ts';
import { registerReplication } from './replication-commands.ts';
import { registerReseal } from './reseal-command.ts';
import { parseS3Url } from './s3-url.ts';
import { registerSql } from './sql-command.ts';
import { createSqlLogin, deleteSqlLogin, listSqlLogins } from './sql-logins.ts';
import { statusText } from './status-view.ts';
import { table } from './table.ts';
import { registerQuota, registerUsage } from './usage-commands.ts';
import { registerVerify } from './verify-command.ts';

interface UserFlags extends CommonFlags {
  readonly id?: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly tenant?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly sql?: boolean;
  readonly write?: boolean;
  readonly renew?: boolean;
}

interface KeyFlags extends CommonFlags {
  readonly user?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
}

export function registerAdminCommands(program: Command): void {
  registerStatus(program);
  registerFailover(program);
  registerReplication(program);
  const user = program.command('user').description('accounts: who owns buckets and holds access keys');
  registerUsers(user);
  registerQuota(user, 'user');
  registerKeys(program.command('key').description('access keys of accounts'));
  registerPolicies(program);
  const bucket = program.command('bucket').description('buckets of all accounts');
  registerBuckets(bucket);
  registerQuota(bucket, 'bucket');
  registerUsage(program);
  registerVerify(program);
  registerRebuild(program);
  registerReseal(program);
  registerPairs(program);
  registerSql(program);
  registerChanges(program);
  registerNotifications(program);
  common(program.command('locate <s3url>'))
    .description('where the bytes of an object are: s3://BUCKET/KEY')
    .option('--search', 'search for each blob, also where no replica of the map is missing')
    .action((s3url: string, flags: CommonFlags & { search?: boolean }) =>
      run(flags, async (client) => {
        const query = new URLSearchParams({ ...parseS3Url(s3url), ...(flags.search ? { search: '1' } : {}) });
        const found = await client.send<LocateReport>('GET', `/locate?${query}`);
        show(flags, found, locateText(found));
      }),
    );
}

function registerStatus(program: Command): void {
  common(program.command('status'))
    .description('centers, members and pairs; exit code 1 while any redundancy is lost')
    .action((flags: CommonFlags) =>
      run(flags, async (client) => {
        const status = await client.send<StatusReport>('GET', '/status');
        print(flags.json ? JSON.stringify(status) : statusText(status));
        if (!status.redundant) process.exitCode = 1;
      }),
    );
}

function registerUsers(user: Command): void {
  common(user.command('create [id]'))
    .description('create an account, and with --access-key its first access key')
    .option('--id <id>', 'the id, where it does not stand as an argument')
    .option('--display-name <name>', 'shown as owner in listings (default: the id)')
    .option('--email <address>')
    .option('--tenant <name>')
    .option('--access-key <id>', 'with --secret-key: also create this access key')
    .option('--secret-key <secret>')
    .option('--sql', 'a login for SQL instead, as for psql; its password is shown this once')
    .option('--write', 'with --sql: it may also change what the views allow')
    .option('--renew', 'with --sql: a login that is there gets another password')
    .action((argument: string | undefined, flags: UserFlags) =>
      run(flags, (client) => createUser(client, argument, flags)),
    );
  common(user.command('list'))
    .description('list accounts, or with --sql the logins for SQL')
    .option('--sql', 'logins for SQL')
    .action((flags: UserFlags) =>
      run(flags, async (client) => {
        if (flags.sql) return await listSqlLogins(client, flags);
        const { users } = await client.send<{ users: UserReport[] }>('GET', '/users');
        const rows = users.map((u) => [u.id, u.displayName, u.email, u.tenant, u.isRoot ? 'root' : '']);
        show(flags, users, table(['ID', 'NAME', 'EMAIL', 'TENANT', ''], rows));
      }),
    );
  common(user.command('delete <id>'))
    .description('delete an account that has no access keys and no buckets, or with --sql a login for SQL')
    .option('--sql', 'a login for SQL')
    .action((id: string, flags: UserFlags) =>
      run(flags, async (client) => {
        if (flags.sql) return await deleteSqlLogin(client, id, flags);
        await client.send('DELETE', `/users/${encodeURIComponent(id)}`);
        show(flags, { deleted: id }, `deleted user ${id}`);
      }),
    );
}

async function createUser(
  client: AdminClient,
  argument: string | undefined,
  flags: UserFlags,
): Promise<void> {
  const id = flags.id ?? argument;
  if (id === undefined) throw new CommandError('give the id: antipode user create ID', 2);
  if (argument !== undefined && flags.id !== undefined && argument !== flags.id) {
    throw new CommandError('the id stands twice, and differently', 2);
  }
  const { displayName, email, tenant } = flags;
  if (flags.sql) {
    if ([displayName, email, tenant, flags.accessKey, flags.secretKey].some((given) => given !== undefined))
      throw new CommandError('a login for SQL has a name alone; accounts are made without --sql', 2);
    return await createSqlLogin(client, id, flags);
  }
  if (flags.write || flags.renew) throw new CommandError('--write and --renew belong to --sql', 2);
  if ((flags.accessKey === undefined) !== (flags.secretKey === undefined)) {
    throw new CommandError('--access-key and --secret-key belong together: give both or none', 2);
  }
  const user = await client.send<UserReport>('POST', '/users', { id, displayName, email, tenant });
  if (flags.accessKey === undefined) return show(flags, user, `created user ${user.id}`);
  const key = await client.send<NewKeyReport>('POST', '/keys', {
    user: id,
    accessKeyId: flags.accessKey,
    secretAccessKey: flags.secretKey,
  });
  show(flags, { ...user, key }, `created user ${user.id} with access key ${key.accessKeyId}`);
}

function registerKeys(key: Command): void {
  common(key.command('create'))
    .description('create an access key; its secret is shown this once')
    .requiredOption('--user <id>', 'whose key it is')
    .option('--access-key <id>', 'a given access key (with --secret-key); generated otherwise')
    .option('--secret-key <secret>')
    .action((flags: KeyFlags) =>
      run(flags, async (client) => {
        const { user, accessKey: accessKeyId, secretKey: secretAccessKey } = flags;
        const made = await client.send<NewKeyReport>('POST', '/keys', { user, accessKeyId, secretAccessKey });
        show(flags, made, `access key ${made.accessKeyId}\nsecret key ${made.secretAccessKey}`);
      }),
    );
  common(key.command('list'))
    .description('list access keys (never their secrets)')
    .option('--user <id>', 'only this account')
    .action((flags: KeyFlags) =>
      run(flags, async (client) => {
        const query = flags.user === undefined ? '' : `?${new URLSearchParams({ user: flags.user })}`;
        const { keys } = await client.send<{ keys: KeyReport[] }>('GET', `/keys${query}`);
        const rows = keys.map((k) => [k.accessKeyId, k.user, k.iamUser ?? '', k.status, k.createdAt]);
        show(flags, keys, table(['ACCESS KEY', 'USER', 'IAM USER', 'STATUS', 'CREATED'], rows));
      }),
    );
  for (const [name, status, done] of [
    ['enable', 'active', 'enabled'],
    ['disable', 'inactive', 'disabled'],
  ] as const) {
    common(key.command(`${name} <accessKey>`))
      .description(`${name} an access key`)
      .action((accessKey: string, flags: CommonFlags) =>
        run(flags, async (client) => {
          const path = `/keys/${encodeURIComponent(accessKey)}`;
          show(flags, await client.send('PATCH', path, { status }), `${done} ${accessKey}`);
        }),
      );
  }
  common(key.command('delete <accessKey>'))
    .description('delete an access key')
    .action((accessKey: string, flags: CommonFlags) =>
      run(flags, async (client) => {
        await client.send('DELETE', `/keys/${encodeURIComponent(accessKey)}`);
        show(flags, { deleted: accessKey }, `deleted access key ${accessKey}`);
      }),
    );
}
