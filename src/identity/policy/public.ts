/**
 * Whether a bucket's policy is public: some statement allows something to everybody, and no condition holds it to fixed
 * callers. Source: "The meaning of 'public'", Amazon S3 User Guide.
 */
import { readBlock } from './condition-values.ts';
import type { Condition, PolicyDocument } from './types.ts';

/** Keys whose fixed value says who calls, or from where. */
const FIXING: ReadonlySet<string> = new Set(
  `aws:sourcearn aws:sourcevpc aws:sourcevpce aws:sourceowner aws:sourceaccount aws:userid aws:principalorgid
   aws:principalarn aws:principalaccount s3:dataaccesspointarn s3:dataaccesspointaccount
   s3:x-amz-server-side-encryption-aws-kms-key-id`.split(/\s+/),
);
const EQUAL: ReadonlySet<string> = new Set([
  'StringEquals',
  'StringEqualsIgnoreCase',
  'StringLike',
  'ArnEquals',
  'ArnLike',
]);
/** Larger blocks of addresses than these are everybody. */
const BITS_MIN = { ipv4: 8, ipv6: 32 } as const;

export function isPublic(policy: PolicyDocument): boolean {
  return policy.statements.some(
    ({ effect, principal, conditions }) =>
      effect === 'Allow' &&
      principal !== undefined &&
      (principal.not || principal.entries.some(({ kind }) => kind === 'everyone')) &&
      !conditions.some(fixes),
  );
}

function fixes({ operator, set, ifExists, key, values }: Condition): boolean {
  if (ifExists || set === 'all') return false;
  if (operator === 'IpAddress' && key === 'aws:sourceip') return values.every(isNarrow);
  return FIXING.has(key) && EQUAL.has(operator) && !values.some((value) => /[*?]|\$\{/.test(value));
}

function isNarrow(text: string): boolean {
  const block = readBlock(text);
  return block !== null && block[1] >= BITS_MIN[block[0].kind()];
}
