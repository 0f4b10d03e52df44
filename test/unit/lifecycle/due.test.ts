/** What lifecycle rules say about a version: S3's own examples, and what holds for any rules and versions. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { rankOf, STORAGE_CLASSES } from '../../../src/lifecycle/classes.ts';
import {
  abortOf,
  CALENDAR_DAY_MS,
  daysAfter,
  dueActions,
  expirationOf,
  nextAction,
  type Terms,
  type VersionFacts,
} from '../../../src/lifecycle/due.ts';
import {
  coveringPrefixes,
  type LifecycleFilter,
  type LifecycleRule,
  matches,
} from '../../../src/lifecycle/rules.ts';

const TERMS: Terms = { classes: STORAGE_CLASSES, transitionMinimumBytes: 128 * 1024, dayMs: null };
const at = (text: string) => Date.parse(text);
const rule = (more: Partial<LifecycleRule>): LifecycleRule => ({
  ...{ id: 'r', isEnabled: true, form: 'filter', filter: {} },
  ...more,
});
const current = (more: Partial<VersionFacts> = {}): VersionFacts => ({
  ...{ key: 'k', size: 1_000_000, tags: {}, lastModified: at('2014-01-15T10:30:00Z'), isLatest: true },
  ...{
    isDeleteMarker: false,
    storageClass: 'STANDARD',
    isAlone: true,
    successorAt: null,
    newerNoncurrent: 0,
  },
  ...more,
});
const noncurrent = (more: Partial<VersionFacts> = {}): VersionFacts =>
  current({ isLatest: false, isAlone: false, successorAt: at('2014-01-15T10:30:00Z'), ...more });

describe('a day of a rule', () => {
  it('ends at the next midnight UTC after it is over', () => {
    // "Setting lifecycle: based on an object's age", S3 User Guide.
    const created = at('2014-01-15T10:30:00Z');
    assert.equal(daysAfter(created, 3, null), at('2014-01-19T00:00:00Z'));
    assert.equal(daysAfter(created, 0, null), at('2014-01-16T00:00:00Z'));
    assert.equal(daysAfter(at('2014-01-15T00:00:00Z'), 1, null), at('2014-01-17T00:00:00Z'));
  });

  it('is as long as it is said to be in tests, without rounding', () => {
    assert.equal(daysAfter(1_234, 3, 10_000), 31_234);
  });

  it('is never over before as many times 24 hours have gone by, nor a day later', () => {
    fc.assert(
      fc.property(fc.nat(4e12), fc.nat(10_000), (from, days) => {
        const due = daysAfter(from, days, null);
        assert.equal(due % CALENDAR_DAY_MS, 0);
        assert.ok(due > from + days * CALENDAR_DAY_MS);
        assert.ok(due <= from + (days + 1) * CALENDAR_DAY_MS);
      }),
    );
  });
});

describe('a filter', () => {
  const object = { key: 'logs/a', size: 100, tags: { a: '1', b: '2' } };
  const cases: [LifecycleFilter, boolean][] = [
    [{}, true],
    [{ prefix: 'logs/' }, true],
    [{ prefix: 'logs/b' }, false],
    [{ tags: { a: '1' } }, true],
    [{ tags: { a: '1', b: '3' } }, false],
    [{ tags: { toString: '1' } }, false],
    [{ sizeGreaterThan: 99 }, true],
    [{ sizeGreaterThan: 100 }, false],
    [{ sizeLessThan: 100 }, false],
    [{ sizeLessThan: 101, prefix: 'l', tags: { b: '2' } }, true],
  ];
  for (const [filter, expected] of cases)
    it(`${JSON.stringify(filter)} ${expected ? 'matches' : 'does not match'}`, () =>
      assert.equal(matches(filter, object), expected));
});

it('the prefixes to go through cover every rule, and no key twice', () => {
  const prefix = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é', '😀'), maxLength: 4 });
  fc.assert(
    fc.property(fc.array(prefix), prefix, (prefixes, key) => {
      const covering = coveringPrefixes(prefixes.map((p) => rule({ filter: { prefix: p } })));
      const covered = covering.filter((p) => key.startsWith(p)).length;
      assert.equal(covered, prefixes.some((p) => key.startsWith(p)) ? 1 : 0);
    }),
  );
});

describe('what is due', () => {
  const soon = at('2100-01-01T00:00:00Z');
  const next = (rules: readonly LifecycleRule[], v: VersionFacts, isVersioned = true, now = soon) =>
    nextAction(rules, v, TERMS, now, isVersioned)?.action ?? null;

  it('is nothing before its time', () => {
    const rules = [rule({ expiration: { days: 3 } })];
    const due = at('2014-01-19T00:00:00Z');
    assert.equal(next(rules, current(), false, due - 1), null);
    assert.deepEqual(next(rules, current(), false, due), { kind: 'expire' });
    assert.equal(next([rule({ expiration: { days: 3 }, isEnabled: false })], current()), null);
  });

  it('removes for good before it moves, and moves before it marks what is due at once', () => {
    const both = [
      rule({ expiration: { days: 30 } }),
      rule({ transitions: [{ days: 30, storageClass: 'STANDARD_IA' }] }),
    ];
    assert.deepEqual(next(both, current(), false), { kind: 'expire' });
    assert.deepEqual(next(both, current(), true), { kind: 'transition', storageClass: 'STANDARD_IA' });
    const later = [both[0]!, rule({ transitions: [{ days: 40, storageClass: 'STANDARD_IA' }] })];
    assert.deepEqual(next(later, current(), true), { kind: 'expire' });
    // It has been moved by then.
    assert.deepEqual(next(both, current({ storageClass: 'STANDARD_IA' }), true), { kind: 'expire' });
  });

  it('moves to the coldest class that is due, and never to a warmer one', () => {
    const moves = rule({
      transitions: [
        { days: 1, storageClass: 'STANDARD_IA' },
        { days: 7, storageClass: 'GLACIER_IR' },
      ],
    });
    const cold = { kind: 'transition', storageClass: 'GLACIER_IR' };
    assert.deepEqual(next([moves], current()), cold);
    assert.deepEqual(next([moves], current({ storageClass: 'STANDARD_IA' })), cold);
    assert.equal(next([moves], current({ storageClass: 'GLACIER_IR' })), null);
  });

  it('leaves small objects where they are, unless the rule speaks of sizes', () => {
    const transitions = [{ days: 1, storageClass: 'STANDARD_IA' }];
    const small = current({ size: 1_000 });
    assert.equal(next([rule({ transitions })], small), null);
    assert.ok(next([rule({ transitions, filter: { sizeGreaterThan: 500 } })], small));
  });

  it('takes a delete marker away when it is alone, at once or by its age', () => {
    const marker = current({ isDeleteMarker: true, size: 0 });
    const flag = rule({ expiration: { expiredDeleteMarker: true } });
    const days = rule({ expiration: { days: 5 } });
    assert.deepEqual(next([flag], marker, true, marker.lastModified), { kind: 'remove-marker' });
    assert.equal(next([flag], { ...marker, isAlone: false }), null);
    assert.equal(next([rule({ expiration: { expiredDeleteMarker: false } })], marker), null);
    assert.equal(next([days], marker, true, marker.lastModified + 5 * CALENDAR_DAY_MS), null);
    assert.deepEqual(next([days], marker), { kind: 'remove-marker' });
    assert.equal(next([rule({ expiration: { days: 1 }, filter: { sizeLessThan: 5 } })], marker), null);
  });

  it('counts noncurrent versions from their successor, and keeps the newest of them', () => {
    const v = noncurrent({ lastModified: 0, newerNoncurrent: 2 });
    const expiry = (keepNewer?: number) =>
      rule({ noncurrentExpiration: { days: 3, ...(keepNewer !== undefined && { keepNewer }) } });
    const due = at('2014-01-19T00:00:00Z');
    assert.equal(next([expiry()], v, true, due - 1), null);
    assert.deepEqual(next([expiry()], v, true, due), { kind: 'remove' });
    assert.deepEqual(next([expiry(2)], v), { kind: 'remove', keepNewer: 2 });
    assert.equal(next([expiry(3)], v), null);
    assert.equal(next([rule({ expiration: { days: 1 } })], v), null);
    const marker = noncurrent({ isDeleteMarker: true, size: 0 });
    assert.deepEqual(next([expiry()], marker), { kind: 'remove' });
  });
});

it('dates and days are announced by the rule that comes first', () => {
  const object = { key: 'a', size: 1, tags: {}, lastModified: at('2026-03-01T12:00:00Z') };
  const rules = [
    rule({ id: 'late', expiration: { days: 90 } }),
    rule({ id: 'date', expiration: { date: at('2026-03-20T00:00:00Z') } }),
    rule({ id: 'other', expiration: { days: 1 }, filter: { prefix: 'b' } }),
    rule({ id: 'marker', expiration: { expiredDeleteMarker: true } }),
  ];
  assert.deepEqual(expirationOf(rules, object), { at: at('2026-03-20T00:00:00Z'), ruleId: 'date' });
  const aborts = [
    rule({ id: 'x', abortUploadsDays: 2 }),
    rule({ id: 'y', abortUploadsDays: 1, filter: { prefix: 'u' } }),
  ];
  const initiated = at('2026-03-01T12:00:00Z');
  assert.deepEqual(abortOf(aborts, { key: 'a', initiated }), { at: at('2026-03-04T00:00:00Z'), ruleId: 'x' });
  assert.deepEqual(abortOf(aborts, { key: 'u', initiated }), { at: at('2026-03-03T00:00:00Z'), ruleId: 'y' });
  assert.equal(abortOf([], { key: 'u', initiated }), null);
});

// ------------------------------------------------------------------------------------------- for any rules

const days = fc.integer({ min: 1, max: 60 });
const time = fc.oneof(fc.record({ days }), fc.record({ date: fc.nat(80).map((n) => n * CALENDAR_DAY_MS) }));
const cold = fc.constantFrom(...STORAGE_CLASSES.slice(2));
const keepNewer = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined });
const kept = (days: number, keep: number | undefined) => ({
  days,
  ...(keep !== undefined && { keepNewer: keep }),
});
const anyFilter: fc.Arbitrary<LifecycleFilter> = fc.record(
  {
    prefix: fc.constantFrom('', 'a', 'ab', 'b'),
    tags: fc.constantFrom({ t: '1' }, { t: '2' }),
    sizeGreaterThan: fc.constantFrom(0, 100),
    sizeLessThan: fc.constantFrom(1_000, 1_000_000),
  },
  { requiredKeys: [] },
);
const anyRule: fc.Arbitrary<LifecycleRule> = fc
  .record(
    {
      expiration: fc.oneof(time, fc.record({ expiredDeleteMarker: fc.boolean() })),
      transitions: fc.array(
        fc.tuple(time, cold).map(([t, storageClass]) => ({ ...t, storageClass })),
        { minLength: 1, maxLength: 2 },
      ),
      noncurrentExpiration: fc.tuple(days, keepNewer).map(([d, keep]) => kept(d, keep)),
      noncurrentTransitions: fc.array(
        fc
          .tuple(days, keepNewer, cold)
          .map(([d, keep, storageClass]) => ({ ...kept(d, keep), storageClass })),
        { minLength: 1, maxLength: 2 },
      ),
    },
    { requiredKeys: [] },
  )
  .chain((actions) =>
    fc.record({ filter: anyFilter, isEnabled: fc.boolean() }).map((more) => rule({ ...actions, ...more })),
  );
const anyVersion: fc.Arbitrary<VersionFacts> = fc
  .record({
    key: fc.constantFrom('a', 'ab', 'abc', 'b', 'c'),
    size: fc.constantFrom(0, 50, 500, 200_000, 2_000_000),
    tags: fc.constantFrom<Record<string, string>>({}, { t: '1' }, { t: '2', u: '3' }),
    lastModified: fc.nat(60 * CALENDAR_DAY_MS),
    isLatest: fc.boolean(),
    isDeleteMarker: fc.boolean(),
    isAlone: fc.boolean(),
    storageClass: fc.constantFrom(...STORAGE_CLASSES),
    newerNoncurrent: fc.nat(6),
    gap: fc.nat(20 * CALENDAR_DAY_MS),
  })
  .map(({ gap, ...v }) =>
    v.isLatest
      ? { ...v, successorAt: null, newerNoncurrent: 0 }
      : { ...v, isAlone: false, successorAt: v.lastModified + gap },
  );
const RUNS = { numRuns: 2_000 };

describe('for any rules and versions', () => {
  const rules = fc.array(anyRule, { maxLength: 5 });
  const now = fc.nat(150).map((n) => n * (CALENDAR_DAY_MS / 2));

  it('nothing happens that no rule says, or that is not due', () => {
    fc.assert(
      fc.property(rules, anyVersion, now, fc.boolean(), (all, v, at, isVersioned) => {
        const next = nextAction(all, v, TERMS, at, isVersioned);
        if (next === null) return;
        assert.ok(next.at <= at);
        assert.ok(dueActions(all, v, TERMS).some((due) => due.at === next.at));
        assert.ok(all.some((r) => r.isEnabled && matches(r.filter, v)));
        // Not before the version was there, but by a date.
        const dated = all.some((r) => r.expiration && 'date' in r.expiration);
        const moved = all.some((r) => r.transitions?.some((t) => 'date' in t));
        if (!dated && !moved) assert.ok(next.at >= v.lastModified);
      }),
      RUNS,
    );
  });

  it('a latest version is never removed for good where there are versions, but a marker that is alone', () => {
    fc.assert(
      fc.property(rules, anyVersion, now, (all, v, at) => {
        const kind = nextAction(all, v, TERMS, at, true)?.action.kind;
        if (kind === 'remove') assert.ok(!v.isLatest);
        if (kind === 'remove-marker') assert.ok(v.isLatest && v.isDeleteMarker && v.isAlone);
        if (kind === 'expire') assert.ok(v.isLatest && !v.isDeleteMarker);
      }),
      RUNS,
    );
  });

  it('what is due for good goes before anything else', () => {
    fc.assert(
      fc.property(rules, anyVersion, now, (all, v, at) => {
        const due = dueActions(all, v, TERMS).filter((d) => d.at <= at);
        const kind = nextAction(all, v, TERMS, at, false)?.action.kind;
        if (due.some((d) => d.action.kind !== 'transition')) assert.notEqual(kind, 'transition');
        assert.equal(kind === undefined, due.length === 0);
      }),
      RUNS,
    );
  });

  it('moves come to an end, each to a colder class, and time only adds to what is due', () => {
    fc.assert(
      fc.property(rules, anyVersion, now, (all, first, at) => {
        let v = first;
        for (let moves = 0; ; moves += 1) {
          assert.ok(moves <= STORAGE_CLASSES.length);
          const action = nextAction(all, v, TERMS, at, true)?.action;
          if (action?.kind !== 'transition') break;
          const { storageClass } = action;
          assert.ok(rankOf(STORAGE_CLASSES, storageClass) > rankOf(STORAGE_CLASSES, v.storageClass));
          v = { ...v, storageClass };
        }
        if (nextAction(all, first, TERMS, at, true) !== null)
          assert.notEqual(nextAction(all, first, TERMS, at + CALENDAR_DAY_MS, true), null);
      }),
      RUNS,
    );
  });
});
