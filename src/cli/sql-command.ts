/**
 * `antipode sql`: one statement, asked of every pair of directories; a row says which pair it is from. Exit codes: 0 each pair
 * answered, 1 it was refused or its outcome is not known, 3 a pair did not answer.
 */
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { SqlColumn, SqlLine } from '../admin/sql-api.ts';
import { CommandError } from './command-error.ts';
import { type CommonFlags, common, run } from './command-kit.ts';
import { type RowWriter, rowWriter } from './sql-rows.ts';

interface SqlFlags extends CommonFlags {
  readonly write?: boolean;
  readonly csv?: boolean;
  readonly max?: string;
  readonly timeout?: string;
}
/** As the admin API has them (sql-api.ts). */
const ROWS_MAX = 1_000_000;
const TIMEOUT_SECONDS_MAX = 3_600;

type Answer = SqlLine | { readonly type: 'end' };

export function registerSql(program: Command): void {
  common(program.command('sql [query]'))
    .description('ask the catalog of every directory pair in SQL; the query may come from standard input')
    .option('--write', 'change it: deletes of objects, tags and metadata, through the views that allow it')
    .option('--csv', 'print CSV')
    .option('--max <rows>', 'rows shown of each pair at most', '1000')
    .option('--timeout <seconds>', 'how long a pair may take', '60')
    .action((argument: string | undefined, flags: SqlFlags) =>
      run(flags, async (client) => {
        if (flags.json && flags.csv) throw new CommandError('give --json or --csv, not both', 2);
        const order = {
          query: argument ?? (await fromInput()),
          write: flags.write ?? false,
          rowsMax: count('--max', flags.max, ROWS_MAX),
          timeoutMs: count('--timeout', flags.timeout, TIMEOUT_SECONDS_MAX) * 1_000,
        };
        const format = flags.json ? 'json' : flags.csv ? 'csv' : 'table';
        const writer = rowWriter(format, (chunk) => process.stdout.write(chunk));
        await show(client.lines<Answer>('POST', '/sql', order), writer, order.write);
      }),
    );
}

async function fromInput(): Promise<string> {
  if (process.stdin.isTTY) throw new CommandError("give the query: antipode sql 'SELECT …'", 2);
  const query = (await text(process.stdin)).trim();
  if (query === '') throw new CommandError('standard input holds no query', 2);
  return query;
}

function count(flag: string, value: string | undefined, max: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 1 && number <= max) return number;
  throw new CommandError(`${flag} is a whole number from 1 to ${max}`, 2);
}

const say = (line: string) => process.stderr.write(`${line}\n`);

async function show(lines: AsyncIterable<Answer>, writer: RowWriter, write: boolean): Promise<void> {
  const failed: Extract<SqlLine, { type: 'failed' }>[] = [];
  const columns = new Map<string, readonly SqlColumn[]>();
  let ended = false;
  for await (const line of lines) {
    if (line.type === 'end') {
      ended = true;
      continue;
    }
    const { directory } = line;
    if (line.type === 'columns') {
      columns.set(directory, line.columns);
      writer.columns(line.columns.map(({ name }) => name));
    } else if (line.type === 'row') await writer.row(directory, line.values);
    else if (line.type === 'notice') say(`${directory}: ${line.message}`);
    else if (line.type === 'failed') failed.push(line);
    else {
      if (line.cut)
        say(
          `${directory}: cut after ${line.command === 'SELECT' ? line.rows : 'the first'} rows; --max shows more`,
        );
      if (write) say(`${directory}: ${line.command} ${line.rows}`);
    }
  }
  await writer.end();
  for (const line of failed) for (const text of failureText(line)) say(text);
  if (!ended) throw new CommandError('the answer broke off before its end: run it again', 1);
  if (failed.some(({ outcome }) => outcome === 'refused' || outcome === 'unknown')) process.exitCode = 1;
  else if (failed.length > 0) process.exitCode = 3;
}

function failureText(f: Extract<SqlLine, { type: 'failed' }>): string[] {
  const { directory, message, code, position, detail, hint } = f;
  if (f.outcome === 'not-run') return [`${directory}: not run`];
  if (f.outcome === 'unavailable') return [`${directory}: did not answer: ${message}`];
  const what = f.outcome === 'unknown' ? 'nobody knows whether it took effect: ' : '';
  const where = position === undefined ? '' : ` (at character ${position})`;
  const said = `${directory}: ${what}${message}${code === undefined ? '' : ` [${code}]`}${where}`;
  return [said, ...(detail ? [`  ${detail}`] : []), ...(hint ? [`  hint: ${hint}`] : [])];
}
