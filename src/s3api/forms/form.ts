/**
 * multipart/form-data as a POST form has it: fields, which are bounded and kept, then one file, which is streamed as fast
 * as it is read. What follows the file is ignored, but must be well-formed. Parsing is busboy's.
 * Source: RFC 7578; "POST Object", Amazon S3 API Reference.
 */
import type { Readable } from 'node:stream';
import busboy from 'busboy';
import { LIMITS } from '../../base/limits.ts';
import { S3Error } from '../errors.ts';

export interface FormField {
  /** As it was sent. */
  readonly name: string;
  readonly value: string;
}

export interface Form {
  /** By name in lower case. */
  readonly fields: ReadonlyMap<string, FormField>;
  /** Without folders; '' when the part has no file name. */
  readonly filename: string;
  /** The file's bytes, to be read once, to their end. Throws when the form breaks off. */
  file(): AsyncIterable<Buffer>;
  /** Ends the reading; what is left of the request stays unread. */
  close(): void;
}

/** A file that comes as a text field is kept whole, and so bounded. */
const FIELD_BYTES_MAX = 1024 * 1024;
/** Parts altogether, also those behind the file. */
const PARTS_MAX = 1_000;

/** @throws {S3Error} PreconditionFailed (another type of content), MalformedPOSTRequest, MaxPostPreDataLengthExceededError, InvalidArgument */
export async function openForm(
  source: AsyncIterable<Buffer>,
  contentType: string | undefined,
): Promise<Form> {
  if (!/^multipart\/form-data(?:;|\s|$)/i.test(contentType ?? ''))
    throw new S3Error('PreconditionFailed', {
      fields: { Condition: 'Bucket POST must be of the enclosure-type multipart/form-data' },
    });
  const reader = new FormReader(contentType!);
  reader.start(source);
  try {
    await reader.head;
  } catch (error) {
    reader.close();
    throw error;
  }
  return reader;
}

class FormReader implements Form {
  readonly fields = new Map<string, FormField>();
  filename = '';
  /** Settled when the file begins, or nothing more can come. */
  readonly head: Promise<void>;
  #settle!: (failure: unknown) => void;
  readonly #parser: busboy.Busboy;
  readonly #kept: Promise<void>[] = [];
  #file: Readable | Buffer | null = null;
  #fieldBytes = 0;
  #pumped: Promise<void> = Promise.resolve();
  #failure: unknown = null;

  constructor(contentType: string) {
    this.head = new Promise((resolve, reject) => {
      this.#settle = (failure) => (failure === null ? resolve() : reject(failure));
    });
    this.head.catch(() => {});
    try {
      this.#parser = busboy({
        headers: { 'content-type': contentType },
        defParamCharset: 'utf8',
        limits: { fieldSize: FIELD_BYTES_MAX, fieldNameSize: 1024, parts: PARTS_MAX },
      });
    } catch (cause) {
      throw malformed(cause);
    }
    this.#parser.on('field', (name, value, info) => {
      if (isFile(name)) this.#begin(textFile(value, info.valueTruncated), '');
      else if (this.#file === null) this.#add(name, value, info.valueTruncated);
    });
    this.#parser.on('file', (name, stream, info) => {
      stream.on('error', () => {});
      if (this.#file !== null) stream.resume();
      else if (isFile(name)) this.#begin(stream, info.filename ?? '');
      else this.#keepLater(name, stream);
    });
    this.#parser.on('error', (error) => this.#fail(malformed(error)));
    this.#parser.on('close', () => {
      if (this.#file === null) this.#fail(this.#failure ?? noFile());
    });
  }

  start(source: AsyncIterable<Buffer>): void {
    this.#pumped = this.#pump(source);
    this.#pumped.catch(() => {});
  }

  async *file(): AsyncGenerator<Buffer, void, undefined> {
    const file = this.#file!;
    try {
      if (Buffer.isBuffer(file)) yield file;
      else for await (const bytes of file) yield bytes as Buffer;
      await this.#pumped;
    } catch (error) {
      throw this.#failure ?? error;
    } finally {
      this.close();
    }
    if (this.#failure !== null) throw this.#failure;
  }

  close(): void {
    if (!this.#parser.destroyed) this.#parser.destroy();
  }

  async #pump(source: AsyncIterable<Buffer>): Promise<void> {
    const parser = this.#parser;
    try {
      for await (const bytes of source) {
        if (parser.destroyed) return;
        if (!parser.write(bytes) && !parser.destroyed) await writable(parser);
      }
      await new Promise<void>((resolve) => {
        if (parser.destroyed) return resolve();
        parser.once('close', resolve);
        parser.end();
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(file: Readable | Buffer | S3Error, filename: string): void {
    if (this.#file !== null) return;
    if (file instanceof S3Error) {
      this.#fail(file);
      return;
    }
    this.#file = file;
    this.filename = filename;
    Promise.all(this.#kept).then(
      () => this.#settle(null),
      (error) => this.#fail(error),
    );
  }

  #add(name: string | undefined, value: string, truncated: boolean): void {
    if (name === undefined || name === '') return;
    this.#count(Buffer.byteLength(name) + Buffer.byteLength(value), truncated);
    const lower = name.toLowerCase();
    const known = this.fields.get(lower);
    if (known === undefined) this.fields.set(lower, { name, value });
    else if (lower.startsWith('x-amz-meta-'))
      this.fields.set(lower, { name, value: `${known.value},${value}` });
    else this.#fail(malformed());
  }

  #keepLater(name: string, stream: Readable): void {
    const kept = this.#keep(name, stream);
    kept.catch(() => {});
    this.#kept.push(kept);
  }

  /** A field that has a file name, as some clients give to all of them. */
  async #keep(name: string, stream: Readable): Promise<void> {
    const slices: Buffer[] = [];
    for await (const bytes of stream) {
      slices.push(bytes as Buffer);
      this.#count((bytes as Buffer).length, false);
      if (this.#failure !== null) throw this.#failure;
    }
    this.#add(name, Buffer.concat(slices).toString('utf8'), false);
  }

  #count(bytes: number, truncated: boolean): void {
    this.#fieldBytes += bytes;
    const tooMany = this.fields.size >= LIMITS.formFieldsMax;
    if (truncated || tooMany || this.#fieldBytes > LIMITS.formFieldsBytesMax)
      this.#fail(new S3Error('MaxPostPreDataLengthExceededError'));
  }

  #fail(failure: unknown): void {
    this.#failure ??= failure;
    this.#settle(this.#failure);
    if (!this.#parser.destroyed) this.#parser.destroy();
  }
}

const isFile = (name: string | undefined): boolean => name?.toLowerCase() === 'file';

/** A part without a file name is text to the parser. Bytes that were none must not be stored as something else. */
function textFile(value: string, truncated: boolean): Buffer | S3Error {
  if (!truncated && !value.includes('\ufffd')) return Buffer.from(value);
  return new S3Error('MalformedPOSTRequest', {
    message: `The part 'file' must have a file name when it is binary or longer than ${FIELD_BYTES_MAX} bytes.`,
  });
}

function writable(parser: busboy.Busboy): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      parser.off('drain', done).off('close', done);
      resolve();
    };
    parser.on('drain', done).on('close', done);
  });
}

const malformed = (cause?: unknown): S3Error => new S3Error('MalformedPOSTRequest', { cause });
const noFile = (): S3Error =>
  new S3Error('InvalidArgument', {
    message: 'POST requires exactly one file upload per request.',
    fields: { ArgumentName: 'file', ArgumentValue: '0' },
  });
