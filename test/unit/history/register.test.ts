/** The judge of S3 histories lets pass what may be and refuses what may not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linearize, type Recorded } from '../../history/linearize.ts';
import { REGISTERS, type RegisterEvent } from '../../history/register.ts';

const put = (key: string, value: string, more: Partial<Extract<RegisterEvent, { op: 'put' }>> = {}) =>
  ({ op: 'put', key, value, answer: 'done', ...more }) as const;
const get = (key: string, shown: string | null) => ({ op: 'get', key, shown }) as const;
const list = (shown: Record<string, string>) => ({ op: 'list', shown }) as const;
/** One after the other. */
const inTurn = (...events: RegisterEvent[]): Recorded<RegisterEvent>[] =>
  events.map((event, at) => {
    const isUnknown = 'answer' in event && event.answer === 'unknown';
    return { event, begin: 2 * at, end: isUnknown ? Number.POSITIVE_INFINITY : 2 * at + 1 };
  });
const holds = (events: Recorded<RegisterEvent>[]) => linearize(REGISTERS, {}, events).holds;

describe('histories over S3', () => {
  it('may be explained', () => {
    assert(holds(inTurn(put('a', '1'), get('a', '1'), list({ a: '1' }))));
    assert(
      holds(inTurn(put('a', '1'), { op: 'delete', key: 'a', answer: 'done' }, get('a', null), list({}))),
    );
    assert(holds(inTurn(put('a', '1'), put('a', '2', { condition: { ifMatch: '1' } }), get('a', '2'))));
    assert(
      holds(inTurn(put('a', '1'), put('a', '2', { condition: { ifNoneMatch: '*' }, answer: 'refused' }))),
    );
  });

  it('leave open what is unknown: it happens at once, later, or never', () => {
    const unknown = put('a', '2', { answer: 'unknown' });
    assert(holds(inTurn(put('a', '1'), unknown, get('a', '1'), get('a', '2'))));
    assert(holds(inTurn(put('a', '1'), unknown, get('a', '2'))));
    assert(holds(inTurn(put('a', '1'), unknown, get('a', '1'))));
  });

  it('refuse old reads, lost writes, false 404s, torn listings and conditions that were not met', () => {
    assert(!holds(inTurn(put('a', '1'), put('a', '2'), get('a', '1'))));
    assert(!holds(inTurn(put('a', '1'), get('a', null))));
    assert(!holds(inTurn(put('a', '1'), put('b', '2'), list({ a: '1' }))));
    assert(!holds(inTurn(put('a', '1'), put('a', '2', { condition: { ifNoneMatch: '*' } }))));
    assert(!holds(inTurn(put('a', '1'), put('a', '2', { condition: { ifMatch: '1' }, answer: 'refused' }))));
    const unknown = put('a', '2', { answer: 'unknown' });
    assert(!holds(inTurn(put('a', '1'), unknown, get('a', '2'), get('a', '1'))));
    const both = [
      put('a', '1', { condition: { ifNoneMatch: '*' } }),
      put('a', '2', { condition: { ifNoneMatch: '*' } }),
    ];
    assert(!holds(both.map((event) => ({ event, begin: 0, end: 9 }))));
  });
});
