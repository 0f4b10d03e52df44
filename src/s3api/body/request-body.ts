/**
 * The payload of a request as a stream that only ends when everything that was declared about it holds: length,
 * Content-MD5, x-amz-content-sha256, chunk and trailer signatures, checksums. Each byte is hashed once per digest, as it
 * passes, and never copied. MD5 (the ETag) is always computed.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createHasher, type DigestName, type Hasher, parseDigest } from '../../base/checksums/hasher.ts';
import type { Clock } from '../../base/clock.ts';
import { LIMITS } from '../../base/limits.ts';
import type { ChecksumAlgorithm } from '../../ddm/catalog.ts';
import type { Authenticated } from '../../identity/types.ts';
import { S3Error } from '../errors.ts';
import type { RequestBody } from '../operation.ts';
import { ChunkDecoder, type ChunkedMode } from './chunk-decoder.ts';
import { badChecksum, type Declared, type Headers, readDeclared } from './declared.ts';
import { BodySource } from './source.ts';

export { storedContentEncoding } from './declared.ts';
export { ClientDisconnected } from './source.ts';

export interface BodyOptions {
  readonly clock: Clock;
  /** RequestTimeout after so long without a byte from the client. Default 20 s, about S3's. */
  readonly stallMs?: number;
  /** EntityTooLarge beyond. Default: one PUT, 5 GiB. */
  readonly bytesMax?: number;
  readonly signal?: AbortSignal;
  /** Called once, when the body is first read: the pipeline writes `100 Continue` there. */
  readonly onFirstRead?: () => void;
}

export const STALL_MS = 20_000;

/**
 * @throws {S3Error} for what the headers declare wrongly (MissingContentLength, EntityTooLarge, InvalidDigest, …).
 * After an error of the stream unread bytes may be left on the socket: the connection must not be used again.
 */
export function openRequestBody(
  req: IncomingMessage | Readable,
  headers: Headers,
  authenticated: Authenticated,
  o: BodyOptions,
): RequestBody {
  const declared = readDeclared(headers, authenticated.payload, {
    bytesMax: o.bytesMax ?? LIMITS.putBytesMax,
    lengthRequired: true,
  });
  return new VerifiedBody(req, declared, authenticated, o);
}

export class VerifiedBody implements RequestBody {
  readonly length: number;
  readonly declaredChecksum: ChecksumAlgorithm | null;
  readonly #source: BodySource;
  readonly #declared: Declared;
  readonly #authenticated: Authenticated;
  readonly #hashers = new Map<DigestName, Hasher>();
  readonly #digests = new Map<DigestName, Buffer>();
  readonly #wanted = new Set<ChecksumAlgorithm>();
  #taken = false;
  #whole = false;

  constructor(req: Readable, declared: Declared, authenticated: Authenticated, o: BodyOptions) {
    this.length = declared.length ?? 0;
    this.declaredChecksum = declared.checksum?.algorithm ?? null;
    this.#declared = declared;
    this.#authenticated = authenticated;
    this.#source = new BodySource(req, { ...o, stallMs: o.stallMs ?? STALL_MS });
  }

  async *stream(extra: readonly ChecksumAlgorithm[] = []): AsyncGenerator<Buffer, void, undefined> {
    if (this.#taken) throw new TypeError('a body is streamed once');
    this.#taken = true;
    this.#prepare(extra);
    const { payload } = this.#authenticated;
    try {
      if (payload.kind === 'chunked-signed' || payload.kind === 'chunked-unsigned')
        yield* this.#chunked(payload);
      else yield* this.#plain();
    } finally {
      this.#source.close();
    }
    this.#whole = true;
  }

  result(): { md5: string; checksums: Partial<Record<ChecksumAlgorithm, string>> } {
    if (!this.#whole) throw new TypeError('the body has not ended');
    const checksums: Partial<Record<ChecksumAlgorithm, string>> = {};
    for (const name of this.#wanted) checksums[name] = this.#digest(name).toString('base64');
    return { md5: this.#digest('MD5').toString('hex'), checksums };
  }

  #prepare(extra: readonly ChecksumAlgorithm[]): void {
    for (const name of extra) this.#wanted.add(name);
    if (this.declaredChecksum) this.#wanted.add(this.declaredChecksum);
    const names = new Set<DigestName>(['MD5', ...this.#wanted]);
    if (this.#authenticated.payload.kind === 'sha256') names.add('SHA256');
    for (const name of names) this.#hashers.set(name, createHasher(name));
  }

  async *#plain(): AsyncGenerator<Buffer, void, undefined> {
    let left = this.#declared.length ?? Number.POSITIVE_INFINITY;
    for (;;) {
      const bytes = await this.#source.next();
      if (bytes === null) break;
      left -= bytes.length;
      if (left < 0) throw new S3Error('IncompleteBody');
      for (const hasher of this.#hashers.values()) hasher.update(bytes);
      yield bytes;
    }
    if (left > 0 && left !== Number.POSITIVE_INFINITY) throw new S3Error('IncompleteBody');
    this.#verify(this.#declared.checksum?.value ?? null);
  }

  async *#chunked(mode: ChunkedMode): AsyncGenerator<Buffer, void, undefined> {
    const { principal } = this.#authenticated;
    const accessKeyId = principal.kind === 'account' ? principal.accessKeyId : '';
    const decoder = new ChunkDecoder({ mode, length: this.length, accessKeyId });
    const out: Buffer[] = [];
    for (;;) {
      const bytes = await this.#source.next();
      if (bytes === null) break;
      decoder.push(bytes, out);
      for (const slice of out) {
        for (const hasher of this.#hashers.values()) hasher.update(slice);
        yield slice;
      }
      out.length = 0;
    }
    decoder.end();
    this.#verify(this.#declared.checksum?.value ?? this.#trailerChecksum(decoder.trailers));
  }

  #trailerChecksum(trailers: ReadonlyMap<string, string>): string | null {
    const algorithm = this.#declared.checksum?.value === null ? this.#declared.checksum.algorithm : null;
    const name = algorithm ? `x-amz-checksum-${algorithm.toLowerCase()}` : '';
    for (const sent of trailers.keys()) if (sent !== name) throw new S3Error('MalformedTrailerError');
    if (!algorithm) return null;
    const value = trailers.get(name);
    if (value === undefined) throw new S3Error('MalformedTrailerError');
    const digest = parseDigest(algorithm, value);
    if (!digest)
      throw new S3Error('InvalidRequest', { message: `Value for ${name} trailing header is invalid.` });
    return digest.toString('base64');
  }

  #digest(name: DigestName): Buffer {
    let digest = this.#digests.get(name);
    if (!digest) {
      digest = this.#hashers.get(name)!.digest();
      this.#digests.set(name, digest);
    }
    return digest;
  }

  /** @param checksum of the declared algorithm, base64 */
  #verify(checksum: string | null): void {
    const { payload } = this.#authenticated;
    if (payload.kind === 'sha256') {
      const computed = this.#digest('SHA256').toString('hex');
      if (computed !== payload.hex)
        throw new S3Error('XAmzContentSHA256Mismatch', {
          fields: { ClientComputedContentSHA256: payload.hex, S3ComputedContentSHA256: computed },
        });
    }
    const md5 = this.#digest('MD5').toString('base64');
    if (this.#declared.md5 !== null && this.#declared.md5 !== md5)
      throw new S3Error('BadDigest', {
        message: 'The Content-MD5 you specified did not match what we received.',
        fields: { ExpectedDigest: this.#declared.md5, CalculatedDigest: md5 },
      });
    const algorithm = this.declaredChecksum;
    if (algorithm && checksum !== this.#digest(algorithm).toString('base64')) throw badChecksum(algorithm);
  }
}
