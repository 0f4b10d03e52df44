/**
 * The `antipode` command: what it is called with, and which code runs. Each command imports its own code, so that none
 * waits for another's. Exit codes: 0 done, 1 failed (or redundancy lost), 2 wrong use or configuration, 3 a member did not answer.
 */
import { Command, CommanderError } from 'commander';
import { registerAdminCommands } from './cli/admin-commands.ts';
import type { CommandError } from './cli/command-error.ts';
import type { StartFlags } from './config.ts';

const collect = (value: string, before: string[]): string[] => [...before, value];

export function createProgram(): Command {
  const program = new Command('antipode')
    .description('An S3-compatible object store that keeps every object on a node and on its twin')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`antipode: ${oneLine(text)}\n`) });
  addStart(program);
  addMembers(program);
  addSecrets(program);
  registerAdminCommands(program);
  return program;
}

export async function main(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync([...args], { from: 'user' });
  } catch (error) {
    fail(error);
  }
}

function addStart(program: Command): void {
  program
    .command('start')
    .description('run a whole store on this machine: two centers, a catalog and its twin, a gateway')
    .option('--data <dir>', 'where everything is kept (./data)')
    .option('--listen <host:port>', 'where S3 answers (127.0.0.1:9000)')
    .option('--admin <host:port>', 'where the admin API answers (127.0.0.1:9001)')
    .option('--centers <n>', '1 or 2 storage centers (2)')
    .option('--nodes-per-center <n>', 'storage nodes in each center (2)')
    .option('--directories-per-center <n>', 'directories in each center (1)')
    .option('--subnets <a,b>', 'the two subnets (127.1.0.0/24,127.2.0.0/24)')
    .option('--tls-cert <file>', 'certificate chain, PEM: S3 over TLS')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--domain <name>', 'answer BUCKET.<name> as well; may be repeated', collect, [])
    .option('--region <name>', 'the region that clients sign for (us-east-1)')
    .option('--config <file>', 'internal settings, YAML')
    .action(async (flags: StartFlags) => {
      const [{ readStartConfig }, { start }] = await Promise.all([
        import('./config.ts'),
        import('./launcher/start.ts'),
      ]);
      process.exit(await start(readStartConfig(flags)));
    });
}

function addMembers(program: Command): void {
  type Run = (file: string, id: string | undefined) => Promise<void>;
  const member = (kind: 'gateway' | 'node' | 'directory', run: Run) =>
    program
      .command(kind)
      .description(`run one ${kind} of a deployment`)
      .requiredOption('--config <file>', 'its configuration')
      .option('--member <id>', "which one it is; default: the file's")
      .action(({ config, member: id }: { config: string; member?: string }) => run(config, id));
  member('gateway', async (file, id) => {
    const [config, { runGateway }] = await Promise.all([
      import('./config.ts'),
      import('./launcher/members/gateway.ts'),
    ]);
    await runGateway(config.readMemberConfig(file, 'gateway', id));
  });
  member('node', async (file, id) => {
    const [config, { runNode }] = await Promise.all([
      import('./config.ts'),
      import('./launcher/members/node.ts'),
    ]);
    await runNode(config.readMemberConfig(file, 'node', id));
  });
  member('directory', async (file, id) => {
    const [config, { runDirectory }] = await Promise.all([
      import('./config.ts'),
      import('./launcher/members/directory.ts'),
    ]);
    await runDirectory(config.readMemberConfig(file, 'directory', id));
  });
}

function addSecrets(program: Command): void {
  const secrets = program.command('secrets').description('the secrets of a deployment');
  secrets
    .command('add-master-key <dir>')
    .description('make the next master key, which seals once gateways are started with it; the others stay')
    .action(async (dir: string) => {
      const { addMasterKey } = await import('./launcher/keyring.ts');
      process.stdout.write(`master key ${addMasterKey(dir)}\n`);
    });
  secrets
    .command('init <dir>')
    .description('make the secrets that every host gets a copy of; what is there stays')
    .action(async (dir: string) => {
      const [{ readCredentials }, { makeSecrets }] = await Promise.all([
        import('./config.ts'),
        import('./launcher/secrets.ts'),
      ]);
      const { credentials, generated } = makeSecrets(dir, readCredentials());
      process.stdout.write(`access key ${credentials.accessKeyId}\n`);
      if (generated) process.stdout.write(`secret key ${credentials.secretKey}\n`);
    });
}

/** commander puts its suggestion on a line of its own. */
const oneLine = (text: string): string =>
  text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ');

/** One line, never a stack: what is wrong and what to do stands in the message. */
function fail(error: unknown): never {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  const { name, message } = error as Error;
  process.stderr.write(`antipode: ${message}\n`);
  process.exit(name === 'ConfigError' || (error as Partial<CommandError>).exitCode === 2 ? 2 : 1);
}

if (import.meta.main) await main(process.argv.slice(2));
