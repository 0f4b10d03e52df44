/** Policies, principals and requests for tests of the policy room. */
import type { AccountId } from '../../../../src/base/ids.ts';
import { find, type PolicyFinding } from '../../../../src/identity/policy/evaluate.ts';
import { parsePolicy } from '../../../../src/identity/policy/parse.ts';
import type { PolicyDocument, PolicyKind } from '../../../../src/identity/policy/types.ts';
import type { Identity, Principal } from '../../../../src/identity/types.ts';

export type Json = Readonly<Record<string, unknown>>;

export const BUCKET = 'pictures';
export const OBJECTS = `arn:aws:s3:::${BUCKET}/*`;

export const ANYBODY: Principal = { kind: 'anonymous' };
export const account = (id: string, tenant?: string): Principal => ({
  kind: 'account',
  account: { id: id as AccountId, displayName: id, isRoot: false, ...(tenant !== undefined && { tenant }) },
  accessKeyId: `KEY${id}`,
});
export function identity(
  of: string,
  arn: string,
  policies: readonly PolicyDocument[] = [],
  boundary?: PolicyDocument,
): Principal {
  const name = arn.split('/').at(-1)!;
  const kind: Identity['kind'] = arn.includes(':assumed-role/') ? 'assumed-role' : 'user';
  return {
    ...(account(of) as Principal & { kind: 'account' }),
    identity: {
      kind,
      arn,
      userId: `AIDA${name}`,
      name,
      path: '/',
      policies,
      ...(boundary !== undefined && { boundary }),
    },
  };
}

/** An Allow for everybody to read objects of the bucket, with changes. */
export const statement = (changes: Json = {}): Json => ({
  Effect: 'Allow',
  Principal: '*',
  Action: 's3:GetObject',
  Resource: OBJECTS,
  ...changes,
});
export const text = (...statements: Json[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
export const bucketPolicy = (...statements: Json[]): PolicyDocument =>
  parsePolicy(text(...statements), 'bucket', BUCKET);

export function policyOf(kind: PolicyKind, ...statements: Json[]): PolicyDocument {
  const plain = statements.map(({ Principal: _, ...rest }) => rest);
  return parsePolicy(text(...(kind === 'bucket' || kind === 'trust' ? statements : plain)), kind);
}

export function ask(
  policy: PolicyDocument,
  o: {
    principal?: Principal;
    action?: string;
    resource?: string;
    context?: Readonly<Record<string, string | readonly string[]>>;
  } = {},
): PolicyFinding {
  const context = Object.entries(o.context ?? {}).map(([key, value]): [string, readonly string[]] => [
    key.toLowerCase(),
    typeof value === 'string' ? [value] : value,
  ]);
  return find([policy], {
    principal: o.principal ?? account('bob'),
    action: o.action ?? 's3:GetObject',
    resource: o.resource ?? `arn:aws:s3:::${BUCKET}/cat.jpg`,
    context: new Map(context),
  });
}
