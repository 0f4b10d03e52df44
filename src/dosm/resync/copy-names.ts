/**
 * The records of names of a member that returns: made those of its twin, which has had all that came meanwhile. By digests of
 * ranges, as blobs are compared, so that the cost follows the difference. From the moment that the twin knows the pair's
 * epoch, whoever tells names knows that the member is returning and tells both; so one look that finds no difference is enough.
 */
import type { Epoch } from '../../base/ids.ts';
import type { NameKey, NameRecord, NodeNames } from '../../nodes/names-protocol.ts';
import type { NodeControl, RangeDigest } from '../../nodes/protocol.ts';

type Naming = Partial<NodeNames> & Pick<NodeControl, 'setCondition'>;

const PASSES_MAX = 5;
const PAGE = 1_000;

/** How many records were copied or dropped. @throws {NodeError} */
export async function copyNames(
  { member, twin }: { readonly member: Naming; readonly twin: Naming },
  epoch: Epoch,
  signal: AbortSignal,
): Promise<number> {
  if (!keepsNames(member) || !keepsNames(twin)) return 0;
  await twin.setCondition({ state: 'serving', epoch });
  let changed = 0;
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    let differed = 0;
    for await (const prefix of differing(member, twin)) {
      signal.throwIfAborted();
      differed += await settle(member, twin, prefix);
    }
    if (differed === 0) return changed;
    changed += differed;
  }
  return changed;
}

const keepsNames = (client: Partial<NodeNames>): client is NodeNames => client.nameDigests !== undefined;

async function* differing(member: NodeNames, twin: NodeNames): AsyncGenerator<string> {
  for (const prefix of await unequal(member, twin))
    for (const below of await unequal(member, twin, prefix)) yield below;
}

async function unequal(member: NodeNames, twin: NodeNames, prefix?: string): Promise<string[]> {
  const [mine, theirs] = await Promise.all([member.nameDigests(prefix), twin.nameDigests(prefix)]);
  const text = (range: RangeDigest | undefined) =>
    range ? `${range.count} ${range.sum.toString('hex')}` : '';
  const [left, right] = [mine, theirs].map((ranges) => new Map(ranges.map((range) => [range.prefix, range])));
  return [...new Set([...left!.keys(), ...right!.keys()])]
    .filter((at) => text(left!.get(at)) !== text(right!.get(at)))
    .sort();
}

async function settle(member: NodeNames, twin: NodeNames, prefix: string): Promise<number> {
  const mine = new Map<string, Pick<NameRecord, keyof NameKey | 'body'>>();
  for await (const page of pagesOf(member, prefix)) for (const record of page) mine.set(record.id, record);
  let changed = 0;
  for await (const page of pagesOf(twin, prefix)) {
    const lacking = page.filter((record) => !isSame(mine.get(record.id), record));
    const own = lacking.flatMap(({ id }) => mine.get(id) ?? []);
    // Of two the younger stays, on whichever side it is.
    await member.putNames(lacking);
    await twin.putNames(own);
    changed += lacking.length;
    for (const { id } of page) mine.delete(id);
  }
  const surplus = [...mine.keys()];
  for (let at = 0; at < surplus.length; at += PAGE)
    await member.trimNames({ ids: surplus.slice(at, at + PAGE) });
  return changed + surplus.length;
}

const isSame = (a: NameRecord | undefined, b: NameRecord): boolean =>
  a !== undefined && a.change === b.change && a.isDeleted === b.isDeleted && a.body === b.body;

async function* pagesOf(node: NodeNames, prefix: string): AsyncGenerator<readonly NameRecord[]> {
  for (let after: string | undefined; ; ) {
    const { records, next } = await node.names({
      max: PAGE,
      prefix,
      ...(after === undefined ? {} : { after }),
    });
    yield records;
    if (next === null) return;
    after = next;
  }
}
