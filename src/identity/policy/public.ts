/** Whether a bucket's policy is public. Source: "The meaning of 'public'", Amazon S3 User Guide. */
import type { PolicyDocument } from './types.ts';

export function isPublic(policy: PolicyDocument): boolean {
  return policy.statements.some(({ effect }) => effect === 'Allow');
}
