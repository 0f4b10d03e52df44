/** A directory's own record of its role: DATA/role.json, durable before it is acted upon. Kept where nobody supervises. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from './durable.ts';

const roleRecord = z.strictObject({
  role: z.enum(['primary', 'standby']),
  /** See agent-protocol.ts. */
  term: z.int().min(1),
  turn: z.int().min(1),
  /** Of a primary: whether commits wait for the twin. */
  synchronous: z.boolean(),
  /** Of a primary whose commits do not: whether they will when the twin has caught up. */
  mayReturn: z.boolean(),
  since: z.iso.datetime(),
  why: z.string(),
  decidedBy: z.string(),
});
export type RoleRecord = z.infer<typeof roleRecord>;

const fileOf = (dataDir: string): string => join(dataDir, 'role.json');

/** @throws {Error} when the file is there and does not say a role: guessing could make two primaries */
export function readRole(dataDir: string): RoleRecord | null {
  const path = fileOf(dataDir);
  if (!existsSync(path)) return null;
  try {
    return roleRecord.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new Error(`${path} does not say a role; put back what it was`, { cause });
  }
}

export const writeRole = (dataDir: string, record: RoleRecord): void =>
  writeDurably(fileOf(dataDir), `${JSON.stringify(record, null, 2)}\n`);
