/** A directory's own record of its role: DATA/role.json, durable before it is acted upon. Kept where nobody supervises. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from './durable.ts';

/** What a member is in the middle of; it goes on with that when it starts again. takeover.ts says how. */
export const roleStep = z.discriminatedUnion('kind', [
  /** A standby that gives no leases any more, since it is to become the primary by that order. */
  z.strictObject({ kind: z.literal('taking-over'), order: z.string(), asserted: z.boolean() }),
  /** The primary of this term as decided; its server may still be a standby. */
  z.strictObject({ kind: z.literal('promoting') }),
  /** The former primary: its server has ended in order, and starts no more in that role while that order holds. */
  z.strictObject({ kind: z.literal('gave-up'), order: z.string() }),
]);
export type RoleStep = z.infer<typeof roleStep>;

const roleRecord = z.strictObject({
  role: z.enum(['primary', 'standby']),
  /** See agent-protocol.ts. */
  term: z.int().min(1),
  turn: z.int().min(1),
  step: roleStep.nullable().default(null),
  /** Of a primary: whether commits wait for the twin. Of a standby: whether it has everything that was acknowledged, and commits wait for it, as the primary said last. */
  synchronous: z.boolean(),
  /** Of a standby: the longest lease that it may have given. */
  leaseMs: z.int().min(0).default(0),
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
