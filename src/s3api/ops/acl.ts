/**
 * ACLs name the default only: the owner has FULL_CONTROL, nobody else has anything. Reading shows that; setting is
 * accepted when it says the same (`private`), and is 501 otherwise.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Catalog } from '../../ddm/catalog.ts';
import { notImplemented } from '../meaning.ts';
import { requireVersion } from '../objects/reading.ts';
import { versionHeaders } from '../objects/response-headers.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml } from '../owners.ts';
import { escapeXml, tag, wrap, xmlDocument } from '../xml.ts';

const query = { acl: true } as const;

export const getBucketAcl: OperationRow = {
  name: 'GetBucketAcl',
  method: 'GET',
  target: 'bucket',
  query,
  permission: 's3:GetBucketAcl',
  body: 'none',
  status: 'not-set',
  run: async ({ services, bucket }) => ({
    status: 200,
    body: await ownerOnlyAcl(services.catalog, bucket!.owner),
  }),
};

export const getObjectAcl: OperationRow = {
  name: 'GetObjectAcl',
  method: 'GET',
  target: 'object',
  query,
  permission: 's3:GetObjectAcl',
  body: 'none',
  status: 'not-set',
  run: async (ctx) => {
    const version = await requireVersion(ctx);
    return {
      status: 200,
      headers: versionHeaders(ctx.bucket!, version.versionId),
      body: await ownerOnlyAcl(ctx.services.catalog, version.owner),
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
  status: 'not-set',
  run: async (ctx) => acceptDefault(ctx),
};

export const putObjectAcl: OperationRow = {
  name: 'PutObjectAcl',
  method: 'PUT',
  target: 'object',
  query,
  permission: 's3:PutObjectAcl',
  body: 'xml',
  status: 'not-set',
  run: async (ctx) => {
    const version = await requireVersion(ctx);
    return { ...acceptDefault(ctx), headers: versionHeaders(ctx.bucket!, version.versionId) };
  },
};

/** checkMeaning has let nothing but `private` and `bucket-owner-full-control` through in the header. */
function acceptDefault({ headers, text }: OperationContext): OperationResult {
  if (headers['x-amz-acl'] === undefined || text.trim() !== '') throw notImplemented('AccessControlPolicy');
  return { status: 200 };
}

async function ownerOnlyAcl(catalog: Catalog, owner: AccountId): Promise<string> {
  const owners = await loadOwners(catalog, [owner]);
  const name = owners.get(owner) ?? owner;
  const grantee =
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">' +
    `<ID>${escapeXml(owner)}</ID><DisplayName>${escapeXml(name)}</DisplayName></Grantee>`;
  const grant = wrap('Grant', grantee + tag('Permission', 'FULL_CONTROL'));
  return xmlDocument(
    'AccessControlPolicy',
    ownerXml('Owner', owner, owners) + wrap('AccessControlList', grant),
  );
}
