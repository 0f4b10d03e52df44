/**
 * What identity hands to the front end after a request's signature has been verified.
 */
import type { KeyObject } from 'node:crypto';
import type { Account } from '../ddm/catalog.ts';

/** Who asks. `anonymous` requests have no account. */
export type Principal =
  | { readonly kind: 'account'; readonly account: Account; readonly accessKeyId: string }
  | { readonly kind: 'anonymous' };

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
}

/** What a signature covers, exactly as it came over the wire. */
export interface SignedRequest {
  readonly method: string;
  /** The raw path and raw query as on the request line, not decoded. */
  readonly rawPath: string;
  readonly rawQuery: string;
  /** Lower-case names with every value in order. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}
