/**
 * What a completed multipart object is, from the parts that were uploaded and those that the client names. Pure.
 * Source: "CompleteMultipartUpload", Amazon S3 API Reference.
 */
import { createHash } from 'node:crypto';
import { type CrcName, combineFullObject, compositeChecksum } from '../../base/checksums/combine.ts';
import { LIMITS } from '../../base/limits.ts';
import {
  CHECKSUM_ALGORITHMS,
  type ChecksumAlgorithm,
  type ObjectChecksum,
  type Upload,
  type UploadPart,
} from '../../ddm/catalog.ts';
import type { CompletePartDocument } from '../documents.ts';
import { S3Error } from '../errors.ts';
import { checksumHeader } from './checksums.ts';
import { algorithmOf } from './uploads.ts';

/**
 * The list in order, each number once: where a client that sent a part again names both, the last entry counts.
 * @throws {S3Error} InvalidPartOrder
 */
export function inOrder(named: readonly CompletePartDocument[]): readonly CompletePartDocument[] {
  for (let i = 1; i < named.length; i++)
    if (named[i]!.partNumber < named[i - 1]!.partNumber) throw new S3Error('InvalidPartOrder');
  return named.filter((part, i) => part.partNumber !== named[i + 1]?.partNumber);
}

/**
 * The uploaded parts that the client names, in its order.
 * @throws {S3Error} InvalidPart, EntityTooSmall, EntityTooLarge
 */
export function chooseParts(
  upload: Upload,
  named: readonly CompletePartDocument[],
  uploaded: ReadonlyMap<number, UploadPart>,
): readonly UploadPart[] {
  const parts = named.map((name) => {
    const part = uploaded.get(name.partNumber);
    if (part === undefined || part.etag !== name.etag || !checksumAgrees(upload, name, part))
      throw new S3Error('InvalidPart', {
        fields: {
          UploadId: upload.uploadId,
          PartNumber: String(name.partNumber),
          ETag: name.etag,
        },
      });
    return part;
  });
  for (const part of parts.slice(0, -1))
    if (part.size < LIMITS.partBytesMin)
      throw new S3Error('EntityTooSmall', {
        fields: {
          ProposedSize: String(part.size),
          MinSizeAllowed: String(LIMITS.partBytesMin),
          PartNumber: String(part.partNumber),
          ETag: part.etag,
        },
      });
  const size = sizeOf(parts);
  if (size > LIMITS.objectBytesMax)
    throw new S3Error('EntityTooLarge', {
      fields: { ProposedSize: String(size), MaxSizeAllowed: String(LIMITS.objectBytesMax) },
    });
  return parts;
}

/** An upload without an algorithm kept CRC64NVME for itself: what else its client names is no promise of ours. */
function checksumAgrees(upload: Upload, name: CompletePartDocument, part: UploadPart): boolean {
  const given = name.checksums[algorithmOf(upload)];
  return given === undefined || given === part.checksum;
}

export const sizeOf = (parts: readonly { readonly size: number }[]): number =>
  parts.reduce((sum, part) => sum + part.size, 0);

/** MD5 of the MD5s of the parts, and their number. */
export function etagOfParts(parts: readonly { readonly etag: string }[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part.etag, 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}

/** undefined when a part has no checksum (it was stored by something else than this release). */
export function checksumOfParts(upload: Upload, parts: readonly UploadPart[]): ObjectChecksum | undefined {
  const algorithm = algorithmOf(upload);
  const values = parts.flatMap(({ checksum, size }) => (checksum === undefined ? [] : [{ checksum, size }]));
  if (values.length !== parts.length) return undefined;
  const type = upload.checksumType ?? 'FULL_OBJECT';
  if (type === 'FULL_OBJECT' && isCrc(algorithm))
    return { algorithm, type, value: combineFullObject(algorithm, values) };
  const checksums = values.map(({ checksum }) => checksum);
  return { algorithm, type: 'COMPOSITE', value: compositeChecksum(algorithm, checksums) };
}

const isCrc = (algorithm: ChecksumAlgorithm): algorithm is CrcName => algorithm.startsWith('CRC');

/**
 * What the request claims about the whole object: checksum, its type, size. (AWS also wants the checksum of every part of
 * a COMPOSITE upload named; all of them are kept here since the parts came, so nothing is gained by refusing.)
 * @throws {S3Error} BadDigest, InvalidRequest
 */
export function checkClaims(
  headers: Readonly<Record<string, string | undefined>>,
  object: { readonly size: number; readonly checksum: ObjectChecksum | undefined },
): void {
  for (const algorithm of CHECKSUM_ALGORITHMS)
    checkChecksumHeader(algorithm, headers[checksumHeader(algorithm)], object.checksum);
  const type = headers['x-amz-checksum-type']?.toUpperCase();
  const actual = object.checksum?.type;
  if (type !== undefined && type !== actual)
    throw invalidRequest(
      `The upload was created using the ${actual} checksum mode. The complete request must use the same checksum mode.`,
    );
  const size = headers['x-amz-mp-object-size'];
  if (size !== undefined && size !== String(object.size))
    throw invalidRequest(
      "The provided 'x-amz-mp-object-size' header value does not match what was computed.",
    );
}

function checkChecksumHeader(
  algorithm: ChecksumAlgorithm,
  given: string | undefined,
  actual: ObjectChecksum | undefined,
): void {
  if (given === undefined) return;
  if (actual?.algorithm !== algorithm)
    throw invalidRequest(
      `The upload was created using the ${actual?.algorithm.toLowerCase()} checksum algorithm. The complete request named a ${algorithm.toLowerCase()} checksum.`,
    );
  // S3 takes a composite checksum with and without the number of parts.
  if (given === actual.value || given === actual.value.replace(/-\d+$/, '')) return;
  throw new S3Error('BadDigest', {
    message: `The ${algorithm} you specified did not match the calculated checksum.`,
  });
}

const invalidRequest = (message: string) => new S3Error('InvalidRequest', { message });
