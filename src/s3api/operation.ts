/**
 * An S3 operation is one row: how to recognise it, what it needs, and `run`. Only the pipeline touches the
 * socket, authenticates, catches, and writes XML errors.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { Bucket, Catalog, ChecksumAlgorithm } from '../ddm/catalog.ts';
import type { Dosm } from '../dosm/dosm.ts';
import type { FormSigner, FormValues } from '../identity/authenticate-form.ts';
import type { Keyring } from '../identity/envelope.ts';
import type { Principal } from '../identity/types.ts';
import type { RequestOrigin } from './access/origin.ts';
import type { ObjectOwnership } from './acl/ownership.ts';
import type { BucketEncryption } from './encryption/default.ts';
import type { Tags } from './tags.ts';

export type Target = 'service' | 'bucket' | 'object';

/** What the pipeline does with the request's body before `run`. */
export type BodyKind =
  | 'none' // a body is ignored (and must be empty or small)
  | 'xml' // read whole (bounded), digests and signature verified: ctx.text
  | 'stream'; // handed over as ctx.body

export interface OperationRow {
  /** S3's name of the operation, e.g. `PutObject`. */
  readonly name: string;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE' | 'OPTIONS';
  readonly target: Target;
  /** Query keys that must be present; a value means that the key must have that value. */
  readonly query?: Readonly<Record<string, string | true>>;
  /** Headers that must be present (lower case). */
  readonly headers?: readonly string[];
  /** The action that is asked about, e.g. `s3:PutObject`; access/actions.ts adds versioned variants and what headers bring. */
  readonly permission: string;
  /** `run` asks by itself (ctx.authorize): for each key of its body, or for who signed a form. */
  readonly asksItself?: boolean;
  /**
   * What the body says to conditions of policies. Where there are policies the question waits for the body. Throws where
   * the body is bad: `run` says so.
   */
  readonly bodyFacts?: (text: string) => BodyFacts;
  readonly body: BodyKind;
  /** For `xml` bodies: Content-MD5 or an x-amz-checksum-* header must be there (DeleteObjects). */
  readonly checksumRequired?: boolean;
  /** x-amz-checksum-* headers speak of the object and not of the request's body (CompleteMultipartUpload): run checks them. */
  readonly checksumsOfObject?: boolean;
  /** `unsupported` rows answer 501 NotImplemented and have no `run`. `not-set` rows are reads that give AWS's "not set" answer. */
  readonly status: 'supported' | 'not-set' | 'unsupported';
  readonly run?: (ctx: OperationContext) => Promise<OperationResult>;
}

export interface BodyFacts {
  /** By names of condition keys, lower case. */
  readonly body?: Readonly<Record<string, string>>;
  readonly tags?: Tags;
}

/** What a further question has of its own; the rest is the request's. */
export interface AuthorizeMore extends BodyFacts {
  readonly versionId?: string;
  /** Somebody else than who signed the request's head (forms). */
  readonly principal?: Principal;
  /** Added to the request's headers for conditions, lower case (fields of a form). */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** The signature is in a form. */
  readonly form?: { readonly signedAt?: number };
}

export interface OperationResult {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number | undefined>>;
  /** A string is sent whole (XML gets its content type from the pipeline); an iterable is streamed under `headers['content-length']`. */
  readonly body?: string | AsyncIterable<Buffer>;
  /**
   * For answers that may take long (Complete, Copy): the pipeline may send 200 and white space first, then the XML
   * of the result or of the error. Used instead of `body`.
   */
  readonly slowBody?: Promise<string>;
}

/**
 * The payload of a PUT or an UploadPart: decoded from aws-chunked where that was used, with signature, length,
 * Content-MD5, x-amz-content-sha256 and checksum headers or trailers verified. `stream()` may be called once.
 */
export interface RequestBody {
  /** Bytes of the decoded payload. MissingContentLength (411) was thrown before when it was not known. */
  readonly length: number;
  /** Which checksum the client declared, by header, trailer or x-amz-sdk-checksum-algorithm. */
  readonly declaredChecksum: ChecksumAlgorithm | null;
  /**
   * Yields the payload. Throws the S3Error (BadDigest, XAmzContentSHA256Mismatch, IncompleteBody, InvalidChunkSizeError,
   * SignatureDoesNotMatch, RequestTimeout …) instead of ending when something does not hold.
   * @param extra checksums to compute beside MD5 and the declared one
   */
  stream(extra?: readonly ChecksumAlgorithm[]): AsyncIterable<Buffer>;
  /** After the stream has ended. MD5 as hex; checksums as base64, one entry for each algorithm computed. */
  result(): {
    readonly md5: string;
    readonly checksums: Readonly<Partial<Record<ChecksumAlgorithm, string>>>;
  };
}

export interface EncryptionService {
  readonly keyring: Keyring;
  /** Of buckets that have no encryption of their own; absent: none. */
  readonly byDefault?: BucketEncryption;
  /** Clients' keys (SSE-C) are taken over plain HTTP from other machines too. */
  readonly plainHttp?: boolean;
}

export interface Services {
  readonly catalog: Catalog;
  readonly dosm: Dosm;
  readonly clock: Clock;
  readonly region: string;
  /** Clients sign for whatever region they like: src/settings.ts. */
  readonly anyRegion?: boolean;
  /** Names of the webhooks that notifications may go to. */
  readonly webhooks?: ReadonlySet<string>;
  /** Absent: nothing can be encrypted here, and who asks for it is told so. */
  readonly encryption?: EncryptionService;
  /** Storage classes that are declared, from the warmest to the coldest; default: STORAGE_CLASSES. */
  readonly storageClasses?: readonly string[];
  /** Of buckets about which CreateBucket says nothing; default: BucketOwnerEnforced. */
  readonly objectOwnership?: ObjectOwnership;
}

export interface OperationContext {
  readonly requestId: string;
  readonly operation: OperationRow;
  readonly services: Services;
  readonly log: Logger;
  readonly principal: Principal;
  /** '' for service operations. */
  readonly bucketName: string;
  /** '' unless the target is an object. */
  readonly key: string;
  /** The bucket's row; the pipeline loads it (and answers NoSuchBucket) for every bucket and object operation but CreateBucket. */
  readonly bucket: Bucket | null;
  /** Decoded query parameters; a key without value has ''. */
  readonly query: ReadonlyMap<string, string>;
  /** Lower-case names; repeated headers joined with ','. Values are the raw latin1-decoded text. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** For `xml` bodies: the verified text. */
  readonly text: string;
  /** For `stream` bodies. */
  readonly body: RequestBody | null;
  /** Aborted when the client goes away or the request's deadline passes. */
  readonly signal: AbortSignal;
  /** Who signed the policy of a form, by the form's fields. */
  authenticateForm(form: FormValues): Promise<FormSigner>;
  /** Where the request came from. */
  readonly origin: RequestOrigin;
  /** Asks about a further action (CopyObject reads its source): throws AccessDenied. Looks the bucket up. */
  authorize(action: string, bucketName: string, key: string, more?: AuthorizeMore): Promise<Bucket>;
  /** The same question about the request's own bucket, answered and not thrown. */
  allows(action: string, key: string, more?: AuthorizeMore): Promise<boolean>;
}
