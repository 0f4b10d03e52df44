/**
 * `antipode changes`: the change feed, one line a change, as a filter's input. What has been written to standard output
 * counts as dealt with: the place of a consumer moves behind it. With --follow a stream that breaks off is taken up again at the
 * last line that was written.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ChangeLine, ConsumerReport, ConsumersReport, FeedPosition } from '../admin/changes-api.ts';
import type { AdminClient } from './admin-client.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, run, show } from './command-kit.ts';
import { table } from './table.ts';

interface ReadFlags extends CommonFlags {
  readonly follow?: boolean;
  readonly from?: string;
  readonly consumer?: string;
  readonly bucket?: string;
  readonly prefix?: string;
}

const RETRY_MS = 1_000;
const ADVANCE_MS = 1_000;

export function registerChanges(program: Command): void {
  const changes = program.command('changes').description('every change of the namespace, in order per key');
  common(changes.command('read', { isDefault: true }))
    .description('the changes, oldest first: at least once, each with an id that stays the same')
    .option('--follow', 'go on with what comes, also after a failover, until interrupted')
    .option(
      '--from <position>',
      'beginning (what is still kept), now, or a position; by default now with --follow, else beginning',
    )
    .option('--consumer <name>', 'go on where this consumer is; it is made, at --from, unless it is there')
    .option('--bucket <bucket>', 'only changes in this bucket')
    .option('--prefix <prefix>', 'only changes of keys that begin so')
    .action((flags: ReadFlags) => run(flags, (client) => read(client, flags)));
  const consumers = changes.command('consumers').description('who has a durable place in the feed');
  common(consumers.command('list'))
    .description('places, and what is unread')
    .action((flags: CommonFlags) =>
      run(flags, async (client) => {
        const report = await client.send<ConsumersReport>('GET', '/changes/consumers');
        show(
          flags,
          report.consumers,
          report.consumers.length === 0 ? 'no consumers' : consumersText(report.consumers),
        );
      }),
    );
  common(consumers.command('delete <name>'))
    .description('forget its place: what only it had not read may be trimmed')
    .action((name: string, flags: CommonFlags) =>
      run(flags, async (client) => {
        await client.send('DELETE', `/changes/consumers/${encodeURIComponent(name)}`);
        show(flags, { deleted: name }, `deleted consumer ${name}`);
      }),
    );
}

async function read(client: AdminClient, flags: ReadFlags): Promise<void> {
  const { follow = false, consumer } = flags;
  const place = consumer === undefined ? null : new Place(client, consumer);
  let from: FeedPosition = flags.from ?? (follow ? 'now' : 'beginning');
  const output = new Output(process.stdout);
  for (;;) {
    try {
      for await (const line of client.lines<ChangeLine>('GET', `/changes?${queryOf(flags, from)}`)) {
        if (line.type !== 'position') await output.write(flags.json ? JSON.stringify(line) : lineText(line));
        if (output.isGone) break;
        from = line.position;
        await place?.reached(from);
      }
      await place?.settle();
      if (!follow || output.isGone) return;
    } catch (error) {
      if (!follow || !(error instanceof CommandError) || !error.passing) throw error;
      process.stderr.write(`${error.message}; trying again\n`);
    }
    await sleep(RETRY_MS);
    // A consumer's place is where the stream begins again: what has been written must not come twice for that.
    await place?.settle().catch(() => {});
  }
}

function queryOf({ follow, consumer, bucket, prefix }: ReadFlags, from: string): URLSearchParams {
  return new URLSearchParams({
    from,
    ...(follow ? { follow: '1' } : {}),
    ...(consumer === undefined ? {} : { consumer }),
    ...(bucket === undefined ? {} : { bucket }),
    ...(prefix === undefined ? {} : { prefix }),
  });
}

/** A consumer's place, moved at most once in ADVANCE_MS; the last lines before a pause are not left behind. */
class Place {
  readonly #client: AdminClient;
  readonly #path: string;
  #at: FeedPosition | null = null;
  #told: FeedPosition | null = null;
  #timer: NodeJS.Timeout | null = null;
  #telling: Promise<void> = Promise.resolve();
  #failure: unknown = null;

  constructor(client: AdminClient, name: string) {
    this.#client = client;
    this.#path = `/changes/consumers/${encodeURIComponent(name)}`;
  }

  /** Throws what the last try to move it met. */
  async reached(position: FeedPosition): Promise<void> {
    this.#at = position;
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.settle().catch((error: unknown) => {
        this.#failure = error;
      });
    }, ADVANCE_MS);
  }

  settle(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const tell = async () => {
      const at = this.#at;
      if (at === null || at === this.#told) return;
      await this.#client.send('PATCH', this.#path, { position: at });
      this.#told = at;
    };
    this.#telling = this.#telling.then(tell, tell);
    return this.#telling;
  }
}

/** Standard output, no faster than it is taken. */
class Output {
  readonly #stream: NodeJS.WriteStream;
  /** Whoever read it has gone (`| head`). */
  isGone = false;
  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on('error', () => {
      this.isGone = true;
    });
  }
  write(line: string): Promise<void> {
    return new Promise((resolve) => this.#stream.write(`${line}\n`, () => resolve()));
  }
}

function lineText(line: Exclude<ChangeLine, { type: 'position' }>): string {
  if (line.type === 'gap') {
    const many = line.changes === null ? 'changes' : `${line.changes} changes`;
    return `gap: ${many} of ${line.directory} were trimmed unread (${line.from} to ${line.to})`;
  }
  const { at, kind, bucket, key, versionId, size } = line;
  const what = key === undefined ? `s3://${bucket}` : `s3://${bucket}/${key}`;
  const rest = [versionId, size === undefined ? undefined : `${size} bytes`].filter((x) => x !== undefined);
  return [at, kind.padEnd(14), what, ...rest].join('  ');
}

const consumersText = (consumers: readonly ConsumerReport[]): string =>
  table(
    ['CONSUMER', 'DIRECTORY', 'POSITION', 'UNREAD', 'BEHIND', 'ADVANCED', 'GAP'],
    consumers.map((c) => [
      ...[
        c.name,
        c.directory,
        c.position,
        c.unread,
        `${Math.round(c.lagSeconds)} s`,
        c.advancedAt,
        c.gapChanges,
      ],
    ]),
  );
