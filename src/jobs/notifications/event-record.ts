/**
 * What a change is called as an S3 event, and the message that tells of it: "Event message structure", Amazon S3 User
 * Guide, versions 2.1 and 2.3. Pure.
 */
import type { BucketRecord, Change } from '../../ddm/change-feed.ts';
import type { NotificationConfiguration, NotificationRule } from '../../ddm/notification-config.ts';

const VIA_PUT: ReadonlySet<string> = new Set(['Put', 'Post', 'Copy', 'CompleteMultipartUpload']);
const LIFECYCLE = 's3.amazonaws.com';
/** Versions of the structure, by the first word of the event's name. */
const VERSION_23: ReadonlySet<string> = new Set([
  'LifecycleExpiration',
  'LifecycleTransition',
  'ObjectTagging',
  'ObjectAcl',
]);

/** Without `s3:`; null: S3 has no event for it. */
export function eventNameOf({ kind, cause }: Pick<Change, 'kind' | 'cause'>): string | null {
  const via = cause?.via ?? '';
  const removed = via.startsWith('LifecycleExpiration') ? 'LifecycleExpiration' : 'ObjectRemoved';
  switch (kind) {
    case 'put':
      return `ObjectCreated:${VIA_PUT.has(via) ? via : 'Put'}`;
    case 'delete':
      return `${removed}:Delete`;
    case 'delete-marker':
      return `${removed}:DeleteMarkerCreated`;
    case 'tags':
      return via === 'DeleteObjectTagging' ? 'ObjectTagging:Delete' : 'ObjectTagging:Put';
    case 'acl':
      return 'ObjectAcl:Put';
    case 'storage-class':
      return via === 'LifecycleTransition' ? 'LifecycleTransition' : null;
    default:
      return null;
  }
}

/**
 * A key as it stands in an event: as forms encode it, so that a space is `+`, but with its slashes.
 */
export const eventKey = (key: string): string =>
  encodeURIComponent(key)
    .replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/');

/** Of two events of a key, the later one's is the greater text. */
export const sequencerOf = (number: number): string => number.toString(16).toUpperCase().padStart(18, '0');

const EMPTY_MD5 = 'd41d8cd98f00b204e9800998ecf8427e';

/** The message: one record. */
export function eventMessage(
  change: Change,
  name: string,
  bucket: BucketRecord,
  rule: Pick<NotificationRule, 'id'>,
): string {
  const { cause } = change;
  const isByStore = cause?.via.startsWith('Lifecycle') === true;
  const hasVersion = change.versionId !== undefined && change.versionId !== 'null';
  const etag = change.kind === 'delete-marker' ? EMPTY_MD5 : change.etag;
  const record = {
    eventVersion: VERSION_23.has(name.split(':')[0]!) ? '2.3' : '2.1',
    eventSource: 'aws:s3',
    awsRegion: bucket.region,
    eventTime: change.at.toISOString(),
    eventName: name,
    userIdentity: { principalId: isByStore ? LIFECYCLE : (cause?.principal ?? 'Anonymous') },
    requestParameters: { sourceIPAddress: isByStore ? LIFECYCLE : (cause?.ip ?? '') },
    responseElements: { 'x-amz-request-id': cause?.requestId ?? '', 'x-amz-id-2': change.event },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: rule.id,
      bucket: {
        name: change.bucket,
        ownerIdentity: { principalId: bucket.owner },
        arn: `arn:aws:s3:::${change.bucket}`,
      },
      object: {
        key: eventKey(change.key ?? ''),
        ...(change.size !== undefined && { size: change.size }),
        ...(etag !== undefined && { eTag: etag }),
        ...(hasVersion && bucket.versioning !== 'unversioned' && { versionId: change.versionId }),
        sequencer: sequencerOf(change.number),
      },
    },
  };
  return JSON.stringify({ Records: [record] });
}

/** What S3 sends to each destination of a new configuration. */
export const testMessage = (change: Change, { requestId }: NotificationConfiguration): string =>
  JSON.stringify({
    Service: 'Amazon S3',
    Event: 's3:TestEvent',
    Time: change.at.toISOString(),
    Bucket: change.bucket,
    RequestId: requestId,
    HostId: change.event,
  });
