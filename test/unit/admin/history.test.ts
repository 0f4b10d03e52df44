/** The history of nodes and directories as one list, in pages that lose and repeat nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { historyQuery } from '../../../src/admin/api.ts';
import { type HistorySources, readHistory } from '../../../src/admin/history.ts';
import type { Epoch, MemberId, PairId } from '../../../src/base/ids.ts';
import type { ConditionEvent, DirectoryEvent } from '../../../src/ddm/catalog.ts';

const [why, decidedBy] = ['x', 'y'];
const at = (second: number) => new Date(second * 1_000);
const nodeEvent = (id: number, second: number): ConditionEvent => ({
  ...{
    id,
    subject: id === 3 ? 'center b' : 'node-a11',
    state: 'failed-over',
    epoch: id as Epoch,
    at: at(second),
  },
  ...{ why, decidedBy },
});
const directoryEvent = (second: number): DirectoryEvent => ({
  ...{
    pair: 'directory/5' as PairId,
    member: 'directory-b5' as MemberId,
    state: 'primary',
    epoch: 2 as Epoch,
  },
  ...{ at: at(second), cursor: at(second).toISOString().replace('Z', '000Z'), why, decidedBy },
});

/** Both lists newest first, as the catalog gives them. */
const sources = (
  nodes: ConditionEvent[],
  directories: DirectoryEvent[],
  silent: PairId[] = [],
): HistorySources => ({
  conditionHistory: async ({ max, before = Number.POSITIVE_INFINITY }) =>
    nodes.filter(({ id }) => id < before).slice(0, max),
  directoryHistory: async ({ max, before = '9' }) => ({
    events: directories.filter(({ cursor }) => cursor < before).slice(0, max),
    silent,
  }),
});
const BOTH = sources(
  [nodeEvent(4, 40), nodeEvent(3, 30), nodeEvent(2, 20), nodeEvent(1, 10)],
  [directoryEvent(35), directoryEvent(34), directoryEvent(15), directoryEvent(5)],
);
const inShort = (events: Awaited<ReturnType<typeof readHistory>>['events']) =>
  events.map((event) => `${event.kind} ${Date.parse(event.at) / 1_000}`);
const ALL = [
  'node 40',
  'directory 35',
  'directory 34',
  'center 30',
  'node 20',
  'directory 15',
  'node 10',
  'directory 5',
];

describe('the history', () => {
  it('has nodes and directories in one order', async () => {
    const { events, truncated, next } = await readHistory(BOTH, { max: 100 });
    assert.deepEqual([inShort(events), truncated, next], [ALL, false, null]);
    assert.deepEqual([events[0]!.id, events[1]!.id, events[1]!.state], [4, null, 'primary']);
  });
  for (const max of [1, 2, 3, 5])
    it(`comes in pages of ${max} that lose and repeat nothing`, async () => {
      const seen: string[] = [];
      let before: string | undefined;
      for (let page = 0; page < 10; page++) {
        const { events, next } = await readHistory(BOTH, historyQuery.parse({ max, before }));
        seen.push(...inShort(events));
        if (next === null) break;
        before = next;
      }
      assert.deepEqual(seen, ALL);
    });
  it('goes on behind an event of a node by its id', async () => {
    const { events } = await readHistory(BOTH, { max: 100, before: '3' });
    assert.deepEqual(inShort(events), ALL.slice(4));
  });
  it('keeps to each list’s own order when clocks differ', async () => {
    const crooked = sources([nodeEvent(9, 50), nodeEvent(8, 60), nodeEvent(7, 45)], [directoryEvent(55)]);
    const seen: (number | null)[] = [];
    let before: string | undefined;
    do {
      const { events, next }: Awaited<ReturnType<typeof readHistory>> = await readHistory(crooked, {
        max: 1,
        before,
      });
      seen.push(...events.map(({ id }) => id));
      before = next ?? undefined;
    } while (before !== undefined);
    assert.deepEqual(seen, [null, 9, 8, 7]);
  });
  it('names the pairs that it does not have', async () => {
    const silent = sources([nodeEvent(1, 1)], [], ['directory/6' as PairId]);
    assert.deepEqual((await readHistory(silent, { max: 5 })).missing, ['directory/6']);
  });
  it('refuses what is no place in it', () => {
    for (const before of ['', '0', 'x', '1@now', '1@2026-01-01', "1@2026-01-01T00:00:00.000Z'"])
      assert.equal(historyQuery.safeParse({ before }).success, false, before);
  });
});
