/**
 * The admin API's documents: what goes over the wire between the `antipode` command (or any program) and the admin
 * address. JSON in and out; requests signed with SigV4, service `antipode`, by the root account. docs/admin-api.md
 * lists the routes.
 */
import { z } from 'zod';

export type { VerifyLine, VerifySummary } from '../dosm/verify/report.ts';

/** Service and region in the credential scope of signed admin requests, whatever region the buckets are in. */
export const ADMIN_SERVICE = 'antipode' as const;
export const ADMIN_REGION = 'us-east-1';
export const ADMIN_PREFIX = '/admin/v1';

export type Condition = 'serving' | 'suspect' | 'failed-over' | 'resyncing';

export interface MemberReport {
  readonly id: string;
  readonly kind: 'gateway' | 'node' | 'directory';
  readonly center: string | null;
  readonly address: string;
  readonly twin: string | null;
  readonly condition: Condition;
  /** null when it is not known (the member does not answer and nobody here started it). */
  readonly pid: number | null;
  /** Since the member's process started; null when it does not count or does not answer. */
  readonly requests: number | null;
  readonly controlRequests: number | null;
  /** Directories only: whether this member answers for its pair. */
  readonly primary?: boolean;
  /** Nodes that answer. */
  readonly blobs?: number;
  readonly storedBytes?: number;
  readonly freeBytes?: number;
  /** Data requests that it has refused, being fenced or asked under an older epoch. */
  readonly refusedRequests?: number;
  /** How it stands by its own word, and the epoch that it has heard of. */
  readonly stance?: 'fenced' | 'resyncing' | 'serving';
  readonly epoch?: number;
  /** Replicas that its scrub, reads or start found damaged and that are not queued yet. */
  readonly damaged?: number;
  readonly scrub?: ScrubReport;
  /** Why the condition is not `serving`. */
  readonly reason?: string;
  /** Of a recorded condition: since when, who decided, and whether it comes back by itself. */
  readonly since?: string;
  readonly decidedBy?: string;
  readonly mayReturn?: boolean;
  readonly resync?: ResyncReport;
}

export interface ScrubReport {
  readonly bytes: number;
  readonly blobs: number;
  readonly bytesPerSecondMax: number;
  /** ISO 8601; null: never. */
  readonly lastRoundEndedAt: string | null;
}

export interface ResyncReport {
  readonly phase: string;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly owner: string;
  readonly toPull: number;
  readonly pulledBlobs: number;
  readonly pulledBytes: number;
  /** Repairs that still wait for it. */
  readonly lag: number;
  readonly lastError?: string;
}

export interface PairReport {
  readonly id: string;
  readonly kind: 'node' | 'directory';
  readonly members: readonly [string, string];
  /** `redundant`: both serve. `degraded`: one serves. `lost`: none does. */
  readonly state: 'redundant' | 'degraded' | 'lost';
  /** Raised by every change of its conditions; of directories: their servers' timeline. null: not known. */
  readonly epoch: number | null;
}

export interface StatusReport {
  readonly epoch: number;
  /** Whether every pair is redundant and no repair is queued; `antipode status` exits 1 otherwise. */
  readonly redundant: boolean;
  readonly centers: readonly {
    readonly name: string;
    readonly subnet: string;
    readonly condition: Condition;
    /** Of a center that was declared out. */
    readonly reason?: string;
    readonly since?: string;
  }[];
  readonly members: readonly MemberReport[];
  readonly pairs: readonly PairReport[];
  /** Replicas that are not where the map says; null: the catalog did not answer. */
  readonly repairs: {
    readonly queued: number | null;
    readonly byMember?: Readonly<Record<string, number>>;
  };
}

/** What `failover enter` and `failover leave` answer: the members that the order was about, as the record has them now. */
export interface FailoverReport {
  /** A member's id, or `center a`. */
  readonly subject: string;
  readonly epoch: number;
  readonly members: readonly {
    readonly member: string;
    readonly condition: Condition;
    readonly since: string;
    readonly why: string;
    readonly decidedBy: string;
    readonly mayReturn: boolean;
  }[];
}

export interface ConditionEventReport {
  /** null for directories' events. */
  readonly id: number | null;
  readonly kind: 'node' | 'center' | 'directory';
  readonly subject: string;
  /** Directories: also `primary` (promoted) and `may-return` (an operator lets it come back). */
  readonly state: Condition | 'primary' | 'may-return';
  /** The cluster's since then; of directories the timeline of their pair. */
  readonly epoch: number;
  readonly at: string;
  readonly why: string;
  readonly decidedBy: string;
}
/** Newest first; `before` of the next page is `next`, or the id of an event that has one. */
export interface HistoryReport {
  readonly events: readonly ConditionEventReport[];
  readonly truncated: boolean;
  /** null: there are no more. */
  readonly next: string | null;
  /** Directory pairs that do not answer, so that what was decided about them is not here. */
  readonly missing?: readonly string[];
}

export interface ReplicaReport {
  readonly member: string;
  /** `different`: the node has a blob of this id whose digest is another. */
  readonly state: 'present' | 'missing' | 'different' | 'unreachable';
  readonly reason?: string;
  /** Of the pair, and the catalog knows that it does not have its replica yet. */
  readonly absent?: true;
  /** Not of the pair: a handoff, or a replica that a search found. */
  readonly offMap?: true;
}

/** One step of a search for a bucket: pairs are asked for its row, members who has it. */
export interface NameSearchReport
  extends Pick<SearchReport, 'asked' | 'foundAt' | 'silent' | 'leftOut' | 'ms'> {
  readonly step: 'computed-pair' | SearchReport['step'] | 'remembered-pair' | 'other-pairs';
  readonly center: string | null;
  readonly transport: SearchReport['transport'] | 'catalog';
  /** `not confirmed`: a member says that it has it, and the primary of its pair does not give it. */
  readonly answer: SearchReport['answer'] | 'not confirmed';
}

/** One step of a search: one center, one transport. */
export interface SearchReport {
  /** In the order of the search; in a store with one center there is one of them. */
  readonly step: 'twin-center' | 'first-center';
  readonly center: string;
  /** `none`: nobody was asked, since everybody there is left out. */
  readonly transport: 'multicast' | 'point-to-point' | 'none';
  readonly asked: readonly string[];
  readonly answer: 'found' | 'nowhere' | 'unknown' | 'left out';
  /** Who has it; who gave no valid answer; who was not asked, being in failover. */
  readonly foundAt: readonly string[];
  readonly silent: readonly string[];
  readonly leftOut: readonly string[];
  readonly ms: number;
}

export interface BlobReport {
  readonly id: string;
  readonly size: number;
  /** The members that should have it; null when the pair is not in this topology. */
  readonly map: { readonly home: string | null; readonly twin: string | null };
  readonly replicas: readonly ReplicaReport[];
  /** The search's steps, when a replica of the map was missing or the search was asked for. */
  readonly search: readonly SearchReport[];
}

/** Which directory pair has the bucket. */
export interface NameReport {
  /** By the name alone. */
  readonly computed: string;
  /** By the root pair's list; null: it does not name the bucket. */
  readonly listed: string | null | 'unknown';
  readonly pair: string;
  /** The search's steps, when the bucket was not where the list says, or the search was asked for. */
  readonly search: readonly NameSearchReport[];
}

export interface LocateReport {
  readonly directory: NameReport;
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string;
  readonly size: number;
  readonly blobs: readonly BlobReport[];
  /** Whether there are more blobs than are shown. */
  readonly truncated: boolean;
}

export interface UserReport {
  readonly id: string;
  readonly displayName: string;
  readonly email?: string;
  readonly tenant?: string;
  readonly isRoot: boolean;
}

export interface KeyReport {
  readonly accessKeyId: string;
  readonly user: string;
  /** The user of that account whose key it is; absent: the account's own. */
  readonly iamUser?: string;
  readonly status: 'active' | 'inactive';
  readonly createdAt: string;
}

/** The answer to the creation of a key: the only time that the secret is shown. */
export interface NewKeyReport extends KeyReport {
  readonly secretAccessKey: string;
}

export interface BucketReport {
  readonly name: string;
  readonly owner: string;
  readonly createdAt: string;
  readonly region: string;
  readonly directory: string;
  readonly versioning: 'unversioned' | 'enabled' | 'suspended';
  readonly objectLock: boolean;
  /** When a write is acknowledged. */
  readonly durability: Durability;
}

export const DURABILITIES = ['two-copies', 'both-centers', 'one'] as const;
export type Durability = (typeof DURABILITIES)[number];

/** null: no limit. */
export interface QuotaReport {
  readonly bytes: number | null;
  readonly objects: number | null;
}

export interface UsageReport {
  readonly objects: number;
  readonly bytes: number;
  readonly uploadBytes: number;
  readonly quota: QuotaReport;
}
export interface BucketUsageReport extends UsageReport {
  readonly bucket: string;
  readonly owner: string;
}
export interface UserUsageReport extends UsageReport {
  readonly user: string;
  readonly buckets: number;
}
export interface UsagePage {
  /** Asked for one bucket: none. */
  readonly users: readonly UserUsageReport[];
  readonly buckets: readonly BucketUsageReport[];
  readonly truncated: boolean;
}

export interface ErrorReport {
  readonly code: string;
  readonly message: string;
}

// Printable, no white space and no slash: ids stand in XML, in URLs and in tables.
const accountId = z
  .string()
  .regex(/^[^\s/\p{C}]{1,128}$/u, '1 to 128 printable characters without white space or "/"');
// '/' and ',' would end the key id inside an Authorization header.
const accessKeyId = z.string().regex(/^[\w.+=@-]{3,128}$/, '3 to 128 letters, digits or _ . + = @ -');
const secretAccessKey = z.string().regex(/^[\x21-\x7e]{8,128}$/, '8 to 128 printable ASCII characters');

export const newUser = z.strictObject({
  id: accountId,
  displayName: z.string().min(1).max(256).optional(),
  email: z.string().min(3).max(254).optional(),
  tenant: z.string().min(1).max(128).optional(),
});
export type NewUser = z.infer<typeof newUser>;

export const newKey = z
  .strictObject({
    user: accountId,
    accessKeyId: accessKeyId.optional(),
    secretAccessKey: secretAccessKey.optional(),
  })
  .refine((k) => (k.accessKeyId === undefined) === (k.secretAccessKey === undefined), {
    message: 'give the access key and the secret key both, or neither',
  });
export type NewKey = z.infer<typeof newKey>;

export const keyChange = z.strictObject({ status: z.enum(['active', 'inactive']) });
export type KeyChange = z.infer<typeof keyChange>;

export const keysQuery = z.strictObject({ user: accountId.optional() });
export const bucketsQuery = z.strictObject({
  owner: accountId.optional(),
  prefix: z.string().max(63).default(''),
  after: z.string().max(63).default(''),
  max: z.coerce.number().int().min(1).max(1000).default(1000),
});
export const durabilityChange = z.strictObject({ durability: z.enum(DURABILITIES) });

const limit = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).nullable().optional();
/** What is absent stays as it is. */
export const quotaChange = z.strictObject({ bytes: limit, objects: limit });

export const usageQuery = z
  .strictObject({
    bucket: z.string().min(1).max(63).optional(),
    user: accountId.optional(),
    after: z.string().max(63).default(''),
    max: z.coerce.number().int().min(1).max(1000).default(1000),
  })
  .refine((q) => q.bucket === undefined || q.user === undefined, {
    message: 'ask for a bucket or for a user',
  });

/** The answer comes line by line: dosm/verify/report.ts. */
export const verifyQuery = z.strictObject({
  bucket: z.string().min(1).max(63).optional(),
  deep: z.enum(['0', '1']).default('0'),
});

export const locateQuery = z.strictObject({
  bucket: z.string().min(1).max(63),
  key: z.string().min(1).max(1024),
  versionId: z.string().max(128).optional(),
  /** `1`: search in any case. */
  search: z.enum(['0', '1']).optional(),
});

/** A member's id, a center's name, or `center a`. */
const failoverSubject = z.string().min(1).max(128);
export const failoverEnter = z.strictObject({
  subject: failoverSubject,
  reason: z
    .string()
    .min(1)
    .max(500)
    .regex(/^[^\p{C}]*$/u, 'printable characters')
    .optional(),
  force: z.boolean().default(false),
  /** Directories: the operator's word that it answers nobody. */
  assertDown: z.boolean().default(false),
});
export const failoverLeave = z.strictObject({ subject: failoverSubject, force: z.boolean().default(false) });
export const historyQuery = z.strictObject({
  max: z.coerce.number().int().min(1).max(1000).default(100),
  before: z
    .string()
    .regex(/^[1-9]\d{0,15}$|^\d{0,15}@(\d{4}-\d\d-\d\dT[\d:.]{8,15}Z)?$/)
    .optional(),
});
