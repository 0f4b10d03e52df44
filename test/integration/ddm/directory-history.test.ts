/** What was decided about directories, read from the catalogs of several pairs. */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { PairId } from '../../../src/base/ids.ts';
import type { PostgresConnection } from '../../../src/ddm/locator.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

after(stopSharedServer);

it('the history of directories has every pair’s, in pages, and names those that do not answer', async () => {
  const pairs = [ROOT, 'directory/6' as PairId] as const;
  const primaries = new Map<PairId, PostgresConnection | null>();
  for (const pair of pairs) {
    const { app, server } = await testDatabase();
    primaries.set(pair, app);
    const host = pair.at(-1);
    const decisions = [
      `('${pair}', '2026-01-0${host}T00:00:00.000001Z', 'left-out', 'directory-b${host}', 'gone', 'x', 1)`,
      `('${pair}', '2026-01-0${host}T00:00:00.000002Z', 'returned', 'directory-b${host}', 'back', 'x', 1)`,
      `('${pair}', '2026-02-0${host}T00:00:00Z', 'promoted', 'directory-b${host}', 'ended', 'x', 2)`,
    ];
    await server.admin(`INSERT INTO antipode.directory_decision VALUES ${decisions}`, app.database);
    const timeline = `(2, 'directory-b${host}', '2026-02-0${host}T00:00:00Z', 'ended', 'x')`;
    await server.admin(`INSERT INTO antipode.timeline VALUES ${timeline}`, app.database);
  }
  const locator = { pairs: () => pairs, primary: (pair: PairId) => primaries.get(pair) ?? null };
  const timeouts = { waitMs: 300 };
  const catalog = await openCatalog({ root: ROOT, locator, log: quiet, clock: systemClock, timeouts });
  try {
    const all = await catalog.directoryHistory({ max: 10 });
    assert.deepEqual(
      all.events.map(({ member, state, epoch }) => `${member} ${state} ${epoch}`),
      [
        ...['directory-b6 primary 2', 'directory-b5 primary 2'],
        ...[
          'directory-b6 serving 1',
          'directory-b6 failed-over 1',
          'directory-b5 serving 1',
          'directory-b5 failed-over 1',
        ],
      ],
    );
    assert.deepEqual([all.events[0]!.pair, all.silent], ['directory/6', []]);
    const seen: string[] = [];
    for (let before: string | undefined; seen.length < 6; before = seen.at(-1)) {
      const { events } = await catalog.directoryHistory({ max: 1, ...(before ? { before } : {}) });
      assert.equal(events.length, 1);
      seen.push(events[0]!.cursor);
    }
    assert.deepEqual(
      seen,
      all.events.map(({ cursor }) => cursor),
    );
    assert.deepEqual(
      (await catalog.status()).map(({ epoch }) => epoch),
      [1, 1],
    );
    primaries.set(pairs[1], null);
    const left = await catalog.directoryHistory({ max: 10 });
    assert.deepEqual([left.events.length, left.silent], [3, ['directory/6']]);
  } finally {
    await catalog.close();
  }
});
