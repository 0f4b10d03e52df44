/**
 * Bytes in, one commit, and what becomes of the bytes. Invariant: blobs of a commit that is done are confirmed, of one
 * that is refused discarded, of one whose outcome is unknown neither (the reaper asks the directory later). A commit
 * under an epoch that has passed is repeated, inside the same request, once the bytes satisfy the new one.
 */
import { newWriteId, type WriteId } from '../../base/ids.ts';
import type { CompleteRefusal, Durability, NewBlobContent, Outcome } from '../../ddm/catalog.ts';
import type { WriteRequest, WrittenBlob } from '../../dosm/dosm.ts';
import { encrypted, storedBytesOf } from '../encryption/chunk-cipher.ts';
import type { WriteEncryption } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import { serviceUnavailable } from '../lower-errors.ts';
import type { OperationContext, RequestBody } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { missingObjectLock } from './locks.ts';

/** A request's body, or the bytes of another object. */
export type ByteSource = Pick<RequestBody, 'length' | 'stream' | 'result'>;

/** What the commit is told of new bytes. */
type WrittenContent = NewBlobContent & WrittenBlob;

export interface Written {
  readonly writeId: WriteId;
  readonly content: { readonly kind: 'empty' } | WrittenContent;
  /** The MD5 of the bytes, but where they are encrypted under a key that the store does not hold alone. */
  readonly etag: string;
  readonly checksums: ReturnType<RequestBody['result']>['checksums'];
}

/** Writes a source as one blob for the request's key. Empty bodies are read for their checks and have no blob. */
export async function writeBytes(
  ctx: OperationContext,
  source: ByteSource,
  options: {
    readonly placement: WriteRequest['placement'];
    readonly part?: { readonly uploadId: string; readonly partNumber: number };
    readonly extraChecksums: Parameters<RequestBody['stream']>[0];
    /** null: the bytes are stored as they come. */
    readonly encryption: WriteEncryption | null;
  },
): Promise<Written> {
  const { encryption } = options;
  const writeId = newWriteId();
  const bytes = source.stream(options.extraChecksums);
  if (source.length === 0) {
    for await (const chunk of bytes) if (chunk.length > 0) throw new S3Error('IncompleteBody');
    return { writeId, content: { kind: 'empty' }, ...resultOf(source, encryption) };
  }
  const written = await ctx.services.dosm.write({
    ...(encryption === null
      ? { size: source.length, source: bytes }
      : {
          size: storedBytesOf(source.length),
          source: encrypted(encryption.key.chunks, options.part?.partNumber ?? 0, source.length, bytes),
        }),
    placement: options.placement,
    intent: { bucket: ctx.bucketName, key: ctx.key, ...options.part },
    writeId,
    durability: durabilityOf(ctx),
    signal: ctx.signal,
  });
  return { writeId, content: { kind: 'blob', ...written }, ...resultOf(source, encryption) };
}

function resultOf(
  source: ByteSource,
  encryption: WriteEncryption | null,
): Pick<Written, 'etag' | 'checksums'> {
  const { md5, checksums } = source.result();
  return { etag: etagOf(md5, encryption), checksums };
}

/** As S3 has it: the MD5 of plain objects and of AES256, and of others something that tells nothing. */
export const etagOf = (md5: string, encryption: WriteEncryption | null): string =>
  encryption === null || encryption.envelope.algorithm === 'AES256' ? md5 : encryption.key.etag(md5);

const durabilityOf = (ctx: OperationContext): Durability => ctx.bucket?.durability ?? 'two-copies';

/** Commits of one request while the conditions of its pair change under it. */
const COMMITS_MAX = 4;

/**
 * The value of the commit of what was written. `commit` is called again, with the same write id, after `stale-epoch`.
 * @throws {S3Error} what `refused` gives, or ServiceUnavailable when the outcome is unknown
 * @throws {BytesUnavailable} when the bytes cannot be made to satisfy the new epoch
 */
export async function commitBytes<T, R extends string>(
  ctx: OperationContext,
  written: Written,
  commit: (content: Written['content']) => Promise<Outcome<T, R | 'stale-epoch'>>,
  refused: (reason: R | 'stale-epoch') => S3Error,
): Promise<T> {
  const { dosm } = ctx.services;
  let { content } = written;
  for (let commits = 1; ; commits++) {
    // A rejection (the directory is away) leaves the blob alone too: nobody knows what it has seen.
    const outcome = await commit(content);
    if (content.kind === 'empty') return settle(outcome, refused);
    if (outcome.outcome === 'done') dosm.confirm([content.blob]);
    if (outcome.outcome !== 'refused') return settle(outcome, refused);
    if (outcome.reason !== 'stale-epoch' || commits === COMMITS_MAX) {
      dosm.discard([content.blob]);
      return settle(outcome, refused);
    }
    content = await reaffirmed(ctx, content);
  }
}

async function reaffirmed(ctx: OperationContext, content: WrittenContent): Promise<WrittenContent> {
  const { dosm } = ctx.services;
  const { kind, ...written } = content;
  try {
    return { kind, ...(await dosm.reaffirm(written, durabilityOf(ctx))) };
  } catch (error) {
    dosm.discard([content.blob]);
    throw error;
  }
}

/** What a client is told when the catalog refuses. */
export function refusalError(ctx: { readonly key: string }, reason: CompleteRefusal): S3Error {
  switch (reason) {
    case 'precondition-failed':
      return new S3Error('PreconditionFailed');
    case 'no-such-key':
      return new S3Error('NoSuchKey', { fields: { Key: ctx.key } });
    case 'bucket-gone':
      return new S3Error('NoSuchBucket');
    case 'no-such-version':
      return new S3Error('NoSuchVersion', { fields: { Key: ctx.key } });
    case 'locked':
      return new S3Error('AccessDenied', {
        message: 'Access Denied because object protected by object lock.',
      });
    case 'no-object-lock':
      return missingObjectLock();
    case 'over-quota':
      return new S3Error('QuotaExceeded');
    case 'no-such-upload':
      return new S3Error('NoSuchUpload');
    case 'invalid-part':
      return new S3Error('InvalidPart');
    case 'intent-expired':
    case 'blob-dying':
    case 'stale-epoch':
      return serviceUnavailable();
    default: {
      const missing: never = reason;
      throw new Error(`no S3 error for ${String(missing)}`);
    }
  }
}
