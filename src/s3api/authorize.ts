/**
 * The one place that decides who may do what: the store's root account everything; otherwise no policy may deny, and of the
 * same account either the identity or the bucket's policy or a list (ACL) must allow, of another account its identity and
 * one of the other two. Whatever needs the object's row looks it up only when the answer depends on it.
 * Source: "How Amazon S3 authorizes a request" and "Access policy evaluation logic", AWS user guides.
 */
import type { Bucket, ObjectVersion } from '../ddm/catalog.ts';
import type { PolicyContext } from '../identity/policy/types.ts';
import type { Principal } from '../identity/types.ts';
import { aclAllows, resourceOwner } from './access/acl-answer.ts';

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
  /** What the request says to conditions. Made when a policy asks. */
  readonly context: () => PolicyContext;
  /** The version that is asked about; null where there is none. Looked up once, when the answer depends on it. */
  readonly findObject: () => Promise<ObjectVersion | null>;
}

export interface Verdict {
  readonly decision: 'allow' | 'deny';
  /** For the log of decisions, never for clients. */
  readonly why: string;
}

export async function authorize(question: AccessQuestion): Promise<Verdict> {
  const { principal, bucket } = question;
  if (principal.kind === 'account' && principal.account.isRoot && principal.identity === undefined)
    return { decision: 'allow', why: 'the root account' };
  if (principal.kind === 'account') {
    if (bucket === null) return { decision: 'allow', why: 'any account may' };
    const owner = await resourceOwner(question);
    if (owner === principal.account.id) return { decision: 'allow', why: 'the owner' };
  }
  if (bucket !== null && (await aclAllows(question, { ignorePublic: false })))
    return { decision: 'allow', why: 'a list grants it' };
  return { decision: 'deny', why: 'nothing allows it' };
}
