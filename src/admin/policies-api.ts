/** Users and roles of an account and their inline policies, as the admin API asks for them and answers. */
import { z } from 'zod';

const account = z.string().min(1).max(128);
const name = z.string().regex(/^[\w+=,.@-]{1,64}$/, '1 to 64 letters, digits or + = , . @ - _');
const policy = z.string().regex(/^[\w+=,.@-]{1,128}$/, '1 to 128 letters, digits or + = , . @ - _');

export const entitiesQuery = z.strictObject({ account });

const entity = { account, kind: z.enum(['user', 'role']), name };
/** Whose policy, and which. */
export const policyQuery = z.strictObject({ ...entity, policy });
export type PolicyQuery = z.infer<typeof policyQuery>;
export const newPolicy = z.strictObject({ ...entity, policy, document: z.string().min(1).max(131_072) });
export type NewPolicy = z.infer<typeof newPolicy>;

export interface EntityReport {
  readonly account: string;
  readonly kind: 'user' | 'role';
  readonly name: string;
  readonly arn: string;
  readonly createdAt: string;
  /** Their text by name. */
  readonly policies: Readonly<Record<string, string>>;
}
