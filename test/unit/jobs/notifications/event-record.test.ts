/** What a change is called as an event, what its message says, and which rules of a bucket a page of changes meets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BucketId, PairId } from '../../../../src/base/ids.ts';
import type { BucketRecord, Change, ChangeKind, Position } from '../../../../src/ddm/change-feed.ts';
import {
  eventKey,
  eventMessage,
  eventNameOf,
  sequencerOf,
} from '../../../../src/jobs/notifications/event-record.ts';
import { notificationsOf } from '../../../../src/jobs/notifications/fan-out.ts';

const rule = {
  ...{ kind: 'queue', id: 'rule-1', arn: 'arn:antipode:sqs::audit:webhook', target: 'audit' },
  ...{ events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'], prefix: 'in/', suffix: '' },
} as const;
const record = (more: Partial<BucketRecord> = {}): BucketRecord => ({
  ...{ id: 7, name: 'photos', owner: 'ada', region: 'us-east-1', createdAtMs: 0 },
  ...{ versioning: 'enabled', objectLock: false },
  settings: { notification: { requestId: 'R1', skipsTest: false, rules: [rule] } },
  ...more,
});
let number = 10;
const change = (kind: ChangeKind, more: Partial<Change> = {}): Change => ({
  ...{
    pair: 'directory/5' as PairId,
    event: `event-${++number}`,
    position: `1-${number}` as Position,
    number,
  },
  ...{ at: new Date('2026-05-06T07:08:09.123Z'), kind, bucketId: 7 as BucketId, bucket: 'photos' },
  ...more,
});
const put = (key: string, more: Partial<Change> = {}) =>
  change('put', { key, versionId: 'v1', size: 3, etag: 'e', cause: { via: 'Put' }, ...more });

describe('an event', () => {
  it('is named by what was done, and by whom', () => {
    const names = (
      [
        ['put', 'Copy'],
        ['put', 'CompleteMultipartUpload'],
        ['put', 'Post'],
        ['put', undefined],
        ['delete', 'Delete'],
        ['delete', 'LifecycleExpiration'],
        ['delete-marker', 'Delete'],
        ['delete-marker', 'LifecycleExpiration'],
        ['tags', 'PutObjectTagging'],
        ['tags', 'DeleteObjectTagging'],
        ['acl', 'PutObjectAcl'],
        ['storage-class', 'LifecycleTransition'],
        ['legal-hold', 'PutObjectLegalHold'],
      ] as const
    ).map(([kind, via]) => eventNameOf({ kind, ...(via !== undefined && { cause: { via } }) }));
    assert.deepEqual(names, [
      'ObjectCreated:Copy',
      'ObjectCreated:CompleteMultipartUpload',
      'ObjectCreated:Post',
      'ObjectCreated:Put',
      'ObjectRemoved:Delete',
      'LifecycleExpiration:Delete',
      'ObjectRemoved:DeleteMarkerCreated',
      'LifecycleExpiration:DeleteMarkerCreated',
      'ObjectTagging:Put',
      'ObjectTagging:Delete',
      'ObjectAcl:Put',
      'LifecycleTransition',
      null,
    ]);
  });

  it('has its key encoded as in forms', () => {
    assert.equal(eventKey("in/red flower+1&(é)'~*.jpg"), 'in/red+flower%2B1%26%28%C3%A9%29%27%7E*.jpg');
  });

  it('has a sequencer that sorts as text', () => {
    const numbers = [1, 15, 16, 255, 4096, 2 ** 40, Number.MAX_SAFE_INTEGER];
    assert.deepEqual(numbers.map(sequencerOf).toSorted(), numbers.map(sequencerOf));
  });

  it('is told in the structure of AWS', () => {
    const cause = { via: 'Put', principal: 'AWS:ada', ip: '192.0.2.1', requestId: 'REQ' };
    const text = eventMessage(put('in/a b', { cause, event: 'E' }), 'ObjectCreated:Put', record(), rule);
    assert.deepEqual(JSON.parse(text), {
      Records: [
        {
          eventVersion: '2.1',
          eventSource: 'aws:s3',
          awsRegion: 'us-east-1',
          eventTime: '2026-05-06T07:08:09.123Z',
          eventName: 'ObjectCreated:Put',
          userIdentity: { principalId: 'AWS:ada' },
          requestParameters: { sourceIPAddress: '192.0.2.1' },
          responseElements: { 'x-amz-request-id': 'REQ', 'x-amz-id-2': 'E' },
          s3: {
            s3SchemaVersion: '1.0',
            configurationId: 'rule-1',
            bucket: { name: 'photos', ownerIdentity: { principalId: 'ada' }, arn: 'arn:aws:s3:::photos' },
            object: { key: 'in/a+b', size: 3, eTag: 'e', versionId: 'v1', sequencer: sequencerOf(number) },
          },
        },
      ],
    });
    const object = (text: string) => JSON.parse(text).Records[0].s3.object as Record<string, unknown>;
    const suspended = eventMessage(put('in/a', { versionId: 'null' }), 'ObjectCreated:Put', record(), rule);
    assert.equal('versionId' in object(suspended), false);
    const marker = change('delete-marker', { key: 'in/a', versionId: 'v2' });
    const told = eventMessage(marker, 'ObjectRemoved:DeleteMarkerCreated', record(), rule);
    assert.equal(object(told).eTag, 'd41d8cd98f00b204e9800998ecf8427e');
  });
});

describe('a page of changes', () => {
  it('meets the configuration that its bucket has at each place', () => {
    const other = record({
      settings: { notification: { requestId: 'R2', skipsTest: true, rules: [{ ...rule, prefix: 'out/' }] } },
    });
    const { queued, after } = notificationsOf(
      [
        put('in/before'),
        change('bucket-changed', { bucketRecord: record() }),
        put('in/1'),
        put('out/1'),
        change('delete', { key: 'in/1', versionId: 'v1' }),
        change('tags', { key: 'in/1' }),
        change('bucket-changed', { bucketRecord: other }),
        put('in/2'),
        put('out/2'),
        change('bucket-deleted', { bucketRecord: other }),
        put('out/3'),
      ],
      new Map(),
    );
    assert.deepEqual(
      queued.notifications.map(({ name, key, target }) => [name, key, target]),
      [
        ['s3:TestEvent', '', 'audit'],
        ['ObjectCreated:Put', 'in/1', 'audit'],
        ['ObjectRemoved:Delete', 'in/1', 'audit'],
        ['ObjectCreated:Put', 'out/2', 'audit'],
      ],
    );
    assert.deepEqual([...queued.buckets], [[7, null]]);
    assert.equal(after.size, 0);
    const test = JSON.parse(queued.notifications[0]!.body) as Record<string, unknown>;
    assert.deepEqual([test.Event, test.Bucket, test.RequestId], ['s3:TestEvent', 'photos', 'R1']);
  });

  it('tests a configuration once, whatever else of its bucket changes, and not where it arrives', () => {
    const before = new Map([[7, record()]]);
    const again = change('bucket-changed', { bucketRecord: record({ versioning: 'suspended' }) });
    assert.equal(notificationsOf([again], before).queued.notifications.length, 0);
    const arrived = change('bucket-arrived', { bucketRecord: record() });
    const { queued } = notificationsOf([arrived, put('in/1')], new Map());
    assert.deepEqual(
      queued.notifications.map(({ key }) => key),
      ['in/1'],
    );
  });
});
