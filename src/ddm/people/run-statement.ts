/**
 * One statement of a person on one connection, its rows as they come, no faster than they are taken. The extended protocol
 * takes one statement, so none can end what was set up for it. A statement that may write is never broken off to bound its
 * answer: rows beyond the bound are counted and not shown.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';
import { isUnreplicated } from '../sqlstate.ts';
import { columnsOf, type SqlColumn, sqlTypes } from './values.ts';

export interface StatementOrder {
  readonly text: string;
  readonly write: boolean;
  /** Rows shown at most. */
  readonly rowsMax: number;
}
export type StatementLine =
  | { readonly type: 'columns'; readonly columns: readonly SqlColumn[] }
  | { readonly type: 'row'; readonly values: readonly unknown[] }
  | { readonly type: 'notice'; readonly message: string }
  | { readonly type: 'done'; readonly command: string; readonly rows: number; readonly cut: boolean };

/** A commit that is done here and may not be on the twin. */
export class NotReplicated extends Error {
  override readonly name = 'NotReplicated';
}

const QUEUE_HIGH = 512;

/**
 * Lines in batches, as they come.
 * @param client connected, used by nobody else, and not used again
 * @throws the database's error, or the connection's
 */
export async function* runStatement(
  client: pg.Client,
  { text, write, rowsMax }: StatementOrder,
): AsyncGenerator<readonly StatementLine[]> {
  const lines = new Lines(client);
  let rows = 0;
  let described = false;
  let unreplicated = false;
  const describe = (fields: readonly pg.FieldDef[]) => {
    if (described || fields.length === 0) return;
    described = true;
    lines.push({ type: 'columns', columns: columnsOf(fields) });
  };
  client.on('notice', (notice) => {
    // Functions of ours warn under the same code.
    if (isUnreplicated(notice) && notice.routine !== 'exec_stmt_raise') unreplicated = true;
    else lines.push({ type: 'notice', message: [notice.message, notice.hint].filter(Boolean).join('. ') });
  });
  client.on('error', (error) => lines.fail(error));
  client.on('end', () => lines.fail(new Error('the connection was ended')));
  const config = { text, rowMode: 'array', queryMode: 'extended', types: sqlTypes };
  const query = new pg.Query<unknown[]>(config);
  query.on('row', (values: unknown[], result?: pg.ResultBuilder) => {
    if (result) describe(result.fields);
    if (++rows <= rowsMax) lines.push({ type: 'row', values });
    else if (!write) lines.end({ type: 'done', command: 'SELECT', rows: rowsMax, cut: true });
  });
  query.on('error', (error) => lines.fail(error));
  query.on('end', (result: pg.ResultBuilder) => {
    if (unreplicated) return lines.fail(new NotReplicated('the commit is not confirmed by the twin'));
    describe(result.fields);
    const { command, rowCount } = result;
    lines.end({ type: 'done', command, rows: rowCount ?? rows, cut: rows > rowsMax });
  });
  client.query(query);
  yield* lines.read();
}

/** A bounded queue between the socket and the reader. */
class Lines {
  readonly #socket: Socket;
  readonly #lines: StatementLine[] = [];
  readonly #news = new EventTarget();
  #ended = false;
  #error: Error | null = null;

  constructor(client: pg.Client) {
    this.#socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
  }

  push(line: StatementLine): void {
    if (this.#ended) return;
    this.#lines.push(line);
    if (this.#lines.length >= QUEUE_HIGH) this.#socket.pause();
    this.#news.dispatchEvent(new Event('news'));
  }
  end(last: StatementLine): void {
    this.push(last);
    this.#ended = true;
  }
  fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#news.dispatchEvent(new Event('news'));
  }

  async *read(): AsyncGenerator<readonly StatementLine[]> {
    for (;;) {
      const batch = this.#lines.splice(0);
      if (batch.length > 0) {
        this.#socket.resume();
        yield batch;
        continue;
      }
      if (this.#error) throw this.#error;
      if (this.#ended) return;
      await once(this.#news, 'news');
    }
  }
}
