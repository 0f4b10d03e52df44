/** The combiner: what gathers goes together, keys are kept apart, every item has its own end, every wait too. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { Combiner, type CombinerOptions } from '../../../src/ddm/combiner.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

/** A combiner of strings whose batches end when the test says so; a key is what stands before a colon. */
function gated(o: Partial<CombinerOptions<string, string>> = {}) {
  const clock = new VirtualClock();
  const batches: { items: readonly string[]; end: (results?: readonly (string | Error)[]) => void }[] = [];
  const combiner = new Combiner<string, string>({
    ...{ clock, lanes: 1, batchMax: 3, queueMax: 10, waitMs: 1000 },
    keyOf: (item) => (item.includes(':') ? item.split(':')[0]! : null),
    run: (items) =>
      new Promise((resolve) => {
        batches.push({ items, end: (results = items.map((item) => item.toUpperCase())) => resolve(results) });
      }),
    ...o,
  });
  return { clock, combiner, batches };
}
const turn = () => new Promise(setImmediate);

describe('the combiner', () => {
  it('sends together what was added together, and what gathered meanwhile', async () => {
    const { combiner, batches } = gated();
    const first = Promise.all([combiner.add('a'), combiner.add('b')]);
    await turn();
    const later = Promise.all(['c', 'd', 'e', 'f'].map((item) => combiner.add(item)));
    await turn();
    assert.deepEqual(
      batches.map((batch) => batch.items),
      [['a', 'b']],
    );
    batches[0]!.end();
    assert.deepEqual(await first, ['A', 'B']);
    await turn();
    batches[1]!.end();
    await turn();
    await turn();
    batches[2]!.end();
    assert.deepEqual(await later, ['C', 'D', 'E', 'F']);
    assert.deepEqual(
      batches.map((batch) => batch.items),
      [['a', 'b'], ['c', 'd', 'e'], ['f']],
    );
  });

  it('never has a key in two batches at once, nor twice in one, and keeps its order', async () => {
    const { combiner, batches } = gated({ lanes: 2 });
    const all = ['k:1', 'k:2', 'l:1', 'k:3'].map((item) => combiner.add(item));
    await turn();
    assert.deepEqual(
      batches.map((batch) => batch.items),
      [['k:1', 'l:1']],
    );
    batches[0]!.end();
    await all[0];
    await turn();
    assert.deepEqual(batches[1]!.items, ['k:2']);
    batches[1]!.end();
    await all[1];
    await turn();
    batches[2]!.end();
    assert.equal(await all[3], 'K:3');
  });

  it('gives each item its own end', async () => {
    const { combiner, batches } = gated();
    const [good, bad, none] = ['good', 'bad', 'none'].map((item) => combiner.add(item));
    await turn();
    batches[0]!.end(['fine', new RangeError('its own')]);
    assert.equal(await good, 'fine');
    await assert.rejects(bad!, RangeError);
    await assert.rejects(none!, /answered in part/);
  });

  it('rejects all items of a batch that failed', async () => {
    const { combiner } = gated({ run: () => Promise.reject(new CatalogUnavailable('away')) });
    const all = await Promise.allSettled([combiner.add('a'), combiner.add('b')]);
    assert.ok(all.every((one) => one.status === 'rejected' && one.reason instanceof CatalogUnavailable));
    await assert.rejects(combiner.add('c'), CatalogUnavailable);
  });

  it('refuses what does not fit into the queue', async () => {
    const { combiner } = gated({ queueMax: 2 });
    void combiner.add('a');
    void combiner.add('b');
    await assert.rejects(combiner.add('c'), CatalogUnavailable);
  });

  it('refuses what waited too long, and what waits when it is closed', async () => {
    const { combiner, clock, batches } = gated({ batchMax: 1 });
    const sent = combiner.add('a');
    await turn();
    const late = combiner.add('b').then(
      () => assert.fail('it was never sent'),
      (error: unknown) => error,
    );
    assert.ok((await clock.run(late)) instanceof CatalogUnavailable);
    assert.ok(clock.monotonic() >= 1000);
    const closed = assert.rejects(combiner.add('c'), CatalogUnavailable);
    combiner.close();
    await closed;
    await assert.rejects(combiner.add('d'), CatalogUnavailable);
    batches[0]!.end();
    assert.equal(await sent, 'A');
  });
});
