/**
 * The list that a request asks for: a canned one, or grants from headers or a document, whose grantees are looked up.
 * Source: "Access control list (ACL) overview" and PutBucketAcl, Amazon S3 API Reference.
 */
import type { AccountId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Acl, AclGrant, AclGrantee, AclGroup, AclPermission, Catalog } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import { type AclSubject, isCannedAcl } from './acl.ts';

export type RequestedGrantee =
  | { readonly id: string }
  | { readonly uri: string }
  | { readonly emailAddress: string };
export interface RequestedGrant {
  readonly grantee: RequestedGrantee;
  readonly permission: AclPermission;
}
export type RequestedAcl =
  | { readonly kind: 'canned'; readonly name: string }
  | { readonly kind: 'grants'; readonly grants: readonly RequestedGrant[] };

export const GROUP_URIS: Readonly<Record<AclGroup, string>> = {
  AllUsers: 'http://acs.amazonaws.com/groups/global/AllUsers',
  AuthenticatedUsers: 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers',
  LogDelivery: 'http://acs.amazonaws.com/groups/s3/LogDelivery',
};
const GROUPS = new Map(Object.entries(GROUP_URIS).map(([group, uri]) => [uri, group as AclGroup]));

const CANNED_HEADER = 'x-amz-acl';
/** In the order in which grants are listed. */
const GRANT_HEADERS: readonly (readonly [header: string, permission: AclPermission])[] = [
  ['x-amz-grant-read', 'READ'],
  ['x-amz-grant-write', 'WRITE'],
  ['x-amz-grant-read-acp', 'READ_ACP'],
  ['x-amz-grant-write-acp', 'WRITE_ACP'],
  ['x-amz-grant-full-control', 'FULL_CONTROL'],
];

type Headers = Readonly<Record<string, string | undefined>>;

/** @returns null where the headers say nothing. @throws {S3Error} InvalidArgument, InvalidRequest, MalformedACLError */
export function aclOfHeaders(headers: Headers, on: AclSubject): RequestedAcl | null {
  const name = headers[CANNED_HEADER];
  const granting = GRANT_HEADERS.filter(([header]) => headers[header] !== undefined);
  if (name === undefined) {
    if (granting.length === 0) return null;
    const grants = granting.flatMap(([header, permission]) => grantsOf(header, headers[header]!, permission));
    return { kind: 'grants', grants: bounded(grants) };
  }
  if (granting.length > 0)
    throw new S3Error('InvalidRequest', {
      message: 'Specifying both Canned ACLs and Header Grants is not allowed',
    });
  if (!isCannedAcl(name, on)) throw invalidArgument(CANNED_HEADER, name);
  return { kind: 'canned', name };
}

const invalidArgument = (name: string, value: string, message?: string): S3Error =>
  new S3Error('InvalidArgument', {
    ...(message !== undefined && { message }),
    fields: { ArgumentName: name, ArgumentValue: value.slice(0, 256) },
  });

/** `id="…", uri="…", emailAddress="…"`, with quotes or without. */
function grantsOf(header: string, value: string, permission: AclPermission): RequestedGrant[] {
  return value.split(',').map((word) => {
    const [, type, quoted, plain] = /^\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^"\s]*))\s*$/.exec(word) ?? [];
    const named = quoted ?? plain ?? '';
    const grantee = named === '' ? null : granteeOf(type?.toLowerCase(), named);
    if (grantee === null) throw invalidArgument(header, value, 'Argument format not recognized');
    return { grantee, permission };
  });
}

function granteeOf(type: string | undefined, named: string): RequestedGrantee | null {
  if (type === 'id') return { id: named };
  if (type === 'uri') return { uri: named };
  return type === 'emailaddress' ? { emailAddress: named } : null;
}

/** @throws {S3Error} MalformedACLError */
export function bounded(grants: readonly RequestedGrant[]): readonly RequestedGrant[] {
  if (grants.length > LIMITS.aclGrantsMax) throw new S3Error('MalformedACLError');
  return grants;
}

/** The grants with accounts and groups in place of what names them; groups first, each grant once. */
export async function resolveGrants(
  catalog: Pick<Catalog, 'findAccount' | 'listAccounts'>,
  grants: readonly RequestedGrant[],
): Promise<Acl> {
  const known = new Map<string, AclGrantee>();
  const acl = new Map<string, AclGrant>();
  for (const { grantee, permission } of grants) {
    const named = JSON.stringify(grantee);
    const found = known.get(named) ?? (await resolved(catalog, grantee));
    known.set(named, found);
    acl.set(`${permission} ${JSON.stringify(found)}`, { grantee: found, permission });
  }
  const all = [...acl.values()];
  const isGroup = (grant: AclGrant) => 'group' in grant.grantee;
  return [...all.filter(isGroup), ...all.filter((grant) => !isGroup(grant))];
}

async function resolved(
  catalog: Pick<Catalog, 'findAccount' | 'listAccounts'>,
  grantee: RequestedGrantee,
): Promise<AclGrantee> {
  if ('uri' in grantee) {
    const group = GROUPS.get(grantee.uri);
    if (group === undefined) throw invalidArgument('Group/URI', grantee.uri, 'Invalid group uri');
    return { group };
  }
  if ('id' in grantee) {
    const account = await catalog.findAccount(grantee.id as AccountId);
    if (account === null) throw invalidArgument('CanonicalUser/ID', grantee.id, 'Invalid id');
    return { account: account.id };
  }
  const email = grantee.emailAddress.toLowerCase();
  const accounts = (await catalog.listAccounts()).filter((one) => one.email?.toLowerCase() === email);
  if (accounts.length === 0) throw new S3Error('UnresolvableGrantByEmailAddress');
  if (accounts.length > 1) throw new S3Error('AmbiguousGrantByEmailAddress');
  return { account: accounts[0]!.id };
}
