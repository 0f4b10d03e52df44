/**
 * Every limit of the store, with units in the name and the relations between them asserted below.
 * Source of the S3 figures: "Amazon S3 multipart upload limits" and "Creating object key names", S3 User Guide.
 */
const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const LIMITS = {
  // S3 semantics
  keyBytesMax: 1024,
  putBytesMax: 5 * GIB,
  partBytesMin: 5 * MIB,
  partBytesMax: 5 * GIB,
  partNumberMax: 10_000,
  objectBytesMax: 5 * 1024 * GIB,
  copySourceBytesMax: 5 * GIB,
  listKeysMax: 1000,
  deleteObjectsMax: 1000,
  aclGrantsMax: 100,
  userMetadataBytesMax: 2 * KIB,
  tagsPerObjectMax: 10,
  tagsPerBucketMax: 50,
  defaultRetentionDaysMax: 36_500,
  defaultRetentionYearsMax: 100,
  bucketsPerAccountMax: 1000,

  // Users and roles, as IAM has them; policies without white space
  usersPerAccountMax: 5000,
  rolesPerAccountMax: 1000,
  accessKeysPerUserMax: 2,
  accessKeysPerAccountMax: 100,
  userPoliciesCharactersMax: 2048,
  rolePoliciesCharactersMax: 10_240,
  trustPolicyCharactersMax: 2048,
  sessionPolicyCharactersMax: 2048,
  tagsPerEntityMax: 50,
  queryBodyBytesMax: 512 * KIB,
  corsRulesMax: 100,
  corsBytesMax: 64 * KIB,
  websiteRulesMax: 50,
  websiteBytesMax: 128 * KIB,
  /** A form's fields before its file, values and all. */
  formFieldsBytesMax: 20_000,
  formFieldsMax: 200,
  lifecycleRulesMax: 1000,
  newerNoncurrentMax: 100,
  /** As JSON. A bucket's record with all of its settings has to fit into a name record of the nodes. */
  lifecycleBytesMax: 1 * MIB,

  // Blobs
  /** Stored bytes per chunk; the unit of checksums, of verification and of resumption. */
  chunkBytes: 256 * KIB,
  /** Chunk digests per page of the digest tree (one page covers 64 MiB). */
  chunksPerPage: 256,
  /** The largest part with what encryption adds to each of its chunks. */
  blobBytesMax: 5 * GIB + MIB,
  /** Blobs up to this size live in LMDB, larger ones are files. */
  smallBlobBytesMax: 64 * KIB,

  // Parsers
  xmlBytesMax: 2 * MIB,
  xmlDepthMax: 32,
  xmlElementsMax: 100_000,
  headerBytesMax: 16 * KIB,
  uriBytesMax: 8 * KIB,
  chunkHeaderBytesMax: 1 * KIB,
  trailerBytesMax: 8 * KIB,

  // Time
  /** SigV4: accepted difference between the client's clock and ours. */
  clockSkewMs: 15 * 60_000,
  presignSecondsMax: 7 * 24 * 3600,
  /** A request, its body and its response end within this time. */
  requestMsMax: 6 * 3_600_000,
  /** The catalog refuses a blob whose write began longer ago than this. */
  intentMs: 7 * 3_600_000,
  /** Pending blobs are reaped this long after their intent ended. */
  pendingGraceMs: 30 * 60_000,
  /** A blob without references is kept this long, for reads that still flow. */
  blobGraceMs: 7 * 3_600_000,
  /** Caches of keys and settings are at most this old. */
  settingsAgeMs: 1_000,
  /** Changes of the namespace are kept this long for consumers of the feed that have not read them. */
  feedWaitMs: 7 * 24 * 3_600_000,
} as const;

const relations: [string, boolean][] = [
  ['partBytesMin <= partBytesMax', LIMITS.partBytesMin <= LIMITS.partBytesMax],
  ['putBytesMax <= blobBytesMax', LIMITS.putBytesMax <= LIMITS.blobBytesMax],
  ['partBytesMax <= blobBytesMax', LIMITS.partBytesMax <= LIMITS.blobBytesMax],
  ['smallBlobBytesMax <= chunkBytes', LIMITS.smallBlobBytesMax <= LIMITS.chunkBytes],
  ['requestMsMax < intentMs', LIMITS.requestMsMax < LIMITS.intentMs],
  ['requestMsMax < blobGraceMs', LIMITS.requestMsMax < LIMITS.blobGraceMs],
  ['keyBytesMax < uriBytesMax', LIMITS.keyBytesMax * 3 < LIMITS.uriBytesMax],
];
for (const [name, holds] of relations) if (!holds) throw new Error(`limits contradict each other: ${name}`);
