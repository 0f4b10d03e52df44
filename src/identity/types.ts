/**
 * What identity hands to the front end after a request's signature has been verified.
 */
import type { KeyObject } from 'node:crypto';
import type { Account } from '../ddm/catalog.ts';
import type { PolicyDocument } from './policy/types.ts';

/**
 * Who asks. `anonymous` requests have no account. Without `identity`: the account's own keys, to which everything of the
 * account is allowed.
 */
export type Principal =
  | {
      readonly kind: 'account';
      readonly account: Account;
      readonly accessKeyId: string;
      readonly identity?: Identity;
    }
  | { readonly kind: 'anonymous' };

/** A user of an account, or a session of a role. May do what its policies allow, and of that only what `boundary` allows. */
export interface Identity {
  readonly kind: 'user' | 'assumed-role';
  /** `arn:aws:iam::ACCOUNT:user/PATH/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` */
  readonly arn: string;
  readonly userId: string;
  readonly name: string;
  /** Begins and ends with `/`. */
  readonly path: string;
  readonly policies: readonly PolicyDocument[];
  /** The session's policy. */
  readonly boundary?: PolicyDocument;
  readonly sessionTags?: Readonly<Record<string, string>>;
}

/** How the payload is to be verified; from x-amz-content-sha256. */
export type PayloadMode =
  /** UNSIGNED-PAYLOAD, or a presigned URL. */
  | { readonly kind: 'unsigned' }
  /** The header named the SHA-256 of the payload, hex. */
  | { readonly kind: 'sha256'; readonly hex: string }
  /** STREAMING-UNSIGNED-PAYLOAD-TRAILER: aws-chunked without chunk signatures. */
  | { readonly kind: 'chunked-unsigned' }
  /** STREAMING-AWS4-HMAC-SHA256-PAYLOAD(-TRAILER): aws-chunked, each chunk signed. */
  | {
      readonly kind: 'chunked-signed';
      readonly trailer: boolean;
      readonly signingKey: KeyObject;
      readonly seedSignature: string;
      /** `20260101/us-east-1/s3/aws4_request` */
      readonly scope: string;
      /** `20260101T000000Z` */
      readonly timestamp: string;
    };

export interface Authenticated {
  readonly principal: Principal;
  readonly payload: PayloadMode;
  /** Whether the signature came in the query string. */
  readonly presigned: boolean;
  /** When the request was signed, ms since the epoch; absent for anonymous ones. */
  readonly signedAt?: number;
}

/** What a signature covers, exactly as it came over the wire. */
export interface SignedRequest {
  readonly method: string;
  /** The raw path and raw query as on the request line, not decoded. */
  readonly rawPath: string;
  readonly rawQuery: string;
  /** Lower-case names with every value in order. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** What the client may have called this store, where a proxy changes the Host on the way: also good as its `host` line. */
  readonly hosts?: readonly string[];
}
