/** AccessControlPolicy in and out. Source: GetBucketAcl and PutBucketAcl, Amazon S3 API Reference. */
import type { AccountId } from '../../base/ids.ts';
import { ACL_PERMISSIONS, type Acl, type AclGrant, type Catalog } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import { loadOwners, type Owners, ownerXml } from '../owners.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';
import {
  childText,
  leafText,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from '../xml-reader.ts';
import { bounded, GROUP_URIS, type RequestedGrant, type RequestedGrantee } from './requested.ts';

export interface AclDocument {
  /** Whom the document calls the owner. */
  readonly owner: string;
  readonly grants: readonly RequestedGrant[];
}

/** @throws {S3Error} MalformedACLError */
export function readAclDocument(text: string): AclDocument {
  try {
    const root = parseDocument(text, 'AccessControlPolicy', ['Owner', 'AccessControlList']);
    const [owner, list] = [onlyChild(root, 'Owner'), onlyChild(root, 'AccessControlList')];
    if (!owner || !list) throw malformedXml();
    requireChildren(owner, ['ID', 'DisplayName']);
    requireChildren(list, ['Grant']);
    return {
      owner: childText(owner, 'ID')?.trim() ?? '',
      grants: bounded(list.children.map(readGrant)),
    };
  } catch (error) {
    if (error instanceof S3Error && error.code === 'MalformedXML')
      throw new S3Error('MalformedACLError', { cause: error });
    throw error;
  }
}

function readGrant(grant: XmlElement): RequestedGrant {
  requireChildren(grant, ['Grantee', 'Permission']);
  const grantee = onlyChild(grant, 'Grantee');
  const said = childText(grant, 'Permission')?.trim();
  const permission = ACL_PERMISSIONS.find((known) => known === said);
  if (!grantee || permission === undefined) throw malformedXml();
  return { grantee: readGrantee(grantee), permission };
}

/** `xsi:type` says what names the grantee. */
function readGrantee(element: XmlElement): RequestedGrantee {
  requireChildren(element, ['ID', 'DisplayName', 'URI', 'EmailAddress']);
  const named = (name: string): string => {
    const child = onlyChild(element, name);
    if (!child) throw malformedXml();
    return leafText(child).trim();
  };
  switch (element.type) {
    case 'CanonicalUser':
      return { id: named('ID') };
    case 'Group':
      return { uri: named('URI') };
    case 'AmazonCustomerByEmail':
      return { emailAddress: named('EmailAddress') };
    default:
      throw malformedXml();
  }
}

export async function aclXml(catalog: Catalog, owner: AccountId, acl: Acl): Promise<string> {
  const accounts = acl.flatMap(({ grantee }) => ('account' in grantee ? [grantee.account] : []));
  const owners = await loadOwners(catalog, [owner, ...accounts]);
  const grants = acl.map((grant) =>
    wrap('Grant', granteeXml(grant, owners) + tag('Permission', grant.permission)),
  );
  return xmlDocument(
    'AccessControlPolicy',
    ownerXml('Owner', owner, owners) + wrap('AccessControlList', grants.join('')),
  );
}

function granteeXml({ grantee }: AclGrant, owners: Owners): string {
  const open = (type: string) =>
    `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">`;
  if ('group' in grantee) return `${open('Group')}${tag('URI', GROUP_URIS[grantee.group])}</Grantee>`;
  const { account } = grantee;
  const name = owners.get(account) ?? account;
  return `${open('CanonicalUser')}${tag('ID', account)}${tag('DisplayName', name)}</Grantee>`;
}
