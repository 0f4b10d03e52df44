/**
 * The records of names of all nodes as one stream, by id: of each the youngest, and who has it. Holds a page of each node.
 * A node that does not answer is left out from then on, and named.
 */
import type { MemberId } from '../../base/ids.ts';
import type { NameRecord, NodeNames } from '../../nodes/names-protocol.ts';

export interface Merged {
  readonly record: NameRecord;
  /** Those that have exactly this one. */
  readonly holders: readonly MemberId[];
  /** Those that have an older one, or one that differs under the same number. */
  readonly behind: readonly MemberId[];
}

const PAGE = 1_000;

async function* namesOf(node: NodeNames): AsyncGenerator<NameRecord, void> {
  for (let after: string | undefined; ; ) {
    const { records, next } = await node.names({ max: PAGE, ...(after === undefined ? {} : { after }) });
    yield* records;
    if (next === null) return;
    after = next;
  }
}

const isYounger = (a: NameRecord, b: NameRecord): boolean =>
  a.change !== b.change ? a.change > b.change : a.body > b.body;

export async function* mergeNames(
  nodes: ReadonlyMap<MemberId, NodeNames>,
  onUnheard: (member: MemberId, error: unknown) => void,
): AsyncGenerator<Merged, void> {
  const cursors = new Map<MemberId, { stream: AsyncGenerator<NameRecord, void>; at: NameRecord }>();
  const advance = async (member: MemberId, stream: AsyncGenerator<NameRecord, void>) => {
    try {
      const next = await stream.next();
      if (next.done) cursors.delete(member);
      else cursors.set(member, { stream, at: next.value });
    } catch (error) {
      cursors.delete(member);
      onUnheard(member, error);
    }
  };
  await Promise.all([...nodes].map(([member, node]) => advance(member, namesOf(node))));
  while (cursors.size > 0) {
    let least: string | null = null;
    for (const { at } of cursors.values()) if (least === null || at.id < least) least = at.id;
    const same = [...cursors].filter(([, { at }]) => at.id === least);
    const record = same.map(([, { at }]) => at).reduce((a, b) => (isYounger(b, a) ? b : a));
    const isAlike = (at: NameRecord) => at.change === record.change && at.body === record.body;
    yield {
      record,
      holders: same.filter(([, { at }]) => isAlike(at)).map(([member]) => member),
      behind: same.filter(([, { at }]) => !isAlike(at)).map(([member]) => member),
    };
    // Pages are at hand nearly always: these do not wait for a node.
    for (const [member, { stream }] of same) await advance(member, stream);
  }
}
