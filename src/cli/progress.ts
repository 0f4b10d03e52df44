/**
 * Progress of long commands: on a terminal a block of lines that is drawn over itself, elsewhere each line once when it
 * changes. With `--json` nobody draws: the commands print their documents instead, when they change.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { print } from './command-kit.ts';

const BAR_CHARS = 24;
export const POLL_MS = 500;

/** `[#########---------------]  38 %`; without a whole to measure against, an empty bar and no figure. */
export function bar(done: number, whole: number): string {
  const share = whole > 0 ? Math.min(1, done / whole) : 0;
  const filled = Math.floor(share * BAR_CHARS);
  const percent = whole > 0 ? `${Math.floor(share * 100)} %` : '';
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_CHARS - filled)}] ${percent.padStart(5)}`;
}

export interface Board {
  draw(lines: readonly string[]): void;
}

export function createBoard(stream: NodeJS.WriteStream): Board {
  let drawn = 0;
  const said = new Set<string>();
  return {
    draw(lines) {
      if (!stream.isTTY) {
        for (const line of lines.filter((text) => !said.has(text))) stream.write(`${line}\n`);
        for (const line of lines) said.add(line);
        return;
      }
      const up = drawn > 0 ? `\x1b[${drawn}A` : '';
      const columns = stream.columns ?? 80;
      stream.write(`${up}\x1b[J${lines.map((line) => `${line.slice(0, columns - 1)}\n`).join('')}`);
      drawn = lines.length;
    },
  };
}

export interface Following<T> {
  readonly isJson: boolean;
  readonly ask: () => Promise<T>;
  readonly lines: (document: T) => readonly string[];
  readonly isOver: (document: T) => boolean;
}

/** Shows the document that `ask` gives, again and again, until it says that it is over; answers the last one. */
export async function follow<T>({ isJson, ask, lines, isOver }: Following<T>): Promise<T> {
  const board = createBoard(process.stdout);
  let last = '';
  for (;;) {
    const document = await ask();
    const text = JSON.stringify(document);
    if (!isJson) board.draw(lines(document));
    else if (text !== last) print(text);
    last = text;
    if (isOver(document)) return document;
    await sleep(POLL_MS);
  }
}
