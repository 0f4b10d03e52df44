/** The table of conditional requests, and the rules that hold for all of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ObjectVersion } from '../../../../src/ddm/catalog.ts';
import {
  copySourceConditions,
  decideRead,
  deleteCondition,
  rangeStillHolds,
  refuseEarly,
  requireCopySource,
  unquoteETag,
  writeCondition,
} from '../../../../src/s3api/objects/conditions.ts';

const etag = 'd41d8cd98f00b204e9800998ecf8427e';
const object = { etag, lastModified: new Date('2026-03-01T12:00:00.700Z') };
const before = 'Sun, 01 Mar 2026 11:59:59 GMT';
const same = 'Sun, 01 Mar 2026 12:00:00 GMT';
const later = 'Sun, 01 Mar 2026 12:00:01 GMT';

describe('conditions of reads', () => {
  const table: [string, Parameters<typeof decideRead>[0], ReturnType<typeof decideRead>][] = [
    ['no condition', {}, 'proceed'],
    ['If-Match, quoted', { ifMatch: `"${etag}"` }, 'proceed'],
    ['If-Match, bare', { ifMatch: etag }, 'proceed'],
    ['If-Match, weak', { ifMatch: `W/"${etag}"` }, 'proceed'],
    ['If-Match, in a list', { ifMatch: `"x", "${etag}"` }, 'proceed'],
    ['If-Match *', { ifMatch: '*' }, 'proceed'],
    ['If-Match, another', { ifMatch: '"x"' }, 'precondition-failed'],
    ['If-Match decides over If-Unmodified-Since', { ifMatch: etag, ifUnmodifiedSince: before }, 'proceed'],
    ['If-Unmodified-Since, before', { ifUnmodifiedSince: before }, 'precondition-failed'],
    ['If-Unmodified-Since, the same second', { ifUnmodifiedSince: same }, 'proceed'],
    ['If-None-Match', { ifNoneMatch: `"${etag}"` }, 'not-modified'],
    ['If-None-Match *', { ifNoneMatch: '*' }, 'not-modified'],
    ['If-None-Match, another', { ifNoneMatch: '"x"' }, 'proceed'],
    [
      'If-None-Match decides over If-Modified-Since',
      { ifNoneMatch: '"x"', ifModifiedSince: later },
      'proceed',
    ],
    ['If-Modified-Since, before', { ifModifiedSince: before }, 'proceed'],
    ['If-Modified-Since, the same second', { ifModifiedSince: same }, 'not-modified'],
    ['If-Modified-Since, later', { ifModifiedSince: later }, 'not-modified'],
    ['412 comes before 304', { ifMatch: '"x"', ifNoneMatch: etag }, 'precondition-failed'],
    ['a date that nobody can read', { ifModifiedSince: 'yesterday', ifUnmodifiedSince: '?' }, 'proceed'],
  ];
  for (const [name, conditions, decision] of table)
    it(name, () => assert.equal(decideRead(conditions, object), decision));

  it('If-Match and If-None-Match of one ETag never agree', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f]{32}$/), (other) => {
        const matched = decideRead({ ifMatch: `"${other}"` }, object) === 'proceed';
        const noneMatched = decideRead({ ifNoneMatch: `"${other}"` }, object) === 'proceed';
        assert.equal(matched, !noneMatched);
      }),
    );
  });

  it('a copy fails where a read would say 304', () => {
    const headers = { 'x-amz-copy-source-if-none-match': `"${etag}"` };
    assert.throws(() => requireCopySource(copySourceConditions(headers), object), {
      code: 'PreconditionFailed',
    });
  });

  it('If-Range takes the ETag or the very date', () => {
    assert.equal(rangeStillHolds(undefined, object), true);
    assert.equal(rangeStillHolds(`"${etag}"`, object), true);
    assert.equal(rangeStillHolds(`W/"${etag}"`, object), false);
    assert.equal(rangeStillHolds('"x"', object), false);
    assert.equal(rangeStillHolds(same, object), true);
    assert.equal(rangeStillHolds(later, object), false);
  });
});

describe('conditions of writes', () => {
  it('reads one ETag or *', () => {
    assert.equal(writeCondition({}), undefined);
    assert.deepEqual(writeCondition({ 'if-match': `"${etag}"` }), { ifMatch: etag });
    assert.deepEqual(writeCondition({ 'if-none-match': '*' }), { ifNoneMatch: '*' });
  });

  it('says 501 to what S3 does not evaluate on writes', () => {
    const cases = [{ 'if-none-match': '"a", "b"' }, { 'if-modified-since': same }];
    for (const headers of cases) assert.throws(() => writeCondition(headers), { code: 'NotImplemented' });
  });

  it('reads the three conditions of a DELETE', () => {
    assert.equal(deleteCondition({}), undefined);
    assert.deepEqual(
      deleteCondition({
        'if-match': `"${etag}"`,
        'x-amz-if-match-size': '12',
        'x-amz-if-match-last-modified-time': same,
      }),
      { ifMatch: etag, ifMatchSize: 12, ifMatchLastModified: new Date('2026-03-01T12:00:00Z') },
    );
    assert.throws(() => deleteCondition({ 'x-amz-if-match-size': '-1' }), { code: 'InvalidArgument' });
  });

  it('refuses early what the commit would refuse', () => {
    const row = { ...object, isDeleteMarker: false } as ObjectVersion;
    const marker = { ...row, isDeleteMarker: true };
    const refused = (condition: Parameters<typeof refuseEarly>[0], latest: ObjectVersion | null) => {
      try {
        refuseEarly(condition, latest);
        return null;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    assert.equal(refused(undefined, null), null);
    assert.equal(refused({ ifNoneMatch: '*' }, row), 'PreconditionFailed');
    assert.equal(refused({ ifNoneMatch: '*' }, marker), null);
    assert.equal(refused({ ifNoneMatch: '*' }, null), null);
    assert.equal(refused({ ifNoneMatch: 'x' }, row), null);
    assert.equal(refused({ ifMatch: '*' }, marker), 'NoSuchKey');
    assert.equal(refused({ ifMatch: 'x' }, row), 'PreconditionFailed');
    assert.equal(refused({ ifMatch: etag }, row), null);
  });

  it('takes quotes away once', () => {
    assert.equal(unquoteETag('"a"'), 'a');
    assert.equal(unquoteETag(' a-3 '), 'a-3');
    assert.equal(unquoteETag('"a'), '"a');
  });
});
