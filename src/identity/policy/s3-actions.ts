/**
 * The actions of S3 by what they are about, and S3's condition keys: what a bucket's policy may name.
 * Source: "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference.
 */

/** About buckets: `arn:aws:s3:::bucket`. */
export const BUCKET_ACTIONS: readonly string[] =
  `CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite
  DeleteBucketOwnershipControls DeleteBucketPublicAccessBlock GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS
  GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification
  GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
  GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite
  GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration
  GetMetricsConfiguration GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions
  PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS PutBucketLogging
  PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
  PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
  PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
  PutMetricsConfiguration PutReplicationConfiguration CreateBucketMetadataTableConfiguration
  DeleteBucketMetadataTableConfiguration UpdateBucketMetadataInventoryTableConfiguration
  UpdateBucketMetadataJournalTableConfiguration UpdateBucketMetadataAnnotationTableConfiguration TagResource UntagResource
  ListTagsForResource`.split(/\s+/);

/** About objects: `arn:aws:s3:::bucket/key`. */
export const OBJECT_ACTIONS: readonly string[] = `AbortMultipartUpload BypassGovernanceRetention DeleteObject
  DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes
  GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl
  GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent
  InitiateReplication ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl
  PutObjectLegalHold PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete
  ReplicateObject ReplicateTags RestoreObject UpdateObjectEncryption GetObjectAnnotation PutObjectAnnotation
  DeleteObjectAnnotation ListObjectAnnotations`.split(/\s+/);

/** About the service. */
export const SERVICE_ACTIONS: readonly string[] = ['ListAllMyBuckets'];

/** Lower case. Those that end in `/` are followed by a name. */
const KEYS: ReadonlySet<string> = new Set(
  `s3:accessgrantsinstancearn s3:accesspointnetworkorigin s3:accesspointtag/ s3:authtype s3:buckettag/ s3:dataaccesspointaccount
   s3:dataaccesspointarn s3:delimiter s3:existingobjecttag/ s3:if-match s3:if-none-match
   s3:inventoryaccessibleoptionalfields s3:jobsuspendedcause s3:locationconstraint s3:max-keys
   s3:object-lock-legal-hold s3:object-lock-mode s3:object-lock-remaining-retention-days
   s3:object-lock-retain-until-date s3:objectcreationoperation s3:prefix s3:requestjoboperation s3:requestjobpriority
   s3:requestobjecttag/ s3:requestobjecttagkeys s3:resourceaccount s3:signatureage s3:signatureversion s3:tlsversion
   s3:versionid s3:x-amz-acl s3:x-amz-content-sha256 s3:x-amz-copy-source s3:x-amz-grant-full-control
   s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-metadata-directive
   s3:x-amz-object-ownership s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id
   s3:x-amz-server-side-encryption-customer-algorithm s3:x-amz-storage-class s3:x-amz-website-redirect-location`.split(
    /\s+/,
  ),
);

/** Keys of other services (`aws:`, `saml:` …) are not S3's to judge. */
export function isConditionKey(key: string): boolean {
  if (!key.startsWith('s3:')) return /^[a-z0-9-]+:./.test(key) || /^[a-z0-9.-]+\.[a-z]+:./.test(key);
  const slash = key.indexOf('/');
  return slash < 0 ? KEYS.has(key) : slash < key.length - 1 && KEYS.has(key.slice(0, slash + 1));
}
