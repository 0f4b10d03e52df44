/**
 * The operation table: every operation of the S3 API is a row, supported or not. docs/s3-compatibility.md lists the same
 * rows (a test compares), and a test asks the AWS SDK for the request of each of its commands and looks where it leads.
 */
import type { OperationRow } from './operation.ts';
import { getBucketAcl, getObjectAcl, putBucketAcl, putObjectAcl } from './ops/acl.ts';

import { deleteBucketCors, getBucketCors, putBucketCors } from './ops/bucket-cors.ts';
import { deleteBucketEncryption, getBucketEncryption, putBucketEncryption } from './ops/bucket-encryption.ts';
import { deleteBucketLifecycle, getBucketLifecycle, putBucketLifecycle } from './ops/bucket-lifecycle.ts';
import { getBucketNotification, putBucketNotification } from './ops/bucket-notification.ts';
import {
  deleteBucketPolicy,
  getBucketPolicy,
  getBucketPolicyStatus,
  putBucketPolicy,
} from './ops/bucket-policy.ts';
import { deleteBucketTagging, getBucketTagging, putBucketTagging } from './ops/bucket-tagging.ts';
import { getBucketVersioning, putBucketVersioning } from './ops/bucket-versioning.ts';
import { deleteBucketWebsite, getBucketWebsite, putBucketWebsite } from './ops/bucket-website.ts';
import { deleteBucket, getBucketLocation, headBucket } from './ops/buckets.ts';
import { CORS_PREFLIGHT } from './ops/cors-preflight.ts';
import { createBucket } from './ops/create-bucket.ts';
import { DEFAULTS } from './ops/defaults.ts';
import { listBuckets } from './ops/list-buckets.ts';
import { listMultipartUploads } from './ops/list-multipart-uploads.ts';
import { listObjectVersions } from './ops/list-object-versions.ts';
import { listObjects } from './ops/list-objects.ts';
import { listObjectsV2 } from './ops/list-objects-v2.ts';
import { NOT_SET } from './ops/not-set.ts';
import { getObjectLockConfiguration, putObjectLockConfiguration } from './ops/object-lock.ts';
import {
  getObjectLegalHold,
  getObjectRetention,
  putObjectLegalHold,
  putObjectRetention,
} from './ops/object-locks.ts';
import { OBJECT_OPERATIONS } from './ops/object-operations.ts';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './ops/object-tagging.ts';
import {
  deleteBucketOwnershipControls,
  getBucketOwnershipControls,
  putBucketOwnershipControls,
} from './ops/ownership-controls.ts';
import { postObject } from './ops/post-object.ts';
import {
  deletePublicAccessBlock,
  getPublicAccessBlock,
  putPublicAccessBlock,
} from './ops/public-access-block.ts';
import { UNSUPPORTED } from './ops/unsupported.ts';

export const OPERATIONS: readonly OperationRow[] = [
  listBuckets,
  createBucket,
  headBucket,
  deleteBucket,
  getBucketLocation,
  listObjects,
  listObjectsV2,
  listObjectVersions,
  listMultipartUploads,
  getBucketVersioning,
  putBucketVersioning,
  getBucketTagging,
  putBucketTagging,
  deleteBucketTagging,
  getBucketCors,
  putBucketCors,
  deleteBucketCors,
  getBucketWebsite,
  putBucketWebsite,
  deleteBucketWebsite,
  getBucketNotification,
  putBucketNotification,
  getBucketEncryption,
  putBucketEncryption,
  deleteBucketEncryption,
  getBucketLifecycle,
  putBucketLifecycle,
  deleteBucketLifecycle,
  getObjectLockConfiguration,
  putObjectLockConfiguration,
  putBucketPolicy,
  getBucketPolicy,
  deleteBucketPolicy,
  getBucketPolicyStatus,
  putPublicAccessBlock,
  getPublicAccessBlock,
  deletePublicAccessBlock,
  getBucketAcl,
  putBucketAcl,
  getObjectAcl,
  putObjectAcl,
  getBucketOwnershipControls,
  putBucketOwnershipControls,
  deleteBucketOwnershipControls,
  getObjectTagging,
  putObjectTagging,
  deleteObjectTagging,
  getObjectRetention,
  putObjectRetention,
  getObjectLegalHold,
  putObjectLegalHold,
  postObject,
  ...OBJECT_OPERATIONS,
  ...NOT_SET,
  ...DEFAULTS,
  ...CORS_PREFLIGHT,
  ...UNSUPPORTED,
];
