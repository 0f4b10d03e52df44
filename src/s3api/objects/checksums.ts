/**
 * S3's additional checksums as headers, XML elements and choices. The digests themselves are in base/checksums.
 * Source: "Checking object integrity", Amazon S3 User Guide.
 */
import {
  CHECKSUM_ALGORITHMS,
  type ChecksumAlgorithm,
  type ChecksumType,
  type ObjectChecksum,
} from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import { tag } from '../xml.ts';

/** What S3 stores when a client declares nothing. */
export const DEFAULT_ALGORITHM: ChecksumAlgorithm = 'CRC64NVME';

export const checksumHeader = (algorithm: ChecksumAlgorithm): string =>
  `x-amz-checksum-${algorithm.toLowerCase()}`;

export function checksumHeaders(checksum: ObjectChecksum | undefined): Record<string, string> {
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

export function checksumTag(algorithm: ChecksumAlgorithm | undefined, value: string | undefined): string {
  return algorithm === undefined ? '' : tag(`Checksum${algorithm}`, value);
}

export const checksumTags = (checksum: ObjectChecksum | undefined): string =>
  checksum === undefined
    ? ''
    : checksumTag(checksum.algorithm, checksum.value) + tag('ChecksumType', checksum.type);

/** x-amz-checksum-algorithm of CopyObject and CreateMultipartUpload. @throws {S3Error} InvalidRequest */
export function requestedAlgorithm(
  headers: Readonly<Record<string, string | undefined>>,
): ChecksumAlgorithm | undefined {
  const value = headers['x-amz-checksum-algorithm'];
  if (value === undefined) return undefined;
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === value.toUpperCase());
  if (algorithm === undefined)
    throw new S3Error('InvalidRequest', {
      message:
        'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
    });
  return algorithm;
}

/**
 * The algorithm and type of an upload. CRC64NVME knows FULL_OBJECT alone, SHA1 and SHA256 COMPOSITE alone;
 * CRC32 and CRC32C both, COMPOSITE unless asked. @throws {S3Error} InvalidRequest
 */
export function uploadChecksum(headers: Readonly<Record<string, string | undefined>>): {
  checksumAlgorithm?: ChecksumAlgorithm;
  checksumType?: ChecksumType;
} {
  const algorithm = requestedAlgorithm(headers);
  const given = headers['x-amz-checksum-type'];
  const type = (['COMPOSITE', 'FULL_OBJECT'] as const).find((known) => known === given?.toUpperCase());
  if (given !== undefined && type === undefined)
    throw new S3Error('InvalidRequest', {
      message: 'Value for x-amz-checksum-type header is invalid.',
    });
  if (algorithm === undefined) {
    if (type === undefined) return {};
    throw new S3Error('InvalidRequest', {
      message: 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    });
  }
  const allowed = typesOf(algorithm);
  if (type !== undefined && !allowed.includes(type))
    throw new S3Error('InvalidRequest', {
      message: `The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    });
  return { checksumAlgorithm: algorithm, checksumType: type ?? allowed[0]! };
}

function typesOf(algorithm: ChecksumAlgorithm): readonly ChecksumType[] {
  switch (algorithm) {
    case 'CRC64NVME':
      return ['FULL_OBJECT'];
    case 'SHA1':
    case 'SHA256':
      return ['COMPOSITE'];
    default:
      return ['COMPOSITE', 'FULL_OBJECT'];
  }
}

/** Whether the client asked to see checksums on a read. */
export const wantsChecksum = (headers: Readonly<Record<string, string | undefined>>): boolean =>
  headers['x-amz-checksum-mode']?.toUpperCase() === 'ENABLED';
