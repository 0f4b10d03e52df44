/**
 * What a request says to the conditions of policies. Names in lower case; what the request does not say has no entry.
 * Source: "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference; "AWS global condition
 * context keys", IAM User Guide.
 */
import type { Bucket } from '../../ddm/catalog.ts';
import type { Authenticated, Principal } from '../../identity/types.ts';
import { type Tags, tagsOfHeader } from '../tags.ts';
import type { RequestOrigin } from './origin.ts';

export interface RequestFacts {
  readonly operation: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly query: ReadonlyMap<string, string>;
  readonly authenticated: Pick<Authenticated, 'presigned' | 'signedAt'>;
  readonly origin: RequestOrigin;
  readonly now: number;
  readonly region: string;
  /** The signature came in a form. */
  readonly form?: boolean;
  /** What the body says: tags, locks, a region. Names of condition keys, lower case. */
  readonly body?: Readonly<Record<string, string>>;
  /** Tags that the body brings. */
  readonly tags?: Tags;
}

/** Headers whose condition keys have their names. */
const HEADERS: readonly string[] =
  `x-amz-acl x-amz-grant-read x-amz-grant-write x-amz-grant-read-acp x-amz-grant-write-acp
  x-amz-grant-full-control x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
  x-amz-server-side-encryption-customer-algorithm x-amz-storage-class x-amz-website-redirect-location
  x-amz-content-sha256 x-amz-metadata-directive x-amz-object-ownership if-match if-none-match`.split(/\s+/);
const LOCK_HEADERS: readonly string[] = [
  'object-lock-mode',
  'object-lock-retain-until-date',
  'object-lock-legal-hold',
];
const LISTS: ReadonlySet<string> = new Set([
  'ListObjects',
  'ListObjectsV2',
  'ListObjectVersions',
  'ListMultipartUploads',
]);
const CREATES: ReadonlySet<string> = new Set([
  'PutObject',
  'CopyObject',
  'CompleteMultipartUpload',
  'PostObject',
]);
const CREATES_LATER: ReadonlySet<string> = new Set(['CreateMultipartUpload', 'UploadPart', 'UploadPartCopy']);
const DAY_MS = 86_400_000;

export function requestContext(
  facts: RequestFacts,
  principal: Principal,
  bucket: Bucket | null,
): Map<string, readonly string[]> {
  const context = new Map<string, readonly string[]>();
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined) context.set(name, [value]);
  };
  const { headers, origin, now } = facts;
  set('aws:sourceip', origin.ip);
  set('aws:securetransport', String(origin.secure));
  set('aws:referer', headers.referer);
  set('aws:useragent', headers['user-agent']);
  set('aws:currenttime', new Date(now).toISOString());
  set('aws:epochtime', String(Math.floor(now / 1000)));
  set('aws:requestedregion', facts.region);
  set('aws:viaawsservice', 'false');
  set('aws:principalisawsservice', 'false');
  set('aws:resourceaccount', bucket?.owner);
  set('s3:resourceaccount', bucket?.owner);
  set('s3:tlsversion', origin.tlsVersion);
  setPrincipal(set, principal);
  setSignature(set, facts);
  for (const name of HEADERS) set(`s3:${name}`, headers[name]);
  setCopySource(context, headers['x-amz-copy-source']);
  setQuery(set, facts);
  setLocks(set, facts);
  setTags(context, facts.tags ?? tagsOfHeader(headers['x-amz-tagging']));
  if (CREATES.has(facts.operation)) set('s3:objectcreationoperation', 'true');
  if (CREATES_LATER.has(facts.operation)) set('s3:objectcreationoperation', 'false');
  for (const [name, value] of Object.entries(facts.body ?? {})) set(name, value);
  return context;
}

type Set1 = (name: string, value: string | undefined) => void;

function setPrincipal(set: Set1, principal: Principal): void {
  if (principal.kind === 'anonymous') {
    set('aws:principaltype', 'Anonymous');
    set('aws:userid', 'anonymous');
    return;
  }
  const { account, identity } = principal;
  set('aws:principalaccount', account.id);
  set('aws:principalarn', principalArn(principal));
  set('aws:userid', identity?.userId ?? account.id);
  set(
    'aws:principaltype',
    identity === undefined ? 'Account' : identity.kind === 'user' ? 'User' : 'AssumedRole',
  );
  if (identity?.kind === 'user') set('aws:username', identity.name);
  for (const [name, value] of Object.entries(identity?.sessionTags ?? {}))
    set(`aws:principaltag/${name.toLowerCase()}`, value);
}

/** Of a session the role's, as AWS has it. */
export function principalArn(principal: Principal): string {
  if (principal.kind === 'anonymous') return '*';
  const { account, identity } = principal;
  if (identity === undefined) return `arn:aws:iam::${account.id}:root`;
  const session = /^arn:aws:sts::([^:]*):assumed-role\/([^/]+)\//.exec(identity.arn);
  return session ? `arn:aws:iam::${session[1]}:role/${session[2]}` : identity.arn;
}

function setSignature(set: Set1, { authenticated, now, form }: RequestFacts): void {
  if (authenticated.signedAt === undefined) return;
  set('s3:authtype', form ? 'POST' : authenticated.presigned ? 'REST-QUERY-STRING' : 'REST-HEADER');
  set('s3:signatureversion', 'AWS4-HMAC-SHA256');
  set('s3:signatureage', String(Math.max(0, Math.trunc(now - authenticated.signedAt))));
}

/** Clients write the source with a slash before it or without; policies too. Both are there. */
function setCopySource(context: Map<string, readonly string[]>, header: string | undefined): void {
  if (header === undefined) return;
  const bare = decoded(header)
    .replace(/^\//, '')
    .replace(/\?versionId=.*$/s, '');
  context.set('s3:x-amz-copy-source', [bare, `/${bare}`]);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function setQuery(set: Set1, { operation, query }: RequestFacts): void {
  set('s3:versionid', query.get('versionId'));
  if (!LISTS.has(operation)) return;
  set('s3:prefix', query.get('prefix'));
  set('s3:delimiter', query.get('delimiter'));
  set('s3:max-keys', query.get('max-keys'));
}

function setLocks(set: Set1, { headers, body, now }: RequestFacts): void {
  for (const name of LOCK_HEADERS) set(`s3:${name}`, headers[`x-amz-${name}`]);
  const until = Date.parse(
    body?.['s3:object-lock-retain-until-date'] ?? headers['x-amz-object-lock-retain-until-date'] ?? '',
  );
  if (!Number.isNaN(until))
    set('s3:object-lock-remaining-retention-days', String(Math.ceil((until - now) / DAY_MS)));
}

function setTags(context: Map<string, readonly string[]>, tags: Tags): void {
  const names = Object.keys(tags);
  if (names.length === 0) return;
  context.set('s3:requestobjecttagkeys', names);
  for (const name of names) context.set(`s3:requestobjecttag/${name.toLowerCase()}`, [tags[name]!]);
}

/** The tags that a version has: `s3:ExistingObjectTag/…`. */
export function existingTags(tags: Tags): [string, readonly string[]][] {
  return Object.entries(tags).map(([name, value]) => [`s3:existingobjecttag/${name.toLowerCase()}`, [value]]);
}
