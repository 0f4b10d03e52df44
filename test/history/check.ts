/** Judges the history of a program, bucket by bucket, and says what is wrong with it so that it can be read. */
import { explain, isIdle, startOf } from '../model/bucket-history.ts';
import type { HistoryEvent, ShownRow } from '../model/history-events.ts';
import { linearize, type Recorded } from './linearize.ts';
import { KEYS, type Program } from './program.ts';
import type { Judged, Recorder } from './recorder.ts';

export class HistoryRefused extends Error {
  override readonly name = 'HistoryRefused';
}

const machine = { explain, textOf: textOfState(), isIdle };

/** States are shared between ways of the search: each is written out once. */
function textOfState(): (state: object) => string {
  const texts = new WeakMap<object, string>();
  return (state) => {
    const text = texts.get(state) ?? JSON.stringify(state);
    texts.set(state, text);
    return text;
  };
}

/** @returns how many orders were tried @throws {HistoryRefused} */
export function checkProgram({ recorder, starts }: Program, o: { isSpread?: boolean } = {}): number {
  let tried = 0;
  for (const [bucketId, versioning] of starts) {
    const events = recorder.events.get(bucketId) ?? [];
    const result = linearize(machine, startOf(versioning, KEYS), events);
    tried += result.tried;
    if (result.holds) continue;
    const placed = new Map(result.placed.map((one, i) => [one as Recorded<HistoryEvent>, i + 1]));
    const lines = events.toSorted((a, b) => a.begin - b.begin).map((one) => lineOf(one, placed.get(one)));
    throw new HistoryRefused(
      [
        `no order of these calls explains every answer (bucket ${bucketId}, ${versioning} at first)`,
        'place in the longest order found | client | begin–end | call',
        ...lines,
        `state there: ${JSON.stringify(result.state, null, 1)}`,
      ].join('\n'),
    );
  }
  // Between directories the refusal says that nothing can be shared, and no more.
  if (!o.isSpread) checkTheDead(recorder);
  return tried;
}

function lineOf(one: Judged, place: number | undefined): string {
  const { event, begin, end, client } = one;
  const at = place === undefined ? '   -' : String(place).padStart(4);
  const span = `${begin}–${Number.isFinite(end) ? end : '…'}`.padEnd(9);
  return `${at} | c${client} | ${span} | ${JSON.stringify(event)}`;
}

const rowsShown = (event: HistoryEvent): readonly ShownRow[] => {
  if (event.op === 'find') return event.shown ? [event.shown] : [];
  return event.op === 'list-versions' || event.op === 'list-objects' ? event.shown.rows : [];
};

/** Bytes that were said to be dying have no name and get none: no later read shows them, no later copy takes them. */
function checkTheDead({ dead, events }: Recorder): void {
  for (const { content, said } of dead)
    for (const { event, begin } of [...events.values()].flat()) {
      if (begin < said) continue;
      const isTaken = event.op === 'put' && event.answer.outcome === 'done' && event.content === content;
      if (isTaken || rowsShown(event).some((row) => row.content === content))
        throw new HistoryRefused(`${content} was refused as dying and then seen: ${JSON.stringify(event)}`);
    }
}
