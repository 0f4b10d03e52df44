/**
 * A bucket's notification configuration as it is stored (setting `notification`), and which events it is interested in.
 * Names of events as in "Supported event types", Amazon S3 User Guide. Pure.
 */

export const NOTIFICATION = 'notification';
export const NOTIFICATION_KINDS = ['topic', 'queue', 'function'] as const;

export interface NotificationRule {
  readonly kind: (typeof NOTIFICATION_KINDS)[number];
  readonly id: string;
  /** As the client wrote it. */
  readonly arn: string;
  /** The webhook that it names. */
  readonly target: string;
  /** With `s3:`, wildcards too. */
  readonly events: readonly string[];
  /** '' for none. */
  readonly prefix: string;
  readonly suffix: string;
}
export interface NotificationConfiguration {
  /** Of the request that set it; each gets its own test event, unless it asked for none. */
  readonly requestId: string;
  readonly skipsTest: boolean;
  readonly rules: readonly NotificationRule[];
}

/** Every event that S3 can be asked for. Several never happen here. */
export const EVENT_TYPES: ReadonlySet<string> = new Set(
  `s3:ReducedRedundancyLostObject
   s3:ObjectCreated:* s3:ObjectCreated:Put s3:ObjectCreated:Post s3:ObjectCreated:Copy s3:ObjectCreated:CompleteMultipartUpload
   s3:ObjectRemoved:* s3:ObjectRemoved:Delete s3:ObjectRemoved:DeleteMarkerCreated
   s3:ObjectRestore:* s3:ObjectRestore:Post s3:ObjectRestore:Completed s3:ObjectRestore:Delete
   s3:Replication:* s3:Replication:OperationFailedReplication s3:Replication:OperationNotTracked
   s3:Replication:OperationMissedThreshold s3:Replication:OperationReplicatedAfterThreshold
   s3:LifecycleTransition s3:IntelligentTiering s3:ObjectAcl:Put
   s3:LifecycleExpiration:* s3:LifecycleExpiration:Delete s3:LifecycleExpiration:DeleteMarkerCreated
   s3:ObjectTagging:* s3:ObjectTagging:Put s3:ObjectTagging:Delete`.split(/\s+/),
);

const ANY = ':*';
/** Whether one event can be of both types. */
export function typesOverlap(a: string, b: string): boolean {
  if (a === b) return true;
  if (a.endsWith(ANY)) return b.startsWith(a.slice(0, -1));
  return b.endsWith(ANY) && a.startsWith(b.slice(0, -1));
}

/** The rules that want this event. @param name without `s3:`, e.g. `ObjectCreated:Put` */
export const rulesFor = (
  configuration: NotificationConfiguration,
  name: string,
  key: string,
): readonly NotificationRule[] =>
  configuration.rules.filter(
    ({ events, prefix, suffix }) =>
      key.startsWith(prefix) &&
      key.endsWith(suffix) &&
      events.some((wanted) => typesOverlap(wanted, `s3:${name}`)),
  );
