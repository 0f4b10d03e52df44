/** `antipode policy`: inline policies of the users and roles of an account. Users and roles themselves: IAM (docs/iam.md). */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { EntityReport } from '../admin/policies-api.ts';
import type { AdminClient } from './admin-client.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, print, run, show } from './command-kit.ts';
import { table } from './table.ts';

interface AccountFlags extends CommonFlags {
  readonly account: string;
}
interface EntityFlags extends AccountFlags {
  readonly user?: string;
  readonly role?: string;
}

const ofAccount = (command: Command): Command =>
  common(command).option('--account <id>', 'whose users and roles', 'root');
const ofEntity = (command: Command): Command =>
  ofAccount(command).option('--user <name>', 'of this user').option('--role <name>', 'of this role');

export function registerPolicies(program: Command): void {
  const policy = program.command('policy').description('policies of the users and roles of accounts');
  ofAccount(policy.command('list'))
    .description('list users and roles with the names of their policies')
    .action((flags: AccountFlags) =>
      run(flags, async (client) => {
        const entities = await entitiesOf(client, flags.account);
        const rows = entities.map((e) => [e.kind, e.name, e.arn, Object.keys(e.policies).sort().join(' ')]);
        show(flags, entities, table(['KIND', 'NAME', 'ARN', 'POLICIES'], rows));
      }),
    );
  ofEntity(policy.command('show <policy>'))
    .description('print a policy')
    .action((name: string, flags: EntityFlags) =>
      run(flags, async (client) => {
        const owner = ownerOf(flags);
        const entities = await entitiesOf(client, flags.account);
        const found = entities.find((each) => each.kind === owner.kind && each.name === owner.name);
        const text = found?.policies[name];
        if (text === undefined) throw new CommandError(`${owner.kind} ${owner.name} has no policy ${name}`);
        print(text);
      }),
    );
  ofEntity(policy.command('put <policy> <file>'))
    .description('put a policy, in place of the one that has this name; - reads standard input')
    .action((name: string, file: string, flags: EntityFlags) =>
      run(flags, async (client) => {
        const owner = ownerOf(flags);
        await client.send('POST', '/policies', { ...owner, policy: name, document: read(file) });
        show(flags, { ...owner, policy: name }, `${owner.kind} ${owner.name} has policy ${name}`);
      }),
    );
  ofEntity(policy.command('delete <policy>'))
    .description('delete a policy')
    .action((name: string, flags: EntityFlags) =>
      run(flags, async (client) => {
        const owner = ownerOf(flags);
        await client.send('DELETE', `/policies?${new URLSearchParams({ ...owner, policy: name })}`);
        show(flags, { deleted: name }, `deleted policy ${name} of ${owner.kind} ${owner.name}`);
      }),
    );
}

const entitiesOf = async (client: AdminClient, account: string): Promise<readonly EntityReport[]> =>
  (await client.send<{ entities: EntityReport[] }>('GET', `/policies?${new URLSearchParams({ account })}`))
    .entities;

function ownerOf({ account, user, role }: EntityFlags): { account: string; kind: string; name: string } {
  if ((user === undefined) === (role === undefined))
    throw new CommandError('give --user or --role, one of them', 2);
  return user === undefined ? { account, kind: 'role', name: role! } : { account, kind: 'user', name: user };
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new CommandError(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, 2);
  }
}
