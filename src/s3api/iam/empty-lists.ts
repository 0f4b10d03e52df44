/**
 * Reads of what this store does not have (groups, managed policies, passwords, MFA …), which tools do before they change or
 * delete a user or a role: empty lists, and AWS's words for what is not there.
 */
import type { EntityKind } from '../../ddm/catalog.ts';
import { entityNamed, iamAction, type QueryAction } from './action.ts';
import { listXml, PAGE_PARAMETERS, pageOf } from './documents.ts';
import { ownName } from './entities.ts';
import { QueryError } from './errors.ts';

/** Of a user or role that must exist: action, its list's element, further parameters. */
const OF_ENTITY: readonly (readonly [string, EntityKind, string, ...string[]])[] = [
  ['ListAttachedUserPolicies', 'user', 'AttachedPolicies', 'PathPrefix'],
  ['ListGroupsForUser', 'user', 'Groups'],
  ['ListMFADevices', 'user', 'MFADevices'],
  ['ListSSHPublicKeys', 'user', 'SSHPublicKeys'],
  ['ListSigningCertificates', 'user', 'Certificates'],
  ['ListServiceSpecificCredentials', 'user', 'ServiceSpecificCredentials', 'ServiceName'],
  ['ListAttachedRolePolicies', 'role', 'AttachedPolicies', 'PathPrefix'],
  ['ListInstanceProfilesForRole', 'role', 'InstanceProfiles'],
];

/** Of the account. */
const OF_ACCOUNT: readonly (readonly [string, string, ...string[]])[] = [
  ['ListAccountAliases', 'AccountAliases'],
  ['ListGroups', 'Groups', 'PathPrefix'],
  ['ListInstanceProfiles', 'InstanceProfiles', 'PathPrefix'],
  ['ListOpenIDConnectProviders', 'OpenIDConnectProviderList'],
  ['ListPolicies', 'Policies', 'Scope', 'OnlyAttached', 'PathPrefix', 'PolicyUsageFilter'],
  ['ListSAMLProviders', 'SAMLProviderList'],
  ['ListServerCertificates', 'ServerCertificateMetadataList', 'PathPrefix'],
  ['ListVirtualMFADevices', 'VirtualMFADevices', 'AssignmentStatus'],
];

const noProfile = ['GetLoginProfile', 'DeleteLoginProfile'].map((name) =>
  iamAction(name, ['UserName'], async (ctx) => {
    const user = await entityNamed(ctx, 'user', ctx.parameters.required('UserName', 'entityName'));
    throw new QueryError('NoSuchEntity', `Login Profile for User ${user.name} cannot be found.`);
  }),
);

export const EMPTY_LISTS: readonly QueryAction[] = [
  ...OF_ENTITY.map(([name, kind, element, ...more]) => {
    const parameter = kind === 'user' ? 'UserName' : 'RoleName';
    return iamAction(name, [parameter, ...more, ...PAGE_PARAMETERS], async (ctx) => {
      pageOf(ctx.parameters);
      const given = ctx.parameters.optional(parameter, 'entityName');
      const owner = given ?? (kind === 'user' ? ownName(ctx) : null);
      if (owner !== null) await entityNamed(ctx, kind, owner);
      else ctx.parameters.required(parameter, 'entityName');
      return listXml(element, [], null);
    });
  }),
  ...OF_ACCOUNT.map(([name, element, ...more]) =>
    iamAction(name, [...more, ...PAGE_PARAMETERS], async (ctx) => {
      pageOf(ctx.parameters);
      ctx.authorize('*');
      return listXml(element, [], null);
    }),
  ),
  ...noProfile,
];
