/**
 * What a request says about encryption, with AWS's refusals. Sources: "Using server-side encryption with customer-provided
 * keys" and "Specifying server-side encryption with AWS KMS", Amazon S3 User Guide; messages as S3 gives them.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { EncryptionContext } from '../../identity/envelope.ts';
import { S3Error } from '../errors.ts';

export type Headers = Readonly<Record<string, string | undefined>>;

const SSE = 'x-amz-server-side-encryption';
const KEY_ID = `${SSE}-aws-kms-key-id`;
const CONTEXT = `${SSE}-context`;
const BUCKET_KEY = `${SSE}-bucket-key-enabled`;
const CUSTOMER_PREFIX = `${SSE}-customer-`;
const COPY_SOURCE_PREFIX = `x-amz-copy-source-server-side-encryption-customer-`;
const MANAGED = [SSE, KEY_ID, CONTEXT, BUCKET_KEY] as const;
const CUSTOMER_KEY_BYTES = 32;
const CONTEXT_BYTES_MAX = 8 * 1024;

/** A key that the client brought with the request; it is nowhere kept. */
export interface CustomerKey {
  readonly key: Buffer;
  /** Base64, as given: goes back in the answer. */
  readonly md5: string;
}

export type Wish =
  | { readonly algorithm: 'AES256' }
  | {
      readonly algorithm: 'aws:kms';
      /** undefined: none was named. */
      readonly keyId: string | undefined;
      readonly bucketKey: boolean | undefined;
      readonly context?: EncryptionContext;
    }
  | { readonly algorithm: 'SSE-C'; readonly customer: CustomerKey };

const invalid = (message: string, name: string, value?: string) =>
  new S3Error('InvalidArgument', {
    message,
    fields: { ArgumentName: name, ...(value === undefined ? {} : { ArgumentValue: value }) },
  });

// ---------------------------------------------------------------------------------- which headers stand where

/** Operations that may make an object encrypted. */
const WRITES: ReadonlySet<string> = new Set([
  'PutObject',
  'CopyObject',
  'CreateMultipartUpload',
  'PostObject',
]);
/** The upload has said how its parts are encrypted: said again, it is heard and changes nothing, as S3 has it. */
const OF_UPLOAD: ReadonlySet<string> = new Set(['UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload']);
const READS: ReadonlySet<string> = new Set(['GetObject', 'HeadObject', 'GetObjectAttributes']);
const COPIES: ReadonlySet<string> = new Set(['CopyObject', 'UploadPartCopy']);
const TAKES_CUSTOMER_KEY: ReadonlySet<string> = new Set([...WRITES, ...OF_UPLOAD, ...READS, 'ListParts']);

/**
 * For every header about encryption: whether the operation takes it.
 * @returns false: it would change the meaning and is not supported (501) @throws {S3Error} InvalidArgument
 */
export function takesEncryptionHeader(operation: string, name: string): boolean {
  if (name.startsWith(COPY_SOURCE_PREFIX)) return COPIES.has(operation);
  if (name.startsWith(CUSTOMER_PREFIX)) return TAKES_CUSTOMER_KEY.has(operation);
  if (READS.has(operation)) throw invalid(`${SSE} header is not supported for this operation.`, SSE);
  return MANAGED.some((known) => known === name) && (WRITES.has(operation) || OF_UPLOAD.has(operation));
}

export const isEncryptionHeader = (name: string): boolean =>
  name.startsWith(SSE) || name.startsWith('x-amz-copy-source-server-side-encryption');

// ---------------------------------------------------------------------------------------------- SSE-C

/**
 * The client's key; null when there is none.
 * @param of the object of the request, or the source of a copy @throws {S3Error} InvalidArgument, InvalidEncryptionAlgorithmError
 */
export function customerKeyOf(headers: Headers, of: 'object' | 'copy-source' = 'object'): CustomerKey | null {
  const prefix = of === 'object' ? CUSTOMER_PREFIX : COPY_SOURCE_PREFIX;
  const algorithm = headers[`${prefix}algorithm`];
  const text = headers[`${prefix}key`];
  const md5 = headers[`${prefix}key-md5`];
  if (algorithm === undefined && text === undefined && md5 === undefined) return null;
  const must = 'Requests specifying Server Side Encryption with Customer provided keys must provide';
  if (algorithm === undefined) throw invalid(`${must} a valid encryption algorithm.`, `${prefix}algorithm`);
  if (algorithm !== 'AES256')
    throw new S3Error('InvalidEncryptionAlgorithmError', {
      fields: { ArgumentName: `${prefix}algorithm`, ArgumentValue: algorithm },
    });
  if (text === undefined) throw invalid(`${must} an appropriate secret key.`, `${prefix}key`);
  if (md5 === undefined)
    throw invalid(`${must} the client calculated MD5 of the secret key.`, `${prefix}key-MD5`);
  const key = base64(text);
  if (key?.length !== CUSTOMER_KEY_BYTES)
    throw invalid('The secret key was invalid for the specified algorithm.', `${prefix}key`);
  const given = base64(md5);
  const actual = createHash('md5').update(key).digest();
  if (given?.length !== actual.length || !timingSafeEqual(given, actual))
    throw invalid(
      'The calculated MD5 hash of the key did not match the hash that was provided.',
      `${prefix}key-MD5`,
    );
  return { key, md5 };
}

/** null for what is not base64, which Buffer would read as something else. */
function base64(text: string): Buffer | null {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0 ? Buffer.from(text, 'base64') : null;
}

// ---------------------------------------------------------------------------------------------- wishes

/** What a write asks for; null: nothing, so that the bucket's default holds. @throws {S3Error} InvalidArgument, NotImplemented … */
export function wishOf(headers: Headers): Wish | null {
  const customer = customerKeyOf(headers);
  const algorithm = headers[SSE];
  if (customer !== null) {
    if (algorithm !== undefined || headers[KEY_ID] !== undefined)
      throw invalid(
        'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
        SSE,
        algorithm,
      );
    return { algorithm: 'SSE-C', customer };
  }
  if (algorithm !== undefined) requireKnown(algorithm);
  if (algorithm !== 'aws:kms') {
    const stray = [KEY_ID, CONTEXT].find((name) => headers[name] !== undefined);
    if (stray !== undefined)
      throw invalid(
        'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
        SSE,
        algorithm,
      );
    return algorithm === undefined ? null : { algorithm: 'AES256' };
  }
  const context = contextOf(headers[CONTEXT]);
  return {
    algorithm,
    keyId: headers[KEY_ID] || undefined,
    bucketKey: bucketKeyOf(headers),
    ...(context === undefined ? {} : { context }),
  };
}

/** @throws {S3Error} InvalidArgument, NotImplemented */
function requireKnown(algorithm: string): void {
  if (algorithm === 'AES256' || algorithm === 'aws:kms') return;
  if (algorithm === 'aws:kms:dsse')
    throw new S3Error('NotImplemented', {
      message: 'Dual-layer server-side encryption (aws:kms:dsse) is not implemented.',
      fields: { Header: SSE },
    });
  throw invalid('The encryption method specified is not supported', SSE, algorithm);
}

function bucketKeyOf(headers: Headers): boolean | undefined {
  const text = headers[BUCKET_KEY]?.toLowerCase();
  if (text === undefined) return undefined;
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalid(`The value of ${BUCKET_KEY} must be true or false.`, BUCKET_KEY, text.slice(0, 256));
}

/** Base64 of a JSON object of texts. */
function contextOf(header: string | undefined): EncryptionContext | undefined {
  if (header === undefined) return undefined;
  const refuse = () => invalid(`The header '${CONTEXT}' shall be Base64-encoded UTF-8 JSON.`, CONTEXT);
  const bytes = base64(header);
  if (bytes === null || bytes.length > CONTEXT_BYTES_MAX) throw refuse();
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse();
    const pairs = Object.entries(value);
    if (!pairs.every((pair): pair is [string, string] => isKept(pair[0]) && isKept(pair[1]))) throw refuse();
    return Object.fromEntries(pairs);
  } catch (error) {
    throw error instanceof S3Error ? error : refuse();
  }
}

/** The catalog keeps neither U+0000 nor halves of surrogate pairs. */
const isKept = (value: unknown): value is string =>
  typeof value === 'string' && value.isWellFormed() && !value.includes('\0');
