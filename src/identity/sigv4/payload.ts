/**
 * x-amz-content-sha256: what the client promises about the body, as a PayloadMode.
 * Source: "Authenticating Requests: Using the Authorization Header", S3 API Reference, table of its values.
 */
import type { KeyObject } from 'node:crypto';
import { AuthError } from '../errors.ts';
import type { PayloadMode } from '../types.ts';

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
export const STREAMING_UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
export const STREAMING_SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
export const STREAMING_SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
const STREAMING_ECDSA = 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD';

/** What signs the chunks; absent for anonymous requests. */
export interface ChunkSeed {
  readonly signingKey: KeyObject;
  readonly seedSignature: string;
  readonly scope: string;
  readonly timestamp: string;
}

/** @throws {AuthError} for values that are none of S3's. */
export function parsePayloadHash(value: string, seed: ChunkSeed | null): PayloadMode {
  if (/^[0-9a-fA-F]{64}$/.test(value)) return { kind: 'sha256', hex: value.toLowerCase() };
  switch (value) {
    case UNSIGNED_PAYLOAD:
      return { kind: 'unsigned' };
    case STREAMING_UNSIGNED_TRAILER:
      return { kind: 'chunked-unsigned' };
    case STREAMING_SIGNED:
    case STREAMING_SIGNED_TRAILER:
      if (!seed)
        throw new AuthError(
          'InvalidRequest',
          "Anonymous requests don't support this x-amz-content-sha256 value. Please use UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER.",
        );
      return { kind: 'chunked-signed', trailer: value === STREAMING_SIGNED_TRAILER, ...seed };
    case STREAMING_ECDSA:
    case `${STREAMING_ECDSA}-TRAILER`:
      throw new AuthError('NotImplemented', `The chunk encoding algorithm ${value} is not supported.`);
    default:
      throw new AuthError(
        'InvalidArgument',
        `x-amz-content-sha256 must be ${UNSIGNED_PAYLOAD}, ${STREAMING_UNSIGNED_TRAILER}, ${STREAMING_SIGNED}, ${STREAMING_SIGNED_TRAILER}, ${STREAMING_ECDSA}, ${STREAMING_ECDSA}-TRAILER or a valid sha256 value.`,
        { ArgumentName: 'x-amz-content-sha256', ArgumentValue: value.slice(0, 128) },
      );
  }
}
