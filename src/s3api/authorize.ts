/**
 * The one place that decides who may do what: the store's root account everything; otherwise no policy may deny, and of the
 * same account either the identity or the bucket's policy or a list (ACL) must allow, of another account its identity and
 * one of the other two. Whatever needs the object's row looks it up only when the answer depends on it.
 * Source: "How Amazon S3 authorizes a request" and "Access policy evaluation logic", AWS user guides.
 */
import type { Bucket, ObjectVersion } from '../ddm/catalog.ts';
import { find, type PolicyFinding, type PolicyRequest } from '../identity/policy/evaluate.ts';
import { PolicyError } from '../identity/policy/parse.ts';
import type { PolicyContext, PolicyDocument } from '../identity/policy/types.ts';
import type { Identity, Principal } from '../identity/types.ts';
import { aclAllows, aclsCount, resourceOwner } from './access/acl-answer.ts';
import { policyOf, publicAccessBlockOf, type UnderstoodPolicy } from './access/bucket-policy.ts';
import { existingTags } from './access/request-context.ts';

export interface AccessQuestion {
  readonly principal: Principal;
  /** `s3:GetObject` */
  readonly action: string;
  /** null for operations on the service, and for CreateBucket. */
  readonly bucket: Bucket | null;
  /** '' for operations on the service. */
  readonly bucketName: string;
  /** '' unless it is about an object. */
  readonly key: string;
  readonly versionId?: string;
  /** S3's name of the operation that asks. */
  readonly operation?: string;
  /** What the request says to conditions. Made when a policy asks. */
  readonly context: () => PolicyContext;
  /** The version that is asked about; null where there is none. Looked up once, when the answer depends on it. */
  readonly findObject: () => Promise<ObjectVersion | null>;
}

export interface Verdict {
  readonly decision: 'allow' | 'deny';
  /** For the log of decisions, never for clients. */
  readonly why: string;
  /** Somebody wrote down that it is denied. */
  readonly denied?: true;
}

const allow = (why: string): Verdict => ({ decision: 'allow', why });
const deny = (why: string): Verdict => ({ decision: 'deny', why });

export async function authorize(question: AccessQuestion): Promise<Verdict> {
  const { principal, bucket } = question;
  const identity = principal.kind === 'account' ? principal.identity : undefined;
  if (principal.kind === 'account' && principal.account.isRoot && identity === undefined)
    return allow('the root account');
  let policy: UnderstoodPolicy | null;
  try {
    policy = bucket === null ? null : policyOf(bucket);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return deny(`the stored policy is not understood: ${error.message}`);
  }
  const said =
    policy === null && identity === undefined ? NOTHING_SAID : await ask(question, policy, identity);
  if (said.denied !== null) return { ...deny(said.denied), denied: true };
  const identityAllows = principal.kind === 'account' && (identity === undefined || said.identity);
  if (bucket === null)
    return identityAllows ? allow('an account') : deny('no policy of the identity allows it');
  const owner = aclsCount(bucket) ? await resourceOwner(question) : bucket.owner;
  const own = principal.kind === 'account' && owner === principal.account.id;
  if (own && identityAllows) return allow('the owner');
  // A bucket's policy gives away what is the bucket owner's.
  if (said.bucket.effect === 'allow' && owner === bucket.owner) {
    if (own && said.bucket.direct) return allow(`the policy, ${said.bucket.statement}`);
    const restricted = policy!.isPublic && publicAccessBlockOf(bucket).restrictPublicBuckets;
    if (!own && !restricted && (identityAllows || principal.kind === 'anonymous'))
      return allow(`the policy, ${said.bucket.statement}`);
  }
  if (identity !== undefined && !identityAllows) return deny('no policy of the identity allows it');
  const { ignorePublicAcls } = publicAccessBlockOf(bucket);
  if (aclsCount(bucket) && (await aclAllows(question, { ignorePublic: ignorePublicAcls })))
    return allow('a list');
  return deny(policy === null ? 'nothing allows it' : 'no statement allows it');
}

interface Said {
  /** Why no. */
  readonly denied: string | null;
  readonly bucket: PolicyFinding;
  readonly identity: boolean;
}

const NONE: PolicyFinding = { effect: 'none', direct: false };
const NOTHING_SAID: Said = { denied: null, bucket: NONE, identity: false };

async function ask(
  question: AccessQuestion,
  policy: UnderstoodPolicy | null,
  identity: Identity | undefined,
): Promise<Said> {
  const { principal, action } = question;
  const boundary = identity?.boundary === undefined ? [] : [identity.boundary];
  const documents = [...(policy ? [policy.document] : []), ...(identity?.policies ?? []), ...boundary];
  const request: PolicyRequest = {
    principal,
    action,
    resource: resourceOf(question),
    context: await contextFor(question, documents),
  };
  const bucket = policy === null ? NONE : find([policy.document], request);
  const own = identity === undefined ? NONE : find(identity.policies, request);
  const bounds = boundary.length === 0 ? null : find(boundary, request);
  const identityAllows = own.effect === 'allow' && (bounds === null || bounds.effect === 'allow');
  const said = { bucket, identity: identityAllows };
  if (bucket.effect === 'deny' && !mayStillChangePolicy(question, policy!))
    return { ...said, denied: `the bucket's policy denies it, ${bucket.statement}` };
  if (own.effect === 'deny')
    return { ...said, denied: `a policy of the identity denies it, ${own.statement}` };
  if (bounds !== null && bounds.effect !== 'allow')
    return { ...said, denied: "the session's policy does not allow it" };
  return { ...said, denied: null };
}

const POLICY_ACTIONS: ReadonlySet<string> = new Set([
  's3:GetBucketPolicy',
  's3:PutBucketPolicy',
  's3:DeleteBucketPolicy',
]);

/** A policy does not lock the owner's account out of changing it, unless whoever put it said so. */
function mayStillChangePolicy(
  { principal, bucket, action }: AccessQuestion,
  policy: UnderstoodPolicy,
): boolean {
  if (principal.kind !== 'account' || principal.identity !== undefined) return false;
  return POLICY_ACTIONS.has(action) && principal.account.id === bucket?.owner && !policy.ownerMayBeDenied;
}

const resourceOf = ({ bucketName, key }: AccessQuestion): string => {
  if (bucketName === '') return 'arn:aws:s3:::*';
  return key === '' ? `arn:aws:s3:::${bucketName}` : `arn:aws:s3:::${bucketName}/${key}`;
};

/** With the tags of the object when a policy asks for them. */
async function contextFor(
  question: AccessQuestion,
  documents: readonly PolicyDocument[],
): Promise<PolicyContext> {
  const context = question.context();
  const asksTags = documents.some(({ keys }) =>
    [...keys].some((key) => key.startsWith('s3:existingobjecttag/')),
  );
  if (!asksTags || question.key === '') return context;
  const version = await question.findObject();
  return version === null ? context : new Map([...context, ...existingTags(version.tags)]);
}
