/**
 * GetBucketAcl, PutBucketAcl, GetObjectAcl and PutObjectAcl. A list is replaced as a whole, by a canned one, by grants in
 * headers, or by a document; whom the bucket or version belongs to never changes by it.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Acl } from '../../ddm/catalog.ts';
import { ACL, type AclSubject, aclOfBucket, aclOfVersion, cannedAcl, keptAcl } from '../acl/acl.ts';
import { aclXml, readAclDocument } from '../acl/document.ts';
import { requireDefault, requireUnblocked } from '../acl/new-object.ts';
import { aclsCount, effectiveOwner } from '../acl/ownership.ts';
import { aclOfHeaders, type RequestedAcl, resolveGrants } from '../acl/requested.ts';
import { S3Error } from '../errors.ts';
import { changeVersion } from '../objects/changes.ts';
import { requireVersion } from '../objects/reading.ts';
import { versionHeaders } from '../objects/response-headers.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';

const query = { acl: true } as const;

export const getBucketAcl: OperationRow = {
  name: 'GetBucketAcl',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetBucketAcl',
  body: 'none',
  status: 'supported',
  run: async ({ services, bucket }) => ({
    status: 200,
    body: await aclXml(services.catalog, bucket!.owner, aclOfBucket(bucket!)),
  }),
};

export const getObjectAcl: OperationRow = {
  name: 'GetObjectAcl',
  method: 'GET',
  target: 'object',
  query,
  permission: 's3:GetObjectAcl',
  body: 'none',
  status: 'supported',
  run: async (ctx) => {
    const bucket = ctx.bucket!;
    const version = await requireVersion(ctx);
    const owner = effectiveOwner(bucket, version.owner);
    return {
      status: 200,
      headers: versionHeaders(bucket, version.versionId),
      body: await aclXml(ctx.services.catalog, owner, aclOfVersion(bucket, version)),
    };
  },
};

export const putBucketAcl: OperationRow = {
  name: 'PutBucketAcl',
  method: 'PUT',
  target: 'bucket',
  query,
  permission: 's3:PutBucketAcl',
  body: 'xml',
  status: 'supported',
  run: putOnBucket,
};

export const putObjectAcl: OperationRow = {
  name: 'PutObjectAcl',
  method: 'PUT',
  target: 'object',
  query,
  permission: 's3:PutObjectAcl',
  body: 'xml',
  status: 'supported',
  run: putOnObject,
};

async function putOnBucket(ctx: OperationContext): Promise<OperationResult> {
  const bucket = ctx.bucket!;
  const wanted = wantedAcl(ctx, 'bucket');
  if (!aclsCount(bucket)) {
    await requireSame(ctx, wanted);
    return { status: 200 };
  }
  const acl = await resolveWanted(ctx, wanted, bucket.owner, null);
  const outcome = await ctx.services.catalog.setBucketSetting(bucket.id, ACL, keptAcl(acl, bucket.owner));
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
  return { status: 200 };
}

async function putOnObject(ctx: OperationContext): Promise<OperationResult> {
  const { services } = ctx;
  const bucket = ctx.bucket!;
  const version = await requireVersion(ctx);
  const headers = versionHeaders(bucket, version.versionId);
  const wanted = wantedAcl(ctx, 'object');
  if (!aclsCount(bucket)) {
    await requireSame(ctx, wanted);
    return { status: 200, headers };
  }
  const acl = keptAcl(await resolveWanted(ctx, wanted, version.owner, bucket.owner), version.owner);
  const versionId = await changeVersion(ctx, (change) => services.catalog.amendVersion({ ...change, acl }));
  return { status: 200, headers: versionHeaders(bucket, versionId) };
}

type WantedAcl = RequestedAcl & {
  /** Whom a document calls the owner. */
  readonly owner?: string;
};

/** @throws {S3Error} MissingSecurityHeader, UnexpectedContent, MalformedACLError, InvalidArgument, InvalidRequest */
function wantedAcl({ headers, text }: OperationContext, on: AclSubject): WantedAcl {
  const requested = aclOfHeaders(headers, on);
  const hasDocument = text.trim() !== '';
  if (requested !== null) {
    if (hasDocument) throw new S3Error('UnexpectedContent');
    return requested;
  }
  if (!hasDocument)
    throw new S3Error('MissingSecurityHeader', { fields: { MissingHeaderName: 'x-amz-acl' } });
  return { kind: 'grants', ...readAclDocument(text) };
}

/** @throws {S3Error} AccessControlListNotSupported, AccessDenied: another owner than the bucket's */
async function requireSame(ctx: OperationContext, wanted: WantedAcl): Promise<void> {
  await requireDefault(ctx, wanted);
  if (wanted.owner !== undefined && wanted.owner !== ctx.bucket!.owner) throw new S3Error('AccessDenied');
}

/** @throws {S3Error} AccessDenied: another owner than it has, or a public list where these are blocked */
async function resolveWanted(
  ctx: OperationContext,
  wanted: WantedAcl,
  owner: AccountId,
  bucketOwner: AccountId | null,
): Promise<Acl> {
  if (wanted.owner !== undefined && wanted.owner !== owner) throw new S3Error('AccessDenied');
  const acl =
    wanted.kind === 'canned'
      ? cannedAcl(wanted.name, owner, bucketOwner)
      : await resolveGrants(ctx.services.catalog, wanted.grants);
  requireUnblocked(ctx.bucket!, acl);
  return acl;
}
