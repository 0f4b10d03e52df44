/**
 * Small bodies (XML documents) read whole, with the same verifications as streams and a bound on their size.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { LIMITS } from '../../base/limits.ts';
import type { Authenticated } from '../../identity/types.ts';
import { S3Error } from '../errors.ts';
import { type Headers, isChunked, readDeclared } from './declared.ts';
import { type BodyOptions, VerifiedBody } from './request-body.ts';
import { SliceList } from './slices.ts';

export interface WholeBodyOptions extends BodyOptions {
  /** DeleteObjects and others want Content-MD5 or a checksum. */
  readonly checksumRequired?: boolean;
}

/**
 * A body without Content-Length and without Transfer-Encoding is empty.
 * @throws {S3Error} MaxMessageLengthExceeded beyond `bytesMax` (default: LIMITS.xmlBytesMax), and what a stream throws.
 */
export async function readWholeBody(
  req: IncomingMessage | Readable,
  headers: Headers,
  authenticated: Authenticated,
  o: WholeBodyOptions,
): Promise<Buffer> {
  const bytesMax = o.bytesMax ?? LIMITS.xmlBytesMax;
  // Chunk signing and trailers are for objects and parts only.
  if (isChunked(authenticated.payload))
    throw new S3Error('InvalidRequest', {
      message: 'The value of x-amz-content-sha256 header is invalid.',
    });
  const declared = readDeclared(headers, authenticated.payload, {
    bytesMax: Number.POSITIVE_INFINITY,
    lengthRequired: false,
  });
  if (o.checksumRequired && !declared.md5 && !declared.checksum)
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    });
  if (declared.length !== null && declared.length > bytesMax) throw tooLong(bytesMax);
  const body = new VerifiedBody(req, declared, authenticated, o);
  const kept = new SliceList();
  let received = 0;
  for await (const slice of body.stream()) {
    received += slice.length;
    if (received > bytesMax) throw tooLong(bytesMax);
    kept.add(slice);
  }
  const slices = kept.take();
  return slices.length === 1 ? slices[0]! : Buffer.concat(slices, received);
}

const tooLong = (bytesMax: number): S3Error =>
  new S3Error('MaxMessageLengthExceeded', { fields: { MaxMessageLengthBytes: String(bytesMax) } });
