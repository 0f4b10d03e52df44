/** Which role a directory takes without a supervisor: never a second catalog, never a second primary. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeStart, type StartSight } from '../../../src/launcher/judge-start.ts';

type Twin = NonNullable<StartSight['twin']>;
const twin = (change: Partial<Twin> = {}): Twin => ({
  ...({ role: 'none', term: 0, step: null, pid: null, dataState: 'empty', systemId: null } as const),
  ...{ synchronous: true, mayReturn: false, why: 'a reason', ...change },
});
const sight = (change: Partial<StartSight> = {}): StartSight => ({
  isFirst: true,
  record: null,
  dataState: 'empty',
  systemId: null,
  twinId: 'directory-b5',
  twin: twin(),
  ...change,
});
const primaryTwin = twin({ role: 'primary', term: 3, pid: 7, dataState: 'primary', systemId: '1' });
const asPrimary = { record: { role: 'primary', term: 1 }, dataState: 'primary', systemId: '1' } as const;
const asStandby = { record: { role: 'standby', term: 1 }, dataState: 'standby', systemId: '1' } as const;
const standbyTwin = { role: 'standby', term: 1, pid: 7, dataState: 'standby', systemId: '1' } as const;
const gaveUp = {
  record: { role: 'standby', term: 1, step: { kind: 'gave-up', order: 'x' } },
  dataState: 'primary',
  systemId: '1',
} as const;

const cases: readonly [string, StartSight, string, RegExp][] = [
  ['the first, its twin empty: makes the catalog', sight(), 'make', /both folders are empty/],
  [
    'the first, its twin silent: waits',
    sight({ twin: null }),
    'wait',
    /makes no catalog before directory-b5/,
  ],
  [
    'the second, both empty: waits for the first',
    sight({ isFirst: false }),
    'wait',
    /waits for directory-b5/,
  ],
  [
    'the first, empty, and its twin holds the catalog as a standby: makes no new one',
    sight({ twin: twin({ role: 'standby', term: 1, dataState: 'standby', systemId: '1' }) }),
    'wait',
    /holds the catalog as standby: put this folder back/,
  ],
  [
    'the first, empty, and its twin holds a catalog without a role: makes no new one',
    sight({ twin: twin({ dataState: 'primary', systemId: '1' }) }),
    'wait',
    /holds the catalog/,
  ],
  ['empty, its twin the primary: becomes its standby', sight({ twin: primaryTwin }), 'standby', /primary/],
  [
    'empty, its twin a primary that does not run: waits',
    sight({ twin: twin({ role: 'primary', term: 1, dataState: 'primary' }) }),
    'wait',
    /to run/,
  ],
  [
    'a primary starts again, its twin a standby',
    sight({ ...asPrimary, twin: twin({ role: 'standby', dataState: 'standby', systemId: '1' }) }),
    'primary',
    /its role/,
  ],
  ['a primary starts again, its twin away', sight({ ...asPrimary, twin: null }), 'primary', /its role/],
  [
    'a primary whose twin says that it is, too, of its term: waits',
    sight({ ...asPrimary, twin: { ...primaryTwin, term: 1 } }),
    'wait',
    /the primary, too/,
  ],
  [
    'a primary whose twin has an earlier term: stays',
    sight({ ...asPrimary, record: { role: 'primary', term: 4 }, twin: primaryTwin }),
    'primary',
    /its role/,
  ],
  [
    'a primary that was succeeded, by an operator: waits for leave',
    sight({ ...asPrimary, twin: { ...primaryTwin, synchronous: false } }),
    'wait',
    /has become the primary \(term 3: a reason\); it stays out until failover leave/,
  ],
  [
    'a primary that was succeeded and may return: becomes the standby',
    sight({ ...asPrimary, twin: { ...primaryTwin, synchronous: false, mayReturn: true } }),
    'standby',
    /has become the primary/,
  ],
  [
    'a primary that was succeeded by one that does not run: waits, to be seeded from there',
    sight({ ...asPrimary, twin: { ...primaryTwin, mayReturn: true, pid: null } }),
    'wait',
    /waits for the primary/,
  ],
  [
    'a primary that went on alone and was succeeded nevertheless: keeps what it has',
    sight({
      ...asPrimary,
      record: { role: 'primary', term: 1, synchronous: false },
      twin: { ...primaryTwin, mayReturn: true },
    }),
    'wait',
    /both may hold what the other lacks/,
  ],
  [
    'decided to be the primary, its server still a standby: goes on with that',
    sight({ ...asStandby, record: { role: 'primary', term: 2, step: { kind: 'promoting' } }, twin: null }),
    'primary',
    /decided/,
  ],
  [
    "a primary whose folder is a standby's, with no promotion under way: waits",
    sight({ ...asStandby, record: { role: 'primary', term: 2, step: null }, twin: null }),
    'wait',
    /put the primary's back/,
  ],
  ['it gave up, its twin silent: waits', sight({ ...gaveUp, twin: null }), 'wait', /does not answer/],
  [
    'it gave up, and its twin takes over: waits',
    sight({
      ...gaveUp,
      twin: twin({ ...standbyTwin, step: { kind: 'taking-over', order: 'x', asserted: false } }),
    }),
    'wait',
    /which takes over/,
  ],
  [
    'it gave up, and its twin takes over by another order: waits',
    sight({
      ...gaveUp,
      twin: twin({ ...standbyTwin, step: { kind: 'taking-over', order: 'y', asserted: true } }),
    }),
    'wait',
    /which takes over/,
  ],
  [
    'it gave up, and its twin has not taken over: is the primary again',
    sight({ ...gaveUp, twin: twin(standbyTwin) }),
    'primary',
    /has not taken over/,
  ],
  [
    'it gave up, and its twin is the primary: waits for leave',
    sight({ ...gaveUp, twin: { ...primaryTwin, synchronous: false } }),
    'wait',
    /until failover leave/,
  ],
  [
    'it gave up, and may return',
    sight({ ...gaveUp, twin: { ...primaryTwin, mayReturn: true } }),
    'standby',
    /has become/,
  ],
  [
    'a standby that takes over, its twin away or down: runs, to be promoted',
    sight({
      ...asStandby,
      record: { role: 'standby', term: 1, step: { kind: 'taking-over', order: 'x', asserted: true } },
      twin: twin({ role: 'standby', term: 1 }),
    }),
    'standby',
    /for now/,
  ],
  [
    'a standby whose primary does not run: starts, so that it can take over',
    sight({ ...asStandby, twin: { ...primaryTwin, pid: null } }),
    'standby',
    /its role/,
  ],
  [
    "a standby whose folder is still a primary's, of its own term: is made one",
    sight({ ...asStandby, record: { role: 'standby', term: 3 }, dataState: 'primary', twin: primaryTwin }),
    'standby',
    /still a primary's/,
  ],
  [
    'a primary whose folder is gone, its twin away: makes no new one',
    sight({ record: { role: 'primary', term: 1 }, twin: null }),
    'wait',
    /folder pg is gone/,
  ],
  [
    'a primary whose folder is gone, its twin empty: makes no new one',
    sight({ record: { role: 'primary', term: 1 } }),
    'wait',
    /folder pg is gone/,
  ],
  [
    'a folder of a primary without a role, its twin silent: waits',
    sight({ dataState: 'primary', systemId: '1', twin: null }),
    'wait',
    /takes no role before/,
  ],
  [
    'a folder of a primary without a role, its twin empty: primary',
    sight({ dataState: 'primary', systemId: '1' }),
    'primary',
    /of a primary/,
  ],
  ['a standby, its twin the primary', sight({ ...asStandby, twin: primaryTwin }), 'standby', /its role/],
  [
    'a standby, its twin away: starts, to be there when it comes',
    sight({ ...asStandby, twin: null }),
    'standby',
    /standby/,
  ],
  [
    'a standby with an empty disk, its twin away: waits',
    sight({ ...asStandby, dataState: 'empty', systemId: null, twin: null }),
    'wait',
    /seeded/,
  ],
  [
    'a standby with an empty disk, its twin the primary: is seeded',
    sight({ ...asStandby, dataState: 'empty', systemId: null, twin: primaryTwin }),
    'standby',
    /its role/,
  ],
  [
    'two standbys: nobody is the primary',
    sight({ ...asStandby, twin: twin({ role: 'standby', dataState: 'standby', systemId: '1' }) }),
    'wait',
    /nobody is the primary/,
  ],
  [
    "a standby's role over a primary's folder: waits",
    sight({ ...asStandby, dataState: 'primary', twin: primaryTwin }),
    'wait',
    /remove the folder/,
  ],
  [
    'another catalog than its twin: waits',
    sight({ ...asStandby, systemId: '2', twin: primaryTwin }),
    'wait',
    /another catalog/,
  ],
];

describe('a directory that starts', () => {
  for (const [what, given, kind, why] of cases)
    it(what, () => {
      const step = judgeStart(given);
      assert.equal(step.kind, kind);
      assert.match(step.why, why);
    });

  it('takes the term of the primary that it follows', () => {
    const step = judgeStart(sight({ twin: primaryTwin }));
    assert.equal(step.kind === 'standby' && step.term, 3);
  });
});
