/** `antipode notifications`: what waits for webhooks, and the dead letters: listed, sent again, dropped. */
import type { Command } from 'commander';
import type {
  DeadLetterReport,
  DeadLettersReport,
  DeadLettersTaken,
  NotificationsReport,
} from '../admin/notifications-api.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, run, show } from './command-kit.ts';
import { table } from './table.ts';

interface WhichFlags extends CommonFlags {
  readonly target?: string;
  readonly bucket?: string;
  readonly event?: string;
  readonly all?: boolean;
}

/** Thousands, each a commit on twins. */
const TAKE_MS = 120_000;

export function registerNotifications(program: Command): void {
  const notifications = program.command('notifications').description('events that are sent to webhooks');
  common(notifications.command('targets'))
    .description('webhooks, and what waits for them')
    .action((flags: CommonFlags) =>
      run(flags, async (client) => {
        const report = await client.send<NotificationsReport>('GET', '/notifications');
        show(flags, report.targets, targetsText(report));
      }),
    );
  which(common(notifications.command('list')))
    .description('dead letters, newest first')
    .option('--max <n>', 'at most so many (100)', '100')
    .action(({ max, target, bucket, event, ...flags }: WhichFlags & { max: string }) =>
      run(flags, async (client) => {
        const query = new URLSearchParams({ max, ...named({ target, bucket, event }) });
        const report = await client.send<DeadLettersReport>('GET', `/notifications/dead-letters?${query}`);
        show(flags, report.deadLetters, lettersText(report.deadLetters));
      }),
    );
  for (const [verb, does, did] of [
    ['redeliver', 'put dead letters back in their queues', 'queued again'],
    ['drop', 'forget dead letters', 'dropped'],
  ] as const)
    which(common(notifications.command(verb)))
      .description(does)
      .option('--all', 'every dead letter there is')
      .action(({ target, bucket, event, all = false, ...flags }: WhichFlags) =>
        run(flags, async (client) => {
          const chosen = named({ target, bucket, event });
          if (!all && Object.keys(chosen).length === 0)
            throw new CommandError('name a --target, a --bucket or an --event, or say --all', 2);
          const order = { ...chosen, ...(all && { all }) };
          const path = `/notifications/dead-letters/${verb}`;
          const { taken } = await client.send<DeadLettersTaken>('POST', path, order, TAKE_MS);
          show(flags, { taken }, `${taken} ${did}`);
        }),
      );
}

const which = (command: Command): Command =>
  command
    .option('--target <name>', 'of this webhook')
    .option('--bucket <bucket>', 'of this bucket')
    .option('--event <id>', 'of this change');

const named = (flags: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(flags).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

const targetsText = ({ targets }: NotificationsReport): string =>
  targets.length === 0
    ? 'no webhooks are declared'
    : table(
        ['TARGET', 'DIRECTORY', 'QUEUED', 'OLDEST', 'DEAD', ''],
        targets.map((t) => [
          ...[t.target, t.directory, t.queued, `${Math.round(t.oldestSeconds)} s`, t.dead],
          t.declared ? '' : 'not declared here',
        ]),
      );

const lettersText = (letters: readonly DeadLetterReport[]): string =>
  letters.length === 0
    ? 'no dead letters'
    : table(
        ['DIED', 'TARGET', 'NAME', 'OBJECT', 'ATTEMPTS', 'ERROR', 'EVENT'],
        letters.map((l) => [
          ...[l.diedAt, l.target, l.name, l.key === '' ? l.bucket : `${l.bucket}/${l.key}`],
          ...[l.attempts, l.error, l.event],
        ]),
      );
