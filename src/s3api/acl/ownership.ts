/**
 * Object ownership: whether lists (ACLs) count in a bucket, and to whom the objects belong that others write.
 * A bucket about which nothing was said has BucketOwnerEnforced; one whose controls were taken away has ObjectWriter.
 * Source: "Controlling ownership of objects and disabling ACLs for your bucket", Amazon S3 User Guide.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Bucket } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';

export const OBJECT_OWNERSHIPS = ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'] as const;
export type ObjectOwnership = (typeof OBJECT_OWNERSHIPS)[number];

export const OWNERSHIP_CONTROLS = 'ownershipControls';
/** The setting; null: there are no controls. */
export interface OwnershipControls {
  readonly objectOwnership: ObjectOwnership | null;
}

export const isObjectOwnership = (text: string): text is ObjectOwnership =>
  (OBJECT_OWNERSHIPS as readonly string[]).includes(text);

type Settings = Pick<Bucket, 'settings'>;
const stored = (bucket: Settings) => bucket.settings[OWNERSHIP_CONTROLS] as OwnershipControls | undefined;

export function ownershipOf(bucket: Settings): ObjectOwnership {
  const controls = stored(bucket);
  return controls === undefined ? 'BucketOwnerEnforced' : (controls.objectOwnership ?? 'ObjectWriter');
}

/** What reading the controls shows; null: there are none. */
export const shownOwnership = (bucket: Settings): ObjectOwnership | null =>
  stored(bucket)?.objectOwnership === null ? null : ownershipOf(bucket);

/** Nobody has said anything about it: then a request that names the default means no harm. */
export const isByDefault = (bucket: Settings): boolean => stored(bucket) === undefined;

export const aclsCount = (bucket: Settings): boolean => ownershipOf(bucket) !== 'BucketOwnerEnforced';

/** Whose a version or an upload is: with BucketOwnerEnforced everything is the bucket owner's. */
export const effectiveOwner = (bucket: Bucket, owner: AccountId): AccountId =>
  aclsCount(bucket) ? owner : bucket.owner;

export const aclsNotSupported = (): S3Error => new S3Error('AccessControlListNotSupported');
