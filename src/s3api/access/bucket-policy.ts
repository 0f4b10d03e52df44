/** What a bucket's settings say about access: its policy and its public access block, as stored and as understood. */
import type { Bucket } from '../../ddm/catalog.ts';
import { parsePolicy } from '../../identity/policy/parse.ts';
import { isPublic } from '../../identity/policy/public.ts';
import type { PolicyDocument } from '../../identity/policy/types.ts';

export const POLICY = 'policy';
export const PUBLIC_ACCESS_BLOCK = 'publicAccessBlock';

/** The setting `policy`. */
export interface StoredPolicy {
  /** As it was sent: JSON is given back as it came. */
  readonly text: string;
  /** It was said that even the owner's account may lose its right to change the policy. */
  readonly ownerMayBeDenied?: boolean;
}

/** The setting `publicAccessBlock`. */
export interface PublicAccessBlock {
  readonly blockPublicAcls: boolean;
  readonly ignorePublicAcls: boolean;
  readonly blockPublicPolicy: boolean;
  readonly restrictPublicBuckets: boolean;
}

const NOTHING_BLOCKED: PublicAccessBlock = {
  blockPublicAcls: false,
  ignorePublicAcls: false,
  blockPublicPolicy: false,
  restrictPublicBuckets: false,
};

export interface UnderstoodPolicy {
  readonly document: PolicyDocument;
  readonly isPublic: boolean;
  readonly ownerMayBeDenied: boolean;
}

/** Buckets are cached, so their policies are read once for as long as they are. */
const understood = new WeakMap<StoredPolicy, UnderstoodPolicy>();

export const storedPolicy = (bucket: Bucket): StoredPolicy | null =>
  (bucket.settings[POLICY] as StoredPolicy | undefined) ?? null;

/** @throws {PolicyError} when what is stored is not understood: whoever asks must refuse */
export function policyOf(bucket: Bucket): UnderstoodPolicy | null {
  const stored = storedPolicy(bucket);
  if (stored === null) return null;
  let policy = understood.get(stored);
  if (policy === undefined) {
    const document = parsePolicy(String(stored.text), 'bucket');
    policy = { document, isPublic: isPublic(document), ownerMayBeDenied: stored.ownerMayBeDenied ?? false };
    understood.set(stored, policy);
  }
  return policy;
}

export const publicAccessBlockOf = (bucket: Bucket): PublicAccessBlock =>
  (bucket.settings[PUBLIC_ACCESS_BLOCK] as PublicAccessBlock | undefined) ?? NOTHING_BLOCKED;
