/**
 * Encryption of one object: which envelope a write gets, which key opens a read, and what answers say of it. An object is
 * encrypted as its request asks, else as its bucket does by default, else not at all.
 */
import {
  DataKey,
  type Envelope,
  type EnvelopeOwner,
  EnvelopeRefused,
  envelopeOf,
  KeyMissing,
  openEnvelope,
  type SealUnder,
  sealEnvelope,
} from '../../identity/envelope.ts';
import { S3Error } from '../errors.ts';
import { notImplemented } from '../meaning.ts';
import type { EncryptionService, OperationContext } from '../operation.ts';
import { encryptionOf } from './default.ts';
import { type CustomerKey, customerKeyOf, type Headers, type Wish, wishOf } from './headers.ts';

/** What a write encrypts with, and what its row keeps of that. */
export interface WriteEncryption {
  readonly envelope: Envelope;
  readonly key: DataKey;
}

type Context = Pick<OperationContext, 'services' | 'bucket' | 'bucketName' | 'key' | 'headers' | 'origin'>;
type AnswerHeaders = Record<string, string | undefined>;

// -------------------------------------------------------------------------------------------------- writes

/** Of a new object, with a key of its own; null: it is stored as it comes. @throws {S3Error} */
export function newEncryption(ctx: Context): WriteEncryption | null {
  const under = sealUnder(ctx);
  return under === null ? null : sealedFor(ctx, under, DataKey.random());
}

/** How the request's object is to be sealed; null: not at all. @throws {S3Error} InvalidArgument, KMS.NotFoundException … */
export function sealUnder(ctx: Context): SealUnder | null {
  const rules = encryptionOf(ctx.bucket!, ctx.services.encryption?.byDefault);
  const wish = wishOf(ctx.headers) ?? defaultWish(rules?.byDefault);
  if (wish === null) return null;
  const service = ctx.services.encryption;
  if (service === undefined) throw notImplemented('x-amz-server-side-encryption');
  if (wish.algorithm === 'AES256') return wish;
  if (wish.algorithm === 'SSE-C') {
    requirePrivateLine(ctx);
    if (rules?.blocked?.includes('SSE-C'))
      throw new S3Error('AccessDenied', {
        message: 'This bucket does not allow server-side encryption with customer-provided keys (SSE-C).',
      });
    return { algorithm: 'SSE-C', customerKey: wish.customer.key };
  }
  return kmsOf(service, wish, rules?.bucketKey ?? false);
}

function defaultWish(
  byDefault: { algorithm: 'AES256' | 'aws:kms'; keyId?: string } | undefined,
): Wish | null {
  if (byDefault === undefined) return null;
  if (byDefault.algorithm === 'AES256') return { algorithm: 'AES256' };
  return { algorithm: 'aws:kms', keyId: byDefault.keyId, bucketKey: undefined };
}

/** A key is named by its declared id, or by an ARN that ends in it. */
function kmsOf(
  { keyring }: EncryptionService,
  wish: Wish & { algorithm: 'aws:kms' },
  bucketKey: boolean,
): SealUnder {
  const named = wish.keyId ?? keyring.defaultKmsKeyId;
  // AWS would make the account a key of its own, aws/s3; here there are the declared keys alone.
  if (named === undefined) throw noSuchKey('alias/aws/s3');
  const id = keyring.kms.has(named) ? named : /^arn:aws[a-z-]*:kms:.*\/([^/]+)$/.exec(named)?.[1];
  if (id === undefined || !keyring.kms.has(id)) throw noSuchKey(named);
  return {
    ...{ algorithm: 'aws:kms', keyId: id, shownKeyId: named },
    bucketKey: wish.bucketKey ?? bucketKey,
    ...(wish.context === undefined ? {} : { context: wish.context }),
  };
}

const noSuchKey = (named: string) =>
  new S3Error('KMS.NotFoundException', { message: `Key '${named}' does not exist` });

/** The object of the request under an envelope around this key. */
export function sealedFor(ctx: Context, under: SealUnder, key: DataKey): WriteEncryption {
  return { envelope: sealEnvelope(keyringOf(ctx), under, ownerOf(ctx), key), key };
}

/** The attribute that keeps it. */
export const envelopeAttribute = (encryption: WriteEncryption | null): { readonly encryption?: Envelope } =>
  encryption === null ? {} : { encryption: encryption.envelope };

/**
 * Whether a copy may have the source's bytes, and so its data key: where neither is encrypted, or both are under the same
 * key. Under another, the bytes are encrypted anew: who loses the right to the one keeps nothing that opens the other.
 */
export function keepsKey(
  ctx: Context,
  source: { readonly version: { readonly encryption?: unknown }; readonly dataKey: DataKey | null },
  under: SealUnder | null,
): boolean {
  const envelope = envelopeIn(source.version.encryption);
  if (envelope === null || under === null) return envelope === null && under === null;
  if (envelope.algorithm !== under.algorithm) return false;
  if (under.algorithm === 'AES256') return true;
  if (under.algorithm === 'aws:kms') return under.keyId === envelope.keyId;
  // Both keys have been shown to be right, each for its own object.
  return customerKeyOf(ctx.headers, 'copy-source')?.key.equals(under.customerKey) ?? false;
}

/** Of a part: its upload has said it all. @throws {S3Error} InvalidRequest */
export function partEncryption(ctx: Context, encryption: unknown): WriteEncryption | null {
  const envelope = envelopeIn(encryption);
  const customer = customerKeyIn(ctx);
  if (envelope?.algorithm !== 'SSE-C') {
    if (customer !== null)
      throw invalidRequest(
        'The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.',
      );
    return envelope === null ? null : { envelope, key: open(ctx, envelope, ownerOf(ctx), null) };
  }
  if (customer === null)
    throw invalidRequest(
      'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.',
    );
  return { envelope, key: open(ctx, envelope, ownerOf(ctx), customer) };
}

// --------------------------------------------------------------------------------------------------- reads

/** Of the object of the request. @throws {S3Error} as {@link keyOf} */
export function keyOfRequest(ctx: Context, encryption: unknown): DataKey | null {
  return keyOf(ctx, encryption, ownerOf(ctx), 'object');
}

/**
 * That a request may have what is known of its object, and not the bytes: a client's key must be the right one; whether the
 * store has its own at hand does not matter. @throws {S3Error} as {@link keyOf}
 */
export function requireKeyOfClient(ctx: Context, encryption: unknown): void {
  const isManaged = envelopeIn(encryption) !== null && envelopeIn(encryption)?.algorithm !== 'SSE-C';
  if (!isManaged || customerKeyIn(ctx) !== null) keyOfRequest(ctx, encryption);
}

/**
 * The key of an object's bytes; null when they are not encrypted.
 * @throws {S3Error} InvalidRequest (a client's key is missing, another, or not needed), KMS.NotFoundException
 */
export function keyOf(
  ctx: Context,
  encryption: unknown,
  owner: EnvelopeOwner,
  of: 'object' | 'copy-source',
): DataKey | null {
  const envelope = envelopeIn(encryption);
  const customer = customerKeyIn(ctx, of);
  if (envelope?.algorithm === 'SSE-C') {
    if (customer === null)
      throw invalidRequest(
        'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
      );
  } else if (customer !== null)
    throw invalidRequest('The encryption parameters are not applicable to this object.');
  return envelope === null ? null : open(ctx, envelope, owner, customer);
}

function open(ctx: Context, envelope: Envelope, owner: EnvelopeOwner, customer: CustomerKey | null): DataKey {
  try {
    return openEnvelope(keyringOf(ctx), envelope, owner, customer?.key);
  } catch (cause) {
    if (cause instanceof KeyMissing && envelope.algorithm === 'aws:kms')
      throw new S3Error('KMS.NotFoundException', {
        message: `Key '${envelope.shownKeyId}' does not exist`,
        cause,
      });
    if (cause instanceof EnvelopeRefused && envelope.algorithm === 'SSE-C')
      throw new S3Error('InvalidRequest', {
        message: 'The provided encryption parameters did not match the ones used originally.',
        cause,
      });
    if (cause instanceof KeyMissing || cause instanceof EnvelopeRefused)
      throw new S3Error('ServiceUnavailable', { cause });
    throw cause;
  }
}

// ------------------------------------------------------------------------------------------------- answers

/** What GET, HEAD and the operations of parts say. A client's key comes back as the MD5 that it sent. */
export function encryptionHeaders(encryption: unknown, headers: Headers): AnswerHeaders {
  const envelope = envelopeIn(encryption);
  if (envelope === null) return {};
  if (envelope.algorithm === 'SSE-C')
    return {
      'x-amz-server-side-encryption-customer-algorithm': 'AES256',
      'x-amz-server-side-encryption-customer-key-md5': customerKeyOf(headers)?.md5,
    };
  return {
    'x-amz-server-side-encryption': envelope.algorithm,
    'x-amz-server-side-encryption-aws-kms-key-id': envelope.shownKeyId,
    'x-amz-server-side-encryption-bucket-key-enabled': envelope.bucketKey ? 'true' : undefined,
  };
}

/** What answers to requests that made an object (or an upload) say. */
export function newEncryptionHeaders(envelope: Envelope | undefined, headers: Headers): AnswerHeaders {
  const context = envelope?.context;
  return {
    ...encryptionHeaders(envelope, headers),
    'x-amz-server-side-encryption-context':
      context && Buffer.from(JSON.stringify(context)).toString('base64'),
  };
}

/** What answers to CompleteMultipartUpload say: the client's key was not needed, and is not spoken of. */
export function completedHeaders(encryption: unknown, headers: Headers): AnswerHeaders {
  const isCustomers = envelopeIn(encryption)?.algorithm === 'SSE-C';
  return isCustomers && customerKeyOf(headers) === null ? {} : encryptionHeaders(encryption, headers);
}

// --------------------------------------------------------------------------------------------------- helpers

/**
 * A key that came over plain HTTP may have been read on the way: refused, as S3 does, but for this machine's own loopback
 * and where the operator says that the line is private. @throws {S3Error} InvalidRequest
 */
function requirePrivateLine({ origin, services }: Context): void {
  const loopback = origin.ip === '::1' || origin.ip.startsWith('127.');
  if (origin.secure || loopback || services.encryption?.plainHttp) return;
  throw invalidRequest(
    'Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.',
  );
}

function customerKeyIn(ctx: Context, of: 'object' | 'copy-source' = 'object'): CustomerKey | null {
  const customer = customerKeyOf(ctx.headers, of);
  if (customer !== null) requirePrivateLine(ctx);
  return customer;
}

/** @throws {S3Error} ServiceUnavailable for what a later release wrote */
export function envelopeIn(encryption: unknown): Envelope | null {
  try {
    return envelopeOf(encryption);
  } catch (cause) {
    throw new S3Error('ServiceUnavailable', { cause });
  }
}

function keyringOf({ services }: Context): EncryptionService['keyring'] {
  if (services.encryption === undefined)
    throw new S3Error('ServiceUnavailable', { cause: new Error('this gateway has no keys') });
  return services.encryption.keyring;
}

const ownerOf = ({ bucketName, key }: Context): EnvelopeOwner => ({ bucket: bucketName, key });
const invalidRequest = (message: string) => new S3Error('InvalidRequest', { message });
