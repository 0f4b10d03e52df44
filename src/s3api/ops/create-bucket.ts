/**
 * CreateBucket. In us-east-1 an owner may create its bucket again (200), elsewhere that is BucketAlreadyOwnedByYou.
 * A LocationConstraint must name the store's region; us-east-1 is named by leaving it out. A store that takes any region
 * (`anyRegion`) is as us-east-1 is, and its own region may be named.
 */
import { ACL, keptBucketAcl } from '../acl/acl.ts';
import { accessOfNewBucket, type NewBucketAccess } from '../acl/new-bucket.ts';
import { requireUnblocked } from '../acl/new-object.ts';
import { aclsCount, ownershipOf } from '../acl/ownership.ts';
import { invalidBucketName, isNewBucketName } from '../bucket-names.ts';
import { readCreateBucketConfiguration } from '../documents.ts';
import { S3Error } from '../errors.ts';
import { notImplemented } from '../meaning.ts';
import type { OperationContext, OperationResult, OperationRow, Services } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { validTags } from '../tags.ts';
import { TAGGING } from './bucket-tagging.ts';

export const createBucket: OperationRow = {
  name: 'CreateBucket',
  method: 'PUT',
  target: 'bucket',
  permission: 's3:CreateBucket',
  body: 'xml',
  bodyFacts: (text) => {
    const { locationConstraint } = readCreateBucketConfiguration(text);
    return locationConstraint === undefined ? {} : { body: { 's3:locationconstraint': locationConstraint } };
  },
  status: 'supported',
  run,
};

const CLASSIC_REGION = 'us-east-1';

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { services, principal, bucketName: name } = ctx;
  if (principal.kind !== 'account') throw new S3Error('AccessDenied');
  if (!isNewBucketName(name)) throw invalidBucketName(name);
  const configuration = readCreateBucketConfiguration(ctx.text);
  const { asksForMore, tags } = configuration;
  if (asksForMore) throw notImplemented('CreateBucketConfiguration');
  checkLocation(configuration.locationConstraint, services);
  const created: OperationResult = { status: 200, headers: { location: `/${name}` } };
  const access = await accessOfNewBucket(services, ctx.headers, principal.account.id);
  const objectLock = wantsObjectLock(ctx.headers['x-amz-bucket-object-lock-enabled']);
  const outcome = await services.catalog.createBucket({
    name,
    owner: principal.account.id,
    region: services.region,
    objectLock,
    settings: { ...access.settings, ...(tags.length > 0 && { [TAGGING]: validTags(tags, 'bucket') }) },
  });
  if (
    outcome.outcome === 'refused' &&
    outcome.reason === 'owned-by-you' &&
    isClassic(services) &&
    (await isMadeAgain(ctx, objectLock, access))
  )
    return created;
  settle(outcome, (reason) => {
    switch (reason) {
      case 'exists':
        return new S3Error('BucketAlreadyExists', { fields: { BucketName: name } });
      case 'owned-by-you':
        return new S3Error('BucketAlreadyOwnedByYou', { fields: { BucketName: name } });
      case 'too-many-buckets':
        return new S3Error('TooManyBuckets');
    }
  });
  return created;
}

/**
 * Making a bucket again gives it the list of the request, or none, as on AWS. False: it is not what is asked for, and that
 * must not be taken for granted.
 */
async function isMadeAgain(
  { services, bucketName }: OperationContext,
  objectLock: boolean,
  { acl, ownership }: NewBucketAccess,
): Promise<boolean> {
  const bucket = await services.catalog.findBucket(bucketName);
  if (!bucket || (objectLock && !bucket.objectLock)) return false;
  if (ownership !== undefined && ownership !== ownershipOf(bucket)) return false;
  if (acl === null && keptBucketAcl(bucket) === null) return true;
  if (acl !== null && !aclsCount(bucket)) throw new S3Error('InvalidBucketAclWithObjectOwnership');
  requireUnblocked(bucket, acl ?? []);
  const outcome = await services.catalog.setBucketSetting(bucket.id, ACL, acl);
  settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: bucketName } }));
  return true;
}

/** @throws {S3Error} InvalidArgument */
function wantsObjectLock(header: string | undefined): boolean {
  const text = header?.toLowerCase() ?? 'false';
  if (text === 'true' || text === 'false') return text === 'true';
  throw new S3Error('InvalidArgument', {
    fields: { ArgumentName: 'x-amz-bucket-object-lock-enabled', ArgumentValue: text.slice(0, 256) },
  });
}

/** The endpoint that buckets come from when nobody names a region. */
const isClassic = ({ region, anyRegion }: Pick<Services, 'region' | 'anyRegion'>): boolean =>
  region === CLASSIC_REGION || anyRegion === true;

function checkLocation(
  constraint: string | undefined,
  services: Pick<Services, 'region' | 'anyRegion'>,
): void {
  const { region } = services;
  if (isClassic(services)) {
    if (constraint === undefined || constraint === '') return;
    if (constraint === region && region !== CLASSIC_REGION) return;
    throw new S3Error('InvalidLocationConstraint', { fields: { LocationConstraint: constraint } });
  }
  if (constraint === region || (constraint === 'EU' && region === 'eu-west-1')) return;
  const named = constraint === undefined || constraint === '' ? 'unspecified' : constraint;
  throw new S3Error('IllegalLocationConstraintException', {
    message: `The ${named} location constraint is incompatible for the region specific endpoint this request was sent to.`,
  });
}
