/** Which role a directory takes without a supervisor: never a second catalog, never a second primary. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeStart, type StartSight } from '../../../src/launcher/judge-start.ts';

const twin = (change: Partial<NonNullable<StartSight['twin']>> = {}) =>
  ({ role: 'none', term: 0, pid: null, dataState: 'empty', systemId: null, ...change }) as const;
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
    'a primary whose twin says that it is, too: waits',
    sight({ ...asPrimary, twin: primaryTwin }),
    'wait',
    /the primary, too/,
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
