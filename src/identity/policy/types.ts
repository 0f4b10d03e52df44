/**
 * A policy as it is evaluated: parsed, checked, nothing left to guess. Source: "Grammar of the IAM JSON policy language",
 * AWS IAM User Guide. Types alone; parse.ts makes them, evaluate.ts asks them.
 */

/**
 * Where a policy stands. `bucket`: on a bucket, names principals. `trust`: on a role, names principals, has no resources.
 * `identity` and `session`: belong to whoever they are attached to, name none.
 */
export type PolicyKind = 'bucket' | 'identity' | 'session' | 'trust';

export interface PolicyDocument {
  readonly kind: PolicyKind;
  /** Only the newer version knows policy variables. */
  readonly version: '2008-10-17' | '2012-10-17';
  readonly statements: readonly Statement[];
  /** Every condition key that is asked about, also by variables: lower case. */
  readonly keys: ReadonlySet<string>;
}

export interface Statement {
  readonly sid?: string;
  readonly effect: 'Allow' | 'Deny';
  /** Absent in policies that name nobody. `not`: everybody but these. */
  readonly principal?: { readonly not: boolean; readonly entries: readonly PrincipalEntry[] };
  /** Patterns, compared without regard to case. */
  readonly action: { readonly not: boolean; readonly patterns: readonly string[] };
  /** Absent in trust policies. */
  readonly resource?: { readonly not: boolean; readonly patterns: readonly string[] };
  /** All of them must hold. */
  readonly conditions: readonly Condition[];
}

export type PrincipalEntry =
  | { readonly kind: 'everyone' }
  | { readonly kind: 'account'; readonly id: string }
  /** `arn:aws:iam::TENANT:user/ID`: a user of an account, or (as radosgw has it) the account ID itself. */
  | { readonly kind: 'user'; readonly account: string; readonly path: string; readonly arn: string }
  | { readonly kind: 'role'; readonly account: string; readonly path: string }
  | { readonly kind: 'session'; readonly arn: string }
  /** Services and identity providers: nobody here is one. */
  | { readonly kind: 'other'; readonly name: string };

export interface Condition {
  readonly operator: ConditionOperator;
  /** `any`: ForAnyValue, `all`: ForAllValues. */
  readonly set: 'any' | 'all' | null;
  readonly ifExists: boolean;
  /** Lower case. */
  readonly key: string;
  readonly values: readonly string[];
}

export const CONDITION_OPERATORS = [
  'StringEquals',
  'StringNotEquals',
  'StringEqualsIgnoreCase',
  'StringNotEqualsIgnoreCase',
  'StringLike',
  'StringNotLike',
  'NumericEquals',
  'NumericNotEquals',
  'NumericLessThan',
  'NumericLessThanEquals',
  'NumericGreaterThan',
  'NumericGreaterThanEquals',
  'DateEquals',
  'DateNotEquals',
  'DateLessThan',
  'DateLessThanEquals',
  'DateGreaterThan',
  'DateGreaterThanEquals',
  'Bool',
  'BinaryEquals',
  'IpAddress',
  'NotIpAddress',
  'ArnEquals',
  'ArnNotEquals',
  'ArnLike',
  'ArnNotLike',
  'Null',
] as const;
export type ConditionOperator = (typeof CONDITION_OPERATORS)[number];

/** Values of condition keys by name; names in lower case (`aws:sourceip`). A key that is not there has no value. */
export type PolicyContext = ReadonlyMap<string, readonly string[]>;

export type Effect = 'allow' | 'deny' | 'none';
