/** GetBucketOwnershipControls, PutBucketOwnershipControls and DeleteBucketOwnershipControls. */
import { keptAcl, keptBucketAcl } from '../acl/acl.ts';
import {
  isObjectOwnership,
  type ObjectOwnership,
  OWNERSHIP_CONTROLS,
  type OwnershipControls,
  shownOwnership,
} from '../acl/ownership.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';
import { childText, malformedXml, parseDocument, requireChildren } from '../xml-reader.ts';

const query = { ownershipControls: true } as const;

export const getBucketOwnershipControls: OperationRow = {
  name: 'GetBucketOwnershipControls',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetBucketOwnershipControls',
  body: 'none',
  status: 'supported',
  run: async ({ bucket, bucketName }) => {
    const shown = shownOwnership(bucket!);
    if (shown === null)
      throw new S3Error('OwnershipControlsNotFoundError', { fields: { BucketName: bucketName } });
    return {
      status: 200,
      body: xmlDocument('OwnershipControls', wrap('Rule', tag('ObjectOwnership', shown))),
    };
  },
};

export const putBucketOwnershipControls: OperationRow = {
  name: 'PutBucketOwnershipControls',
  method: 'PUT',
  target: 'bucket',
  query,
  permission: 's3:PutBucketOwnershipControls',
  body: 'xml',
  status: 'supported',
  run: async (ctx) => {
    const bucket = ctx.bucket!;
    const objectOwnership = readOwnershipControls(ctx.text);
    const acl = keptBucketAcl(bucket);
    if (objectOwnership === 'BucketOwnerEnforced' && acl !== null && keptAcl(acl, bucket.owner) !== null)
      throw new S3Error('InvalidBucketAclWithObjectOwnership');
    await setControls(ctx, { objectOwnership });
    return { status: 200 };
  },
};

export const deleteBucketOwnershipControls: OperationRow = {
  name: 'DeleteBucketOwnershipControls',
  method: 'DELETE',
  target: 'bucket',
  query,
  permission: 's3:PutBucketOwnershipControls',
  body: 'none',
  status: 'supported',
  run: async (ctx) => {
    await setControls(ctx, { objectOwnership: null });
    return { status: 204 };
  },
};

/** @throws {S3Error} MalformedXML unless it has one rule */
function readOwnershipControls(text: string): ObjectOwnership {
  const root = parseDocument(text, 'OwnershipControls', ['Rule']);
  const [rule, ...others] = root.children;
  if (!rule || others.length > 0) throw malformedXml();
  requireChildren(rule, ['ObjectOwnership']);
  const said = childText(rule, 'ObjectOwnership')?.trim() ?? '';
  if (!isObjectOwnership(said)) throw malformedXml();
  return said;
}

async function setControls(ctx: OperationContext, controls: OwnershipControls): Promise<void> {
  const outcome = await ctx.services.catalog.setBucketSetting(ctx.bucket!.id, OWNERSHIP_CONTROLS, controls);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
}
