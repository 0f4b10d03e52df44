/** The admin API's documents about SQL and the logins of people: see api.ts. */
import { z } from 'zod';

export type { SqlLine } from '../ddm/people/people.ts';
export type { SqlColumn } from '../ddm/people/values.ts';

const SQL_ROWS_MAX = 1_000_000;

/** The answer comes line by line: ddm/people/people.ts; the last line is `{ "type": "end" }`. */
export const sqlOrder = z.strictObject({
  query: z
    .string()
    .min(1)
    .max(60_000)
    .refine((text) => !text.includes('\0') && text.isWellFormed(), 'is not well-formed text'),
  write: z.boolean().default(false),
  /** Of each directory. */
  rowsMax: z.number().int().min(1).max(SQL_ROWS_MAX).default(1_000),
  timeoutMs: z.number().int().min(1).max(3_600_000).default(60_000),
});
export type SqlRequest = z.infer<typeof sqlOrder>;

const loginName = z
  .string()
  .regex(/^[a-z][a-z0-9_.@-]{0,62}$/, 'lower-case letters, digits and _ . @ -, a letter first, at most 63')
  .refine(
    (name) => !/^(antipode|pg_|postgres$|public$|none$)/.test(name),
    'names that begin with antipode or pg_, postgres, public and none are taken',
  );
export const newSqlLogin = z.strictObject({
  name: loginName,
  write: z.boolean().default(false),
  /** A login that is there gets a new password (and `write`), and is made where a directory lacks it. */
  renew: z.boolean().default(false),
});

export interface SqlLoginReport {
  readonly name: string;
  readonly write: boolean;
  readonly directories: readonly string[];
}
/** The answer to its creation: the only time that the password is shown. */
export interface NewSqlLoginReport extends SqlLoginReport {
  readonly password: string;
}
