/**
 * PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus. The text is kept as it came, once it has been
 * understood whole; access/bucket-policy.ts reads it for every question.
 */
import { PolicyError, parsePolicy } from '../../identity/policy/parse.ts';
import { isPublic } from '../../identity/policy/public.ts';
import { bucketAclIsPublic } from '../access/acl-answer.ts';
import {
  POLICY,
  policyOf,
  publicAccessBlockOf,
  type StoredPolicy,
  storedPolicy,
} from '../access/bucket-policy.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, xmlDocument } from '../xml.ts';

const row = (name: string, method: OperationRow['method']): OperationRow => ({
  name,
  method,
  target: 'bucket',
  query: { policy: true },
  permission: `s3:${name}`,
  body: 'none',
  status: 'supported',
});

export const putBucketPolicy: OperationRow = {
  ...row('PutBucketPolicy', 'PUT'),
  body: 'xml',
  run: async (ctx) => {
    requireOwnersAccount(ctx);
    const bucket = ctx.bucket!;
    const document = understand(ctx.text, bucket.name);
    if (isPublic(document) && publicAccessBlockOf(bucket).blockPublicPolicy)
      throw new S3Error('AccessDenied', {
        message:
          'User is not authorized to put a public policy: public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.',
      });
    const ownerMayBeDenied = ctx.headers['x-amz-confirm-remove-self-bucket-access']?.toLowerCase() === 'true';
    return setPolicy(ctx, { text: ctx.text, ...(ownerMayBeDenied && { ownerMayBeDenied }) });
  },
};

export const getBucketPolicy: OperationRow = {
  ...row('GetBucketPolicy', 'GET'),
  run: async (ctx) => {
    requireOwnersAccount(ctx);
    const { bucket } = ctx;
    const stored = storedPolicy(bucket!);
    if (stored === null) throw new S3Error('NoSuchBucketPolicy', { fields: { BucketName: bucket!.name } });
    return { status: 200, headers: { 'content-type': 'application/json' }, body: stored.text };
  },
};

export const deleteBucketPolicy: OperationRow = {
  ...row('DeleteBucketPolicy', 'DELETE'),
  run: async (ctx) => {
    requireOwnersAccount(ctx);
    return setPolicy(ctx, null);
  },
};

/**
 * Other accounts may do nothing with a policy, whatever it allows them.
 * @throws {S3Error} MethodNotAllowed
 */
function requireOwnersAccount({ principal, bucket, operation }: OperationContext): void {
  const account = principal.kind === 'account' ? principal.account : null;
  if (account !== null && (account.isRoot || account.id === bucket!.owner)) return;
  throw new S3Error('MethodNotAllowed', {
    fields: { Method: operation.method, ResourceType: 'BUCKETPOLICY' },
  });
}

/** A bucket without a policy is public where its list says so. */
export const getBucketPolicyStatus: OperationRow = {
  ...row('GetBucketPolicyStatus', 'GET'),
  query: { policyStatus: true },
  run: async ({ bucket }) => {
    const { restrictPublicBuckets, ignorePublicAcls } = publicAccessBlockOf(bucket!);
    const byPolicy = (policyOf(bucket!)?.isPublic ?? false) && !restrictPublicBuckets;
    const byList = !ignorePublicAcls && bucketAclIsPublic(bucket!);
    return { status: 200, body: xmlDocument('PolicyStatus', tag('IsPublic', byPolicy || byList)) };
  },
};

/** @throws {S3Error} MalformedPolicy */
function understand(text: string, bucket: string): ReturnType<typeof parsePolicy> {
  try {
    return parsePolicy(text, 'bucket', bucket);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new S3Error('MalformedPolicy', { message: error.message, cause: error });
  }
}

async function setPolicy(ctx: OperationContext, policy: StoredPolicy | null): Promise<OperationResult> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, POLICY, policy);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return { status: 204 };
}
