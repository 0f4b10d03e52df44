/**
 * Which actions an operation needs, with its versioned variants and what its headers add. The action of an operation's row
 * comes first. Source: "Required permissions for Amazon S3 API operations", Amazon S3 User Guide.
 */
import type { OperationRow } from '../operation.ts';

type Headers = Readonly<Record<string, string | undefined>>;

/** What is asked when a version is named. */
const VERSIONED: Readonly<Record<string, string>> = {
  's3:GetObject': 's3:GetObjectVersion',
  's3:GetObjectAcl': 's3:GetObjectVersionAcl',
  's3:PutObjectAcl': 's3:PutObjectVersionAcl',
  's3:GetObjectTagging': 's3:GetObjectVersionTagging',
  's3:PutObjectTagging': 's3:PutObjectVersionTagging',
  's3:DeleteObjectTagging': 's3:DeleteObjectVersionTagging',
  's3:GetObjectAttributes': 's3:GetObjectVersionAttributes',
  's3:GetObjectTorrent': 's3:GetObjectVersionTorrent',
  's3:DeleteObject': 's3:DeleteObjectVersion',
};

/** What operations need beside the action of their row. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  GetObjectAttributes: ['s3:GetObject'],
};

const MAKES_OBJECTS: ReadonlySet<string> = new Set(['PutObject', 'CopyObject', 'CreateMultipartUpload']);
/** Writes and deletions that look at what is there. */
const LOOKS_FIRST: ReadonlySet<string> = new Set([
  'PutObject',
  'CopyObject',
  'CompleteMultipartUpload',
  'DeleteObject',
]);

export const versioned = (action: string, versionId: string | undefined): string =>
  versionId === undefined ? action : (VERSIONED[action] ?? action);

/** @param bucketOwner '' for a bucket that is yet to be @returns at least one; all of them must be allowed */
export function actionsOf(
  operation: Pick<OperationRow, 'name' | 'permission' | 'target'>,
  headers: Headers,
  query: ReadonlyMap<string, string>,
  bucketOwner: string,
): string[] {
  const { name, permission, target } = operation;
  const versionId = target === 'object' ? query.get('versionId') : undefined;
  const actions = [permission, ...(BESIDE[name] ?? [])].map((action) => versioned(action, versionId));
  if (MAKES_OBJECTS.has(name)) actions.push(...beside(headers, bucketOwner));
  if (LOOKS_FIRST.has(name) && headers['if-match'] !== undefined) actions.push('s3:GetObject');
  if (name === 'CreateBucket') actions.push(...besideNewBucket(headers));
  return actions;
}

/** What the headers of a request that makes an object ask for, each with a permission of its own; locks: objects/locks.ts. */
function beside(headers: Headers, bucketOwner: string): string[] {
  const actions: string[] = [];
  if (headers['x-amz-tagging']) actions.push('s3:PutObjectTagging');
  if (givesAway(headers, bucketOwner)) actions.push('s3:PutObjectAcl');
  return actions;
}

function besideNewBucket(headers: Headers): string[] {
  const actions: string[] = [];
  if (givesAway(headers, '')) actions.push('s3:PutBucketAcl');
  if (headers['x-amz-object-ownership'] !== undefined) actions.push('s3:PutBucketOwnershipControls');
  if (headers['x-amz-bucket-object-lock-enabled']?.toLowerCase() === 'true')
    actions.push('s3:PutBucketObjectLockConfiguration', 's3:PutBucketVersioning');
  return actions;
}

/** Canned lists that grant nobody anything but the owners of object and bucket. */
const KEPT: ReadonlySet<string> = new Set(['private', 'bucket-owner-full-control', 'bucket-owner-read']);
const GRANT = /^\s*id\s*=\s*"?([^"]*?)"?\s*$/i;

/** What is granted to the bucket's owner needs no permission: policies may demand it of everybody who writes. */
function givesAway(headers: Headers, bucketOwner: string): boolean {
  const canned = headers['x-amz-acl'];
  if (canned !== undefined && !KEPT.has(canned)) return true;
  return Object.entries(headers).some(
    ([name, grants]) =>
      name.startsWith('x-amz-grant-') &&
      grants?.split(',').some((grant) => bucketOwner === '' || GRANT.exec(grant)?.[1] !== bucketOwner),
  );
}
