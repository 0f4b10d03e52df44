/** The headers of object lock, and who bypasses GOVERNANCE. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { S3Error } from '../../../../src/s3api/errors.ts';
import { bypassesGovernance, locksOf } from '../../../../src/s3api/objects/locks.ts';
import type { OperationContext } from '../../../../src/s3api/operation.ts';

const NOW = Date.UTC(2030, 0, 1);
const MODE = 'x-amz-object-lock-mode';
const UNTIL = 'x-amz-object-lock-retain-until-date';
const HOLD = 'x-amz-object-lock-legal-hold';

describe('lock headers', () => {
  it('say nothing, a retention, a hold or both', () => {
    assert.deepEqual(locksOf({}, NOW), {});
    assert.deepEqual(locksOf({ [HOLD]: 'OFF' }, NOW), { legalHold: false });
    const until = new Date(NOW + 1);
    const given = { [MODE]: 'GOVERNANCE', [UNTIL]: until.toISOString(), [HOLD]: 'ON' };
    assert.deepEqual(locksOf(given, NOW), { retention: { mode: 'GOVERNANCE', until }, legalHold: true });
  });

  it('are refused by halves, with other words, and with dates that are past or none', () => {
    const date = '2031-01-01T00:00:00Z';
    const wrong: Record<string, string>[] = [
      { [MODE]: 'GOVERNANCE' },
      { [UNTIL]: date },
      { [MODE]: 'governance', [UNTIL]: date },
      { [MODE]: 'GOVERNANCE', [UNTIL]: 'Wed, 01 Jan 2031 00:00:00 GMT' },
      { [MODE]: 'GOVERNANCE', [UNTIL]: '2031-01-01' },
      { [MODE]: 'COMPLIANCE', [UNTIL]: '2030-01-01T00:00:00Z' },
      { [HOLD]: 'on' },
    ];
    for (const headers of wrong)
      assert.throws(
        () => locksOf(headers, NOW),
        (error) => error instanceof S3Error && error.code === 'InvalidArgument',
        JSON.stringify(headers),
      );
  });
});

describe('the bypass of GOVERNANCE', () => {
  const asks = (header: string | undefined, authorize: OperationContext['authorize']) =>
    bypassesGovernance(
      {
        headers: { 'x-amz-bypass-governance-retention': header },
        bucketName: 'b',
        authorize,
      } as Partial<OperationContext> as OperationContext,
      'k',
    );

  it('is for those who ask for it and may', async () => {
    const asked: unknown[] = [];
    const may: OperationContext['authorize'] = async (...what) => {
      asked.push(what);
      return {} as Awaited<ReturnType<OperationContext['authorize']>>;
    };
    assert.equal(await asks(undefined, may), false);
    assert.equal(await asks('false', may), false);
    assert.deepEqual(asked, []);
    assert.equal(await asks('True', may), true);
    assert.deepEqual(asked, [['s3:BypassGovernanceRetention', 'b', 'k']]);
  });

  it('is as if it had not been asked for by those who may not', async () => {
    assert.equal(await asks('true', () => Promise.reject(new S3Error('AccessDenied'))), false);
    await assert.rejects(asks('true', () => Promise.reject(new S3Error('ServiceUnavailable'))));
  });
});
