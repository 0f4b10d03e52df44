/**
 * Internal figures of a store, as a configuration file may set them; tests shorten them. Milliseconds where the name says
 * so. Every one has a default that is right for a real deployment.
 */
import { z } from 'zod';
import { LIMITS } from './base/limits.ts';
import { isProxyAddress, parsePublicHost } from './base/public-hosts.ts';
import { STANDARD, STORAGE_CLASSES, UNSUPPORTED_CLASSES } from './lifecycle/classes.ts';
import { parseSubnet } from './twin/address.ts';
import { MONITOR_TIMINGS } from './twin/monitor.ts';

const milliseconds = z.int().min(1);
/** 0: none at all. */
const bytesPerSecond = z.int().min(0);
const MIB = 1024 * 1024;

/** How gateways watch the nodes: src/twin/monitor.ts. */
const monitor = z.strictObject({
  probeMs: milliseconds.default(MONITOR_TIMINGS.probeMs),
  /** Of one probe. */
  probeDeadlineMs: milliseconds.default(MONITOR_TIMINGS.probeDeadlineMs),
  /** Without a good answer, after which a node is declared failed over. */
  failAfterMs: milliseconds.default(MONITOR_TIMINGS.failAfterMs),
  /** Of good answers, after which it is resynced. */
  backAfterMs: milliseconds.default(MONITOR_TIMINGS.backAfterMs),
  /** How often the record of conditions is read. */
  reloadMs: milliseconds.default(1_000),
  /** How long a gateway waits, at its start, for the nodes to be admitted. */
  admitMs: milliseconds.default(15_000),
});

/** What brings replicas back to where they should be: src/jobs/replication.ts. */
const replication = z.strictObject({
  repairMs: milliseconds.default(2_000),
  damageMs: milliseconds.default(5_000),
  resyncMs: milliseconds.default(1_000),
  surplusMs: milliseconds.default(30_000),
  sweepMs: milliseconds.default(600_000),
  drainMs: milliseconds.default(5_000),
  moveGraceMs: milliseconds.default(10_000),
  resyncLeaseMs: milliseconds.default(15_000),
  repairBytesPerSecond: bytesPerSecond.min(1).default(64 * MIB),
  resyncBytesPerSecond: bytesPerSecond.min(1).default(128 * MIB),
  /** What is left of both while clients' requests are under way. */
  busyShare: z.number().gt(0).max(1).default(0.25),
});

/** Directories without a supervisor: src/launcher/lease.ts. */
const directoryLease = z.strictObject({
  /** For so long the primary may answer without having heard of its twin's agent; a promotion waits as long. */
  leaseMs: milliseconds.default(5_000),
  renewMs: milliseconds.default(1_000),
  /** For clocks that do not run equally fast. */
  marginMs: milliseconds.default(1_000),
});

/** Where a key of 32 bytes is: a file or a variable of the environment that holds it as hex or base64. */
const keySource = { file: z.string().min(1).optional(), env: z.string().min(1).optional() };
const hasOneSource = (key: { file?: string | undefined; env?: string | undefined }) =>
  (key.file === undefined) !== (key.env === undefined);
const ONE_SOURCE = 'needs either file or env';

/** Keys that gateways encrypt with: src/launcher/keyring.ts, docs/encryption.md. */
const encryption = z.strictObject({
  /** Beside those of the secrets folder; a number that is there too is taken from here. */
  masterKeys: z
    .array(z.strictObject({ id: z.int().min(0).max(255), ...keySource }).refine(hasOneSource, ONE_SOURCE))
    .default([]),
  /** The number of the master key that seals; default: the highest. */
  sealWith: z.int().min(0).max(255).optional(),
  /** What requests may name as x-amz-server-side-encryption-aws-kms-key-id. */
  kmsKeys: z
    .array(
      z
        .strictObject({ id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9/_.-]{0,255}$/), ...keySource })
        .refine(hasOneSource, ONE_SOURCE),
    )
    .default([]),
  /** What aws:kms without a key id takes. */
  defaultKmsKey: z.string().optional(),
  /** Of buckets that have no encryption of their own. */
  byDefault: z.enum(['none', 'AES256', 'aws:kms']).default('none'),
  /** Whether clients may send their keys (SSE-C) over plain HTTP from other machines. */
  plainHttp: z.boolean().default(false),
});
/** Names of classes, from the warmest to the coldest: docs/lifecycle.md. */
const storageClasses = z
  .array(
    z
      .string()
      .regex(/^[A-Z0-9_]{1,64}$/, 'is no storage class: capitals, digits and "_"')
      .refine(
        (name) => !UNSUPPORTED_CLASSES.has(name),
        'would have to be restored before it is read, which is not built; leave it out',
      ),
  )
  .refine((names) => names[0] === STANDARD, `begin with ${STANDARD}`)
  .refine((names) => new Set(names).size === names.length, 'name each class once')
  .default([...STORAGE_CLASSES]);
const fileName = z.string().min(1).max(4_096);
/** Where notifications may go: docs/notifications.md. */
const webhook = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'has letters, digits, . _ and -, at most 64'),
  url: z.string().refine(isWebhookUrl, 'is no http or https URL without a user in it'),
  /** Its content is the key of the signatures. */
  secretFile: fileName.optional(),
  /** Its content is sent as `Authorization: Bearer`. */
  bearerFile: fileName.optional(),
  /** Of one attempt. */
  timeoutMs: milliseconds.max(120_000).default(5_000),
  concurrency: z.int().min(1).max(256).default(8),
  /** After which an event that is not taken becomes a dead letter. */
  retryForMs: milliseconds.default(24 * 60 * 60 * 1_000),
  /** Networks that it may be in although they are loopback, link-local, reserved or the cluster's. */
  allowAddresses: z
    .array(z.string().refine((text) => parseSubnet(text) !== null, 'is no subnet, such as 10.9.0.0/16'))
    .default([]),
});

const notifications = z.strictObject({
  pollMs: milliseconds.default(500),
  /** Before the second attempt; doubled with each. */
  backoffMs: milliseconds.default(1_000),
  backoffMsMax: milliseconds.default(60_000),
  keepDeadMs: milliseconds.default(14 * 24 * 60 * 60 * 1_000),
});

export const settings = z.strictObject({
  intentMs: milliseconds.default(LIMITS.intentMs),
  pendingGraceMs: milliseconds.default(LIMITS.pendingGraceMs),
  blobGraceMs: milliseconds.default(LIMITS.blobGraceMs),
  /** How long changes wait for consumers of the feed that have not read them (docs/catalog.md, "Changes"). */
  feedWaitMs: milliseconds.default(LIMITS.feedWaitMs),
  /**
   * The bytes of what was deleted are kept at least so long (never shorter than blobGraceMs): to a point no longer ago than
   * this the catalog can be restored, and every object of that time reads back.
   */
  keepDeletedMs: z.int().min(0).default(0),
  /** How often nodes are told of names that have changed; who tells them, for how long alone; how long they keep tombstones. */
  nameRecordsMs: milliseconds.default(1_000),
  nameLeaseMs: milliseconds.default(15_000),
  tombstoneMs: milliseconds.default(7 * 24 * 60 * 60 * 1_000),
  storageClasses,
  /** Smaller objects are moved by those lifecycle rules alone that speak of sizes. */
  transitionMinimumBytes: z
    .int()
    .min(0)
    .default(128 * 1024),
  /** For tests: what lifecycle rules take for a day, without rounding to midnight. */
  lifecycleDayMs: milliseconds.optional(),
  /** Of each gateway. */
  lifecycleActionsPerSecond: z.int().min(1).default(500),
  reapIntervalMs: milliseconds.default(60_000),
  reclaimIntervalMs: milliseconds.default(30_000),
  /** A commit whose outcome is not known by then is answered as unknown. */
  commitDeadlineMs: milliseconds.default(10_000),
  /** How long a directory may miss its probes before it is ended by force. */
  directoryDeadlineMs: milliseconds.default(5_000),
  directoryLease: directoryLease.prefault({}),
  /** How long requests may go on after the signal to stop. */
  drainMs: milliseconds.default(10_000),
  /** A node refuses blobs that would leave less free than this. */
  reserveBytes: z
    .int()
    .min(0)
    .default(256 * MIB),
  nodeDeadlines: z
    .strictObject({ connectMs: milliseconds, firstByteMs: milliseconds, stallMs: milliseconds })
    .default({ connectMs: 250, firstByteMs: 1_000, stallMs: 2_000 }),
  monitor: monitor.prefault({}),
  replication: replication.prefault({}),
  /** Bytes a second that a node reads to check itself; 0: no scrub. And from the end of a round to the next. */
  scrubBytesPerSecond: bytesPerSecond.default(8 * MIB),
  scrubRoundMs: milliseconds.default(7 * 24 * 60 * 60 * 1_000),
  /** Subnets from which people's logins for SQL may come, beside those of the centers and the directories' own machines. */
  sqlClients: z
    .array(z.string().refine((text) => parseSubnet(text) !== null, 'is no subnet, such as 10.9.0.0/16'))
    .default([]),
  /** Names of this store in front of proxies (docs/proxies.md): `s3.example.org`, `https://s3.example.org:8443`. */
  publicHosts: z
    .array(z.string().refine((text) => parsePublicHost(text) !== null, 'is no host, such as s3.example.org'))
    .default([]),
  /** Addresses and subnets of proxies whose word about their clients is taken. */
  trustedProxies: z
    .array(z.string().refine(isProxyAddress, 'is no address or subnet, such as 10.9.0.0/16'))
    .default([]),
  /** In which headers they give it: X-Forwarded-For, -Proto, -Host and -Port, or Forwarded (RFC 7239). */
  proxyHeaders: z.enum(['x-forwarded', 'forwarded']).default('x-forwarded'),
  encryption: encryption.prefault({}),
  /** Host suffixes under which `bucket.SUFFIX` is the bucket's website (docs/browser.md). */
  websiteDomains: z
    .array(z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'is no domain in lower case'))
    .default([]),
  /** Whether the policies of forms may be signed as before 2014, with HMAC-SHA1 (AWSAccessKeyId, Signature). */
  formSignatureV2: z.boolean().default(false),
  webhooks: z
    .array(webhook)
    .max(100)
    .default([])
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'two have the same name'),
  notifications: notifications.prefault({}),
  /** Clients may sign for any region and need not name one for a bucket, as at S3's global endpoint. */
  anyRegion: z.boolean().default(false),
  /** Who owns the objects of buckets that are made from now on without saying so (docs/access.md). */
  defaultObjectOwnership: z
    .enum(['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'])
    .default('BucketOwnerEnforced'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
});
export type Settings = z.infer<typeof settings>;
export type WebhookSettings = Settings['webhooks'][number];

function isWebhookUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '';
}
