/**
 * The naming rules of general purpose buckets. Source: "Bucket naming rules", S3 User Guide.
 */
import { S3Error } from './errors.ts';

const LABELS = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const IPV4 = /^\d+\.\d+\.\d+\.\d+$/;
const RESERVED_PREFIXES = ['xn--', 'sthree-', 'amzn-s3-demo-'] as const;
const RESERVED_SUFFIXES = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3', '-an'] as const;

/** Whether a bucket may be created under this name. */
export function isNewBucketName(name: string): boolean {
  if (name.length < 3 || name.length > 63 || !LABELS.test(name) || IPV4.test(name)) return false;
  if (RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix))) return false;
  return !RESERVED_SUFFIXES.some((suffix) => name.endsWith(suffix));
}

/** Names that no bucket ever had are refused before the catalog is asked. @throws {S3Error} InvalidBucketName */
export function requireBucketName(name: string): void {
  if (!/^[A-Za-z0-9._-]{3,255}$/.test(name)) throw invalidBucketName(name);
}

export const invalidBucketName = (name: string): S3Error =>
  new S3Error('InvalidBucketName', { fields: { BucketName: name.slice(0, 256) } });
