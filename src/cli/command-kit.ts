/** What the commands that ask a running store share: their common options, how they run, how they show what they got. */
import type { Command } from 'commander';
import type { AdminClient, AdminFlags } from './admin-client.ts';

export interface CommonFlags extends AdminFlags {
  readonly json?: boolean;
}

/** The options that every one of these commands has. */
export function common(command: Command): Command {
  return command
    .option(
      '--admin <address>',
      "the admin address, HOST:PORT or URL (default: the data folder's store, else 127.0.0.1:9001)",
    )
    .option('--data <dir>', 'the data folder, for the root credentials (default: ./data)')
    .option('--json', 'print JSON');
}

/** Runs one command; what goes wrong with it is thrown to main, which prints one line. */
export async function run(flags: AdminFlags, action: (client: AdminClient) => Promise<void>): Promise<void> {
  const { createAdminClient } = await import('./admin-client.ts');
  await action(createAdminClient(flags));
}

export function show(flags: CommonFlags, document: unknown, text: string): void {
  print(flags.json ? JSON.stringify(document) : text);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
