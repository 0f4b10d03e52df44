/** Object lock and bucket tags as today's SDK with default settings sees them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketTaggingCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketTaggingCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type ObjectLockRetention,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const Bucket = 'locked';
const Plain = 'plain';
const DAY_MS = 86_400_000;
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
let front: SdkFront;

before(async () => {
  front = await startSdkFront();
  await front.s3.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  await front.s3.send(new CreateBucketCommand({ Bucket: Plain }));
});
after(() => front.close());

async function put(
  Key: string,
  more: object = {},
): Promise<{ Bucket: string; Key: string; VersionId: string }> {
  const { VersionId } = await front.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...more }));
  return { Bucket, Key, VersionId: VersionId! };
}
type Version = Awaited<ReturnType<typeof put>>;
const head = (version: { Bucket: string; Key: string }) => front.s3.send(new HeadObjectCommand(version));
const remove = (version: Version, more: object = {}) =>
  front.s3.send(new DeleteObjectCommand({ ...version, ...more }));
const retain = (version: Version, Retention: ObjectLockRetention, more: object = {}) =>
  front.s3.send(new PutObjectRetentionCommand({ ...version, Retention, ...more }));
const BYPASS = { BypassGovernanceRetention: true };
const configure = (bucket: string, DefaultRetention: object | undefined) =>
  front.s3.send(
    new PutObjectLockConfigurationCommand({
      Bucket: bucket,
      ObjectLockConfiguration: {
        ObjectLockEnabled: 'Enabled',
        ...(DefaultRetention && { Rule: { DefaultRetention } }),
      },
    }),
  );

describe('object lock of a bucket', () => {
  it('comes with the bucket, or later where versioning is on, and keeps versioning on', async () => {
    const ask = (bucket: string) => front.s3.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }));
    assert.deepEqual((await ask(Bucket)).ObjectLockConfiguration, { ObjectLockEnabled: 'Enabled' });
    await fails(ask(Plain), 404, 'ObjectLockConfigurationNotFoundError');
    const later = 'locked-later';
    await front.s3.send(new CreateBucketCommand({ Bucket: later }));
    await fails(configure(later, undefined), 409, 'InvalidBucketState');
    const version = (Status: 'Enabled' | 'Suspended') =>
      front.s3.send(new PutBucketVersioningCommand({ Bucket: later, VersioningConfiguration: { Status } }));
    await version('Enabled');
    const DefaultRetention = { Mode: 'COMPLIANCE', Years: 2 } as const;
    await configure(later, DefaultRetention);
    assert.deepEqual((await ask(later)).ObjectLockConfiguration, {
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention },
    });
    await fails(version('Suspended'), 409, 'InvalidBucketState');
    await fails(configure(later, { Mode: 'GOVERNANCE', Days: 0 }), 400, 'InvalidRetentionPeriod');
    await fails(configure(later, { Mode: 'GOVERNANCE', Days: 1, Years: 1 }), 400, 'MalformedXML');
    await configure(later, undefined);
    assert.deepEqual((await ask(later)).ObjectLockConfiguration, { ObjectLockEnabled: 'Enabled' });
  });

  it('is needed by every question and every lock', async () => {
    const Key = 'k';
    await front.s3.send(new PutObjectCommand({ Bucket: Plain, Key, Body: 'x' }));
    const missing = { Bucket: Plain, Key };
    const retention = { Mode: 'GOVERNANCE', RetainUntilDate: inDays(1) } as const;
    const locked = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: inDays(1) } as const;
    const CopySource = `${Plain}/${Key}`;
    for (const work of [
      () => front.s3.send(new GetObjectRetentionCommand(missing)),
      () => front.s3.send(new PutObjectRetentionCommand({ ...missing, Retention: retention })),
      () => front.s3.send(new GetObjectLegalHoldCommand(missing)),
      () => front.s3.send(new PutObjectLegalHoldCommand({ ...missing, LegalHold: { Status: 'ON' } })),
      () => front.s3.send(new PutObjectCommand({ ...missing, Body: 'y', ObjectLockLegalHoldStatus: 'OFF' })),
      () => front.s3.send(new CopyObjectCommand({ ...missing, Key: 'copy', CopySource, ...locked })),
      () => front.s3.send(new CreateMultipartUploadCommand({ ...missing, ...locked })),
    ])
      await fails(work(), 400, 'InvalidRequest');
  });

  it('gives new versions the default retention, which their own goes before', async () => {
    const made = 'locked-default';
    await front.s3.send(new CreateBucketCommand({ Bucket: made, ObjectLockEnabledForBucket: true }));
    await configure(made, { Mode: 'GOVERNANCE', Days: 2 });
    const of = async (Key: string, more: object = {}) => {
      await front.s3.send(new PutObjectCommand({ Bucket: made, Key, Body: 'x', ...more }));
      const shown = await head({ Bucket: made, Key });
      return { mode: shown.ObjectLockMode, until: shown.ObjectLockRetainUntilDate, shown };
    };
    const byDefault = await of('k');
    assert.equal(byDefault.mode, 'GOVERNANCE');
    // Last-Modified has whole seconds.
    const periodMs = byDefault.until!.getTime() - byDefault.shown.LastModified!.getTime();
    assert.ok(periodMs >= 2 * DAY_MS && periodMs < 2 * DAY_MS + 1000, String(periodMs));
    const until = inDays(9);
    const own = await of('own', { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until });
    assert.deepEqual([own.mode, own.until], ['COMPLIANCE', until]);
    const unchecked = front.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    await fails(
      unchecked.send(new PutObjectCommand({ Bucket: made, Key: 'unchecked', Body: 'x' })),
      400,
      'InvalidRequest',
    );
  });
});

describe('the locks of a version', () => {
  it('come with PutObject, CopyObject and multipart uploads, and are shown', async () => {
    const until = inDays(1);
    const locks = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until } as const;
    const source = await put('made', { ...locks, ObjectLockLegalHoldStatus: 'ON' });
    const seen = async (version: { Bucket: string; Key: string }) => {
      const shown = await head(version);
      return [shown.ObjectLockMode, shown.ObjectLockRetainUntilDate, shown.ObjectLockLegalHoldStatus];
    };
    assert.deepEqual(await seen(source), ['GOVERNANCE', until, 'ON']);

    const CopySource = `${Bucket}/made`;
    await front.s3.send(new CopyObjectCommand({ Bucket, Key: 'bare', CopySource }));
    assert.deepEqual(await seen({ Bucket, Key: 'bare' }), [undefined, undefined, undefined]);
    const copied = { ...locks, ObjectLockLegalHoldStatus: 'OFF' } as const;
    await front.s3.send(new CopyObjectCommand({ Bucket, Key: 'copied', CopySource, ...copied }));
    assert.deepEqual(await seen({ Bucket, Key: 'copied' }), ['GOVERNANCE', until, 'OFF']);

    const named = { Bucket, Key: 'parts' };
    const { UploadId } = await front.s3.send(
      new CreateMultipartUploadCommand({ ...named, ...locks, Tagging: 'a=1' }),
    );
    const part = await front.s3.send(
      new UploadPartCommand({ ...named, UploadId, PartNumber: 1, Body: 'abc' }),
    );
    const Parts = [{ PartNumber: 1, ETag: part.ETag }];
    const whole = await front.s3.send(
      new CompleteMultipartUploadCommand({ ...named, UploadId, MultipartUpload: { Parts } }),
    );
    assert.deepEqual(await seen(named), ['GOVERNANCE', until, undefined]);
    await fails(remove({ ...named, VersionId: whole.VersionId! }), 403, 'AccessDenied');
    const tags = await front.s3.send(new GetObjectTaggingCommand(named));
    assert.deepEqual(tags.TagSet, [{ Key: 'a', Value: '1' }]);
  });

  it('are read, made longer and bypassed as their mode allows', async () => {
    const version = await put('changes');
    const ask = () => front.s3.send(new GetObjectRetentionCommand(version));
    await fails(ask(), 404, 'NoSuchObjectLockConfiguration');
    const [short, long] = [inDays(1), inDays(2)];
    await retain(version, { Mode: 'GOVERNANCE', RetainUntilDate: short });
    await retain(version, { Mode: 'GOVERNANCE', RetainUntilDate: long });
    assert.deepEqual((await ask()).Retention, { Mode: 'GOVERNANCE', RetainUntilDate: long });
    const shorter = { Mode: 'GOVERNANCE', RetainUntilDate: short } as const;
    await fails(retain(version, shorter), 403, 'AccessDenied');
    await fails(retain(version, {}), 403, 'AccessDenied');
    const past = { Mode: 'GOVERNANCE', RetainUntilDate: inDays(-1) } as const;
    await fails(retain(version, past, BYPASS), 400, 'InvalidArgument');
    await retain(version, shorter, BYPASS);
    await retain(version, {}, BYPASS);
    await fails(ask(), 404, 'NoSuchObjectLockConfiguration');
    await retain(version, { Mode: 'COMPLIANCE', RetainUntilDate: short });
    await fails(retain(version, shorter, BYPASS), 403, 'AccessDenied');
    await fails(remove(version, BYPASS), 403, 'AccessDenied');
    await retain(version, { Mode: 'COMPLIANCE', RetainUntilDate: long });
  });

  it('forbid removing it and nothing else', async () => {
    const version = await put('kept', {
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: inDays(1),
    });
    const free = await put('free');
    await put('kept');
    const marker = await front.s3.send(new DeleteObjectCommand({ Bucket, Key: 'kept' }));
    assert.equal(marker.DeleteMarker, true);
    await fails(retain({ ...version, VersionId: marker.VersionId! }, {}), 405, 'MethodNotAllowed');
    await fails(remove(version), 403, 'AccessDenied');
    const Objects = [version, free].map(({ Key, VersionId }) => ({ Key, VersionId }));
    const many = new DeleteObjectsCommand({ Bucket, Delete: { Objects } });
    const answer = await front.s3.send(many);
    assert.deepEqual(
      [answer.Deleted?.map(({ Key }) => Key), answer.Errors?.map(({ Key, Code }) => [Key, Code])],
      [['free'], [['kept', 'AccessDenied']]],
    );
    const bypassed = await front.s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: Objects.slice(0, 1) }, ...BYPASS }),
    );
    assert.deepEqual([bypassed.Deleted?.length, bypassed.Errors], [1, undefined]);
  });

  it('hold until a legal hold is lifted, whoever asks', async () => {
    const version = await put('held');
    const ask = () => front.s3.send(new GetObjectLegalHoldCommand(version));
    const hold = (Status: string) =>
      front.s3.send(new PutObjectLegalHoldCommand({ ...version, LegalHold: { Status: Status as 'ON' } }));
    await fails(ask(), 404, 'NoSuchObjectLockConfiguration');
    await fails(hold('abc'), 400, 'MalformedXML');
    await hold('ON');
    assert.equal((await ask()).LegalHold?.Status, 'ON');
    await fails(remove(version, BYPASS), 403, 'AccessDenied');
    await hold('OFF');
    assert.equal((await ask()).LegalHold?.Status, 'OFF');
    assert.equal((await remove(version)).$metadata.httpStatusCode, 204);
  });

  it('need a way to check the bytes', async () => {
    const unchecked = front.client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    const locked = { Bucket, Key: 'unchecked', Body: 'x', ObjectLockLegalHoldStatus: 'ON' } as const;
    await fails(unchecked.send(new PutObjectCommand(locked)), 400, 'InvalidRequest');
    const ContentMD5 = 'nd1LTltftVEHDoZlUPz/cw==';
    await fails(unchecked.send(new PutObjectCommand({ ...locked, ContentMD5 })), 400, 'BadDigest');
  });
});

describe('tags', () => {
  it('of a bucket are replaced as a whole, and removed', async () => {
    const ask = () => front.s3.send(new GetBucketTaggingCommand({ Bucket }));
    const set = (TagSet: { Key: string; Value: string }[]) =>
      front.s3.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
    await fails(ask(), 404, 'NoSuchTagSet');
    await set([{ Key: 'b', Value: '' }]);
    const TagSet = Array.from({ length: 50 }, (_, i) => ({ Key: `k${10 + i}`, Value: `${i}` }));
    await set(TagSet);
    assert.deepEqual((await ask()).TagSet, TagSet);
    await fails(set([...TagSet, { Key: 'one more', Value: '' }]), 400, 'BadRequest');
    await fails(set([TagSet[0]!, TagSet[0]!]), 400, 'InvalidTag');
    await front.s3.send(new DeleteBucketTaggingCommand({ Bucket }));
    await fails(ask(), 404, 'NoSuchTagSet');
    const lock = await front.s3.send(new GetObjectLockConfigurationCommand({ Bucket }));
    assert.equal(lock.ObjectLockConfiguration?.ObjectLockEnabled, 'Enabled');
  });

  it('of a bucket come with it', async () => {
    const Tags = [{ Key: 'team', Value: 'a' }];
    await front.s3.send(new CreateBucketCommand({ Bucket: 'tagged', CreateBucketConfiguration: { Tags } }));
    const answer = await front.s3.send(new GetBucketTaggingCommand({ Bucket: 'tagged' }));
    assert.deepEqual(answer.TagSet, Tags);
  });

  it('of an object belong to a version, and a copy takes them or gets its own', async () => {
    const first = await put('tagged', { Tagging: 'v=1' });
    const second = await put('tagged', { Tagging: 'v=2' });
    const TagSet = [{ Key: 'v', Value: 'one' }];
    await front.s3.send(new PutObjectTaggingCommand({ ...first, Tagging: { TagSet } }));
    const tagsOf = async (version: { Bucket: string; Key: string; VersionId?: string }) =>
      (await front.s3.send(new GetObjectTaggingCommand(version))).TagSet;
    assert.deepEqual(await tagsOf(first), TagSet);
    assert.deepEqual(await tagsOf(second), [{ Key: 'v', Value: '2' }]);
    const CopySource = `${Bucket}/tagged?versionId=${first.VersionId}`;
    const copy = { Bucket, Key: 'tagged-copy', CopySource };
    await front.s3.send(new CopyObjectCommand(copy));
    assert.deepEqual(await tagsOf({ Bucket, Key: 'tagged-copy' }), TagSet);
    await front.s3.send(new CopyObjectCommand({ ...copy, TaggingDirective: 'REPLACE', Tagging: 'n=w' }));
    assert.deepEqual(await tagsOf({ Bucket, Key: 'tagged-copy' }), [{ Key: 'n', Value: 'w' }]);
  });
});
