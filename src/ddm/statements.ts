/**
 * The SQL of this room: one statement a file in sql/, read once; the file's name is the prepared statement's.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Statement {
  readonly name: string;
  readonly text: string;
}

const folder = join(import.meta.dirname, 'sql');
const statements = new Map<string, Statement>(
  readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .map((file) => {
      const name = file.slice(0, -'.sql'.length);
      return [name, { name, text: readFileSync(join(folder, file), 'utf8') }];
    }),
);

/** @throws {Error} when there is no such file: a mistake in the program, seen at start-up as callers ask at load time. */
export function statement(name: string): Statement {
  const found = statements.get(name);
  if (!found) throw new Error(`no statement ${name}`);
  return found;
}
