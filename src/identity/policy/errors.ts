/** What is wrong with a policy, in AWS's words (MalformedPolicy). */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}
