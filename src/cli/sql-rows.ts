/** Rows of SQL as they come: a table for people, JSON lines, or CSV (RFC 4180). Each row begins with its directory pair. */

export interface RowWriter {
  columns(names: readonly string[]): void;
  /** Resolves when the next one may come. */
  row(directory: string, values: readonly unknown[]): Promise<void>;
  end(): Promise<void>;
}
/** @returns false when the next one should wait for 'drain' */
type Write = (chunk: string) => boolean;

/** Columns of a table are as wide as in the first rows; longer cells stick out later. */
const MEASURED_ROWS = 1_000;

export function rowWriter(format: 'table' | 'json' | 'csv', write: Write): RowWriter {
  const out = async (chunk: string) => {
    if (!write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  };
  return format === 'json' ? jsonWriter(out) : format === 'csv' ? csvWriter(out) : tableWriter(out);
}

type Out = (chunk: string) => Promise<void>;

/** A name that stands twice gets a number, so that no value hides another. */
export function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let n = 2; taken.has(unique); n++) unique = `${name}_${n}`;
    taken.add(unique);
    return unique;
  });
}

function jsonWriter(out: Out): RowWriter {
  let names: string[] = [];
  return {
    columns(given) {
      names = uniqueNames(['directory', ...given]);
    },
    row: (directory, values) =>
      out(
        `${JSON.stringify(Object.fromEntries([directory, ...values].map((value, i) => [names[i]!, value])))}\n`,
      ),
    end: async () => {},
  };
}

/** null: nothing at all; an empty text: "". */
const csvCell = (value: unknown): string => {
  if (value === null) return '';
  const text = cellText(value);
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const cellText = (value: unknown): string =>
  typeof value === 'object' ? JSON.stringify(value) : String(value);

function csvWriter(out: Out): RowWriter {
  let head = '';
  let shown = false;
  return {
    columns(given) {
      head = `${['directory', ...given].map(csvCell).join(',')}\r\n`;
    },
    async row(directory, values) {
      const line = `${[directory, ...values].map(csvCell).join(',')}\r\n`;
      await out(shown ? line : head + line);
      shown = true;
    },
    async end() {
      if (!shown && head !== '') await out(head);
    },
  };
}

/** What would move the cursor or change the terminal is shown, not sent. */
const visible = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

function tableWriter(out: Out): RowWriter {
  let head: string[] = [];
  let widths: number[] | null = null;
  let waiting: string[][] = [];
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths![i] ?? 0))
      .join('  ')
      .trimEnd();
  const flush = async () => {
    if (head.length === 0) return;
    const lines: string[] = [];
    if (!widths) {
      widths = head.map((_, i) => Math.max(...[head, ...waiting].map((cells) => cells[i]?.length ?? 0)));
      lines.push(lineOf(head));
    }
    lines.push(...waiting.map(lineOf));
    waiting = [];
    if (lines.length > 0) await out(`${lines.join('\n')}\n`);
  };
  return {
    columns(given) {
      head = ['directory', ...given];
    },
    async row(directory, values) {
      waiting.push([directory, ...values.map((value) => (value === null ? '-' : visible(cellText(value))))]);
      if (waiting.length >= MEASURED_ROWS) await flush();
    },
    end: flush,
  };
}
