import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDay, isoBasic, parseIsoBasic, parseRequestDate } from '../../../src/identity/sigv4/dates.ts';

test('ISO 8601 basic is read and written', () => {
  const leapDay = Date.UTC(2024, 1, 29, 23, 59, 59);
  assert.equal(isoBasic(leapDay), '20240229T235959Z');
  assert.equal(parseIsoBasic('20240229T235959Z'), leapDay);
});

test('what is no moment after 1970 is no date', () => {
  for (const bad of [
    '20230229T000000Z',
    '20130001T000000Z',
    '20131301T000000Z',
    '20130100T000000Z',
    '20130132T000000Z',
  ])
    assert.equal(parseIsoBasic(bad), null, bad);
  for (const bad of [
    '20130101T240000Z',
    '20130101T006000Z',
    '20130101T000060Z',
    '19691231T235959Z',
    '20130101T000000',
  ])
    assert.equal(parseIsoBasic(bad), null, bad);
  assert.deepEqual([isDay('20240229'), isDay('20230229'), isDay('2023-2-2')], [true, false, false]);
});

test('a Date header may be RFC 1123, with the zone as GMT or +0000 or -0000', () => {
  for (const zone of ['GMT', 'UTC', '+0000', '-0000'])
    assert.deepEqual(parseRequestDate(`Fri, 24 May 2013 00:00:00 ${zone}`), {
      timeMs: Date.UTC(2013, 4, 24),
      timestamp: '20130524T000000Z',
    });
  for (const bad of [
    'Fri, 24 May 2013 00:00:00',
    'Fri, 24 May 2013 00:00:00 CEST',
    '24 May 2013',
    'Tue, 07 Jul 1950 21:53:04 GMT',
  ])
    assert.equal(parseRequestDate(bad), null, bad);
});
