/** The XML of the query APIs: envelopes, users, roles, keys, lists page by page. */
import type { AccessKey, Entity } from '../../ddm/catalog.ts';
import { accountArn, entityArn } from '../../identity/arns.ts';
import { encodeComponent } from '../../identity/sign.ts';
import type { AccountPrincipal } from '../../identity/signer.ts';
import { tag, wrap, XML_DECLARATION } from '../xml.ts';
import type { QueryAction, QueryService } from './action.ts';
import { VERSIONS } from './action.ts';
import { type QueryError, validation } from './errors.ts';
import type { Parameters } from './parameters.ts';

const namespaceOf = (service: QueryService): string =>
  `https://${service}.amazonaws.com/doc/${VERSIONS[service]}/`;

export function answerXml(action: QueryAction, result: string | null, requestId: string): string {
  const { name, service } = action;
  const inner =
    (result === null ? '' : wrap(`${name}Result`, result)) +
    wrap('ResponseMetadata', tag('RequestId', requestId));
  return `${XML_DECLARATION}<${name}Response xmlns="${namespaceOf(service)}">${inner}</${name}Response>`;
}

export function errorXml(service: QueryService, error: QueryError, requestId: string): string {
  const type = error.status < 500 || error.status === 501 ? 'Sender' : 'Receiver';
  const inner = wrap('Error', tag('Type', type) + tag('Code', error.code) + tag('Message', error.message));
  return `${XML_DECLARATION}<ErrorResponse xmlns="${namespaceOf(service)}">${inner}${tag('RequestId', requestId)}</ErrorResponse>`;
}

/** `2026-01-31T12:34:56Z` */
export const dateXml = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

export const callerArn = ({ account, identity }: AccountPrincipal): string =>
  identity?.arn ?? accountArn(account);

/** Policies travel URL-encoded. */
export const documentXml = (text: string): string => encodeComponent(text);

export const tagsXml = (tags: Readonly<Record<string, string>>): string =>
  Object.keys(tags)
    .sort()
    .map((key) => wrap('member', tag('Key', key) + tag('Value', tags[key])))
    .join('');

/** Inside of `User` and `Role`; lists show no tags. */
export function entityXml(entity: Entity, o: { readonly tags: boolean }): string {
  const [name, id] = entity.kind === 'user' ? ['UserName', 'UserId'] : ['RoleName', 'RoleId'];
  const hasTags = o.tags && Object.keys(entity.tags).length > 0;
  return (
    tag('Path', entity.path) +
    tag(name!, entity.name) +
    tag(id!, entity.id) +
    tag('Arn', entityArn(entity)) +
    tag('CreateDate', dateXml(entity.createdAt)) +
    (entity.trust === undefined ? '' : tag('AssumeRolePolicyDocument', documentXml(entity.trust))) +
    tag('Description', entity.description) +
    tag('MaxSessionDuration', entity.sessionSeconds) +
    (hasTags ? wrap('Tags', tagsXml(entity.tags)) : '')
  );
}

/** Inside of `AccessKey` and of a member of AccessKeyMetadata. Keys of the account itself have no user name. */
export const keyXml = (key: AccessKey, secret?: string): string =>
  tag('UserName', key.user?.name) +
  tag('AccessKeyId', key.accessKeyId) +
  tag('Status', key.status === 'active' ? 'Active' : 'Inactive') +
  tag('SecretAccessKey', secret) +
  tag('CreateDate', dateXml(key.createdAt));

const ITEMS_MAX = 1000;
const ITEMS_DEFAULT = 100;
export const PAGE_PARAMETERS = ['Marker', 'MaxItems'] as const;

export interface Page {
  /** The name of the last item before it; '' at the start. */
  readonly after: string;
  readonly max: number;
}

/** @throws {QueryError} ValidationError */
export function pageOf(parameters: Parameters): Page {
  const max = parameters.integer('MaxItems', 1, ITEMS_MAX) ?? ITEMS_DEFAULT;
  const marker = parameters.optional('Marker', 'marker');
  if (marker === undefined) return { after: '', max };
  const after = Buffer.from(marker, 'base64url').toString('utf8');
  if (!/^[!-~]{1,128}$/.test(after) || markerOf(after) !== marker) throw validation('Invalid Marker.');
  return { after, max };
}

const markerOf = (name: string): string => Buffer.from(name).toString('base64url');

/** @param last the name of the last member of the page, when there are more */
export function listXml(element: string, members: readonly string[], last: string | null): string {
  const marker = last === null ? '' : tag('Marker', markerOf(last));
  return wrap(element, members.join('')) + tag('IsTruncated', last !== null) + marker;
}

/** A page of names that are all at hand. */
export function pageOfNames(names: Iterable<string>, page: Page): { names: string[]; last: string | null } {
  const rest = [...names].filter((name) => name > page.after).sort();
  const shown = rest.slice(0, page.max);
  return { names: shown, last: rest.length > shown.length ? shown.at(-1)! : null };
}
