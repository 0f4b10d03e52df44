/** The documents of object lock: what is read, and which error tells of what is wrong. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { S3Error, type S3ErrorCode } from '../../../src/s3api/errors.ts';
import {
  readLegalHold,
  readObjectLockConfiguration,
  readRetention,
} from '../../../src/s3api/lock-documents.ts';

const fails = (code: S3ErrorCode, read: () => unknown, what: string) =>
  assert.throws(read, (error) => error instanceof S3Error && error.code === code, what);

describe('ObjectLockConfiguration', () => {
  const read = (inner: string) =>
    readObjectLockConfiguration(`<ObjectLockConfiguration>${inner}</ObjectLockConfiguration>`);
  const rule = (inner: string) =>
    read(
      `<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>${inner}</DefaultRetention></Rule>`,
    );

  it('has a default of days, of years, or none', () => {
    assert.equal(read('<ObjectLockEnabled>Enabled</ObjectLockEnabled>'), null);
    const days = rule('<Mode>GOVERNANCE</Mode><Days>36500</Days>');
    assert.deepEqual(days, { mode: 'GOVERNANCE', days: 36_500 });
    const years = rule('<Mode>COMPLIANCE</Mode><Years>1</Years>');
    assert.deepEqual(years, { mode: 'COMPLIANCE', years: 1 });
  });

  it('is refused when it says too little, too much or something else', () => {
    const malformed = [
      () => read(''),
      () => read('<ObjectLockEnabled>Disabled</ObjectLockEnabled>'),
      () => read('<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>'),
      () => rule('<Mode>GOVERNANCE</Mode>'),
      () => rule('<Days>1</Days>'),
      () => rule('<Mode>governance</Mode><Days>1</Days>'),
      () => rule('<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>'),
      () => rule('<Mode>GOVERNANCE</Mode><Days>1.5</Days>'),
      () => rule('<Mode>GOVERNANCE</Mode><Days>1</Days><Days>2</Days>'),
    ];
    for (const read of malformed) fails('MalformedXML', read, String(read));
    for (const period of ['<Days>0</Days>', '<Years>-1</Years>', '<Days>36501</Days>', '<Years>101</Years>'])
      fails('InvalidRetentionPeriod', () => rule(`<Mode>GOVERNANCE</Mode>${period}`), period);
  });
});

describe('Retention', () => {
  const read = (inner: string) => readRetention(`<Retention>${inner}</Retention>`);

  it('has a mode and a date, or nothing', () => {
    assert.equal(read(''), null);
    const given =
      '<Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-02T03:04:05.678901+01:00</RetainUntilDate>';
    assert.deepEqual(read(given), { mode: 'COMPLIANCE', until: new Date('2030-01-02T02:04:05.678Z') });
  });

  it('is refused with one of them alone, or with what is none', () => {
    const date = '<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>';
    for (const inner of [
      '<Mode>GOVERNANCE</Mode>',
      date,
      `<Mode>abc</Mode>${date}`,
      '<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01</RetainUntilDate>',
      '<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-13-01T00:00:00Z</RetainUntilDate>',
    ])
      fails('MalformedXML', () => read(inner), inner);
  });
});

describe('LegalHold', () => {
  it('is ON or OFF', () => {
    assert.equal(readLegalHold('<LegalHold><Status>ON</Status></LegalHold>'), true);
    assert.equal(readLegalHold('<LegalHold><Status>OFF</Status></LegalHold>'), false);
    for (const inner of ['', '<Status>on</Status>', '<Status>abc</Status>'])
      fails('MalformedXML', () => readLegalHold(`<LegalHold>${inner}</LegalHold>`), inner);
  });
});
