/**
 * Decodes aws-chunked bodies: push wire bytes in, take payload slices out. Slices are views of what was pushed, never
 * copies. A signed chunk's bytes come out only after its signature has been verified, as long as the chunk fits
 * `holdBytesMax`; of a larger chunk they come out at once and the verification follows at its end, so that the body
 * still never *ends* well with a bad chunk. Headers, trailers and what is held are bounded.
 *
 * States: header → data → data-end → header … → (size 0) trailer → done. A decoder that threw is not used again.
 * Source: "Transferring Payload in Multiple Chunks" and "Including Trailing Headers", S3 API Reference.
 */
import { createHash, type Hash } from 'node:crypto';
import { LIMITS } from '../../base/limits.ts';
import { equalHex } from '../../identity/authenticate.ts';
import { chunkStringToSign, trailerStringToSign } from '../../identity/aws-chunked.ts';
import { signatureDoesNotMatch } from '../../identity/errors.ts';
import { hmacHex } from '../../identity/sigv4/canonical.ts';
import type { PayloadMode } from '../../identity/types.ts';
import { S3Error } from '../errors.ts';
import { SliceList } from './slices.ts';

export type ChunkedMode = Extract<PayloadMode, { kind: 'chunked-signed' | 'chunked-unsigned' }>;

export interface ChunkDecoderOptions {
  readonly mode: ChunkedMode;
  /** Decoded bytes that the client declared. */
  readonly length: number;
  /** For the error's field. */
  readonly accessKeyId?: string;
  /** Signed chunks up to this size are held back until verified. Clients send 64 KiB to 1 MiB. */
  readonly holdBytesMax?: number;
}

/** S3: every chunk but the last has at least so many bytes. */
const CHUNK_BYTES_MIN = 8192;
const LF = 10;
const incomplete = (cause?: string) => new S3Error('IncompleteBody', cause ? { cause } : {});
const malformed = () =>
  new S3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' });

export class ChunkDecoder {
  readonly #o: ChunkDecoderOptions;
  readonly #holdBytesMax: number;
  /** Lower-case names; complete once {@link done}. */
  readonly trailers = new Map<string, string>();
  #state: 'header' | 'data' | 'data-end' | 'trailer' | 'done' = 'header';
  /** The start of a line that has not ended yet. */
  #line: Buffer = Buffer.alloc(0);
  #decodedLeft: number;
  #chunkLeft = 0;
  #chunkNumber = 0;
  #chunkSize = 0;
  #chunkSignature = '';
  #previousSignature: string;
  #chunkHash: Hash | null = null;
  readonly #held = new SliceList();
  #isHolding = false;
  #trailerBytes = 0;
  #trailerText = '';
  #trailerSignature = '';
  #bareLineFeed = false;

  constructor(o: ChunkDecoderOptions) {
    this.#o = o;
    this.#holdBytesMax = o.holdBytesMax ?? 1024 * 1024;
    this.#decodedLeft = o.length;
    this.#previousSignature = o.mode.kind === 'chunked-signed' ? o.mode.seedSignature : '';
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /** Appends the payload slices to `out`. @throws {S3Error} */
  push(bytes: Buffer, out: Buffer[]): void {
    let position = 0;
    while (position < bytes.length) {
      if (this.#state === 'data') position = this.#takeData(bytes, position, out);
      else if (this.#state === 'done') throw incomplete('bytes after the last chunk');
      else position = this.#takeLine(bytes, position);
    }
  }

  /** The wire has ended. @throws {S3Error} IncompleteBody unless the body was whole. */
  end(): void {
    if (this.#state !== 'done') throw incomplete();
  }

  #takeData(bytes: Buffer, position: number, out: Buffer[]): number {
    const end = Math.min(bytes.length, position + this.#chunkLeft);
    const slice = position === 0 && end === bytes.length ? bytes : bytes.subarray(position, end);
    this.#chunkLeft -= slice.length;
    this.#chunkHash?.update(slice);
    if (this.#isHolding) this.#held.add(slice);
    else out.push(slice);
    if (this.#chunkLeft === 0) {
      this.#verifyChunk();
      if (this.#isHolding) out.push(...this.#held.take());
      this.#state = 'data-end';
    }
    return end;
  }

  #takeLine(bytes: Buffer, position: number): number {
    const lineFeed = bytes.indexOf(LF, position);
    const end = lineFeed < 0 ? bytes.length : lineFeed + 1;
    const piece = bytes.subarray(position, end);
    const lengthMax = this.#state === 'trailer' ? LIMITS.trailerBytesMax : LIMITS.chunkHeaderBytesMax;
    if (this.#line.length + piece.length > lengthMax) throw malformed();
    const line = this.#line.length === 0 ? piece : Buffer.concat([this.#line, piece]);
    if (lineFeed < 0) {
      // A copy: a few bytes must not keep a whole slice of the socket's memory.
      this.#line = Buffer.from(line);
      return end;
    }
    this.#line = Buffer.alloc(0);
    this.#endLine(line.toString('latin1'));
    return end;
  }

  #endLine(line: string): void {
    if (this.#state === 'trailer') this.#endTrailerLine(line);
    else if (!line.endsWith('\r\n')) throw malformed();
    else if (this.#state === 'header') this.#startChunk(line.slice(0, -2));
    else if (line !== '\r\n') throw malformed();
    else this.#state = 'header';
  }

  #startChunk(header: string): void {
    const match = /^([0-9a-fA-F]{1,12})[ \t]*(?:;(.*))?$/.exec(header);
    if (!match) throw malformed();
    const size = Number.parseInt(match[1]!, 16);
    if (size > 0 && this.#chunkNumber > 0 && this.#chunkSize < CHUNK_BYTES_MIN)
      throw new S3Error('InvalidChunkSizeError', {
        fields: { Chunk: String(this.#chunkNumber), BadChunkSize: String(this.#chunkSize) },
      });
    if (size > this.#decodedLeft || (size === 0 && this.#decodedLeft > 0)) throw incomplete();
    this.#chunkNumber++;
    this.#chunkSize = size;
    this.#chunkLeft = size;
    this.#decodedLeft -= size;
    if (this.#o.mode.kind === 'chunked-signed') {
      const signature = /(?:^|;)\s*chunk-signature=([0-9a-fA-F]{64})\s*(?:;|$)/.exec(match[2] ?? '');
      if (!signature) throw malformed();
      this.#chunkSignature = signature[1]!.toLowerCase();
      this.#chunkHash = createHash('sha256');
      this.#isHolding = size <= this.#holdBytesMax;
    }
    if (size > 0) {
      this.#state = 'data';
      return;
    }
    this.#verifyChunk();
    this.#state = 'trailer';
  }

  #verifyChunk(): void {
    const mode = this.#o.mode;
    if (mode.kind !== 'chunked-signed') return;
    const text = chunkStringToSign(mode, this.#previousSignature, this.#chunkHash!.digest('hex'));
    this.#previousSignature = this.#requireSignature(text, this.#chunkSignature);
    this.#chunkHash = null;
  }

  #requireSignature(text: string, provided: string): string {
    if (this.#o.mode.kind !== 'chunked-signed') throw new TypeError('unsigned chunks have no signature');
    const signature = hmacHex(this.#o.mode.signingKey, text);
    if (equalHex(signature, provided)) return signature;
    const { message, fields } = signatureDoesNotMatch({
      accessKeyId: this.#o.accessKeyId ?? '',
      stringToSign: text,
      signature: provided,
    });
    throw new S3Error('SignatureDoesNotMatch', { message, fields });
  }

  /**
   * Lines end in CRLF and an empty one ends the body. Some clients (minio-go) end a trailer with LF CRLF: the empty
   * line after a bare LF belongs to the trailer before it.
   */
  #endTrailerLine(line: string): void {
    this.#trailerBytes += line.length;
    if (this.#trailerBytes > LIMITS.trailerBytesMax) throw new S3Error('MalformedTrailerError');
    const wasBare = this.#bareLineFeed;
    this.#bareLineFeed = !line.endsWith('\r\n');
    const text = line.trim();
    if (text !== '') this.#takeTrailer(text);
    else if (this.#bareLineFeed) throw new S3Error('MalformedTrailerError');
    else if (!wasBare) this.#endTrailers();
  }

  #takeTrailer(text: string): void {
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = text.slice(colon + 1).trim();
    if (name === '' || this.#trailerSignature !== '' || this.trailers.has(name))
      throw new S3Error('MalformedTrailerError');
    const mode = this.#o.mode;
    if (mode.kind === 'chunked-signed' && !mode.trailer) throw new S3Error('MalformedTrailerError');
    if (mode.kind === 'chunked-signed' && name === 'x-amz-trailer-signature') {
      this.#trailerSignature = value.toLowerCase();
      return;
    }
    this.trailers.set(name, value);
    this.#trailerText += `${name}:${value}\n`;
  }

  #endTrailers(): void {
    const mode = this.#o.mode;
    if (mode.kind === 'chunked-signed' && mode.trailer) {
      if (this.#trailerSignature === '') throw new S3Error('MalformedTrailerError');
      this.#requireSignature(
        trailerStringToSign(mode, this.#previousSignature, this.#trailerText),
        this.#trailerSignature,
      );
    }
    this.#state = 'done';
  }
}
