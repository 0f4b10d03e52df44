/**
 * What happened to conditions, nodes' and directories' alike, newest first. Nodes' changes stand in the root pair, what was
 * decided about directories in the catalog of each pair; a page is drawn from all of them.
 */
import type { ClusterCatalog, ConditionEvent, DirectoryEvent } from '../ddm/cluster-catalog.ts';
import type { HistoryReport } from './api.ts';

export type HistorySources = Pick<ClusterCatalog, 'conditionHistory'> &
  Partial<Pick<ClusterCatalog, 'directoryHistory'>>;

/** Below this id of a node's event, and before this time of a directory's. */
interface Cursor {
  readonly id?: number;
  readonly at?: string;
}

type Event =
  | { readonly kind: 'node'; readonly event: ConditionEvent }
  | { readonly kind: 'directory'; readonly event: DirectoryEvent };

/** `before`: what the last page called `next`, or the id of a node's event. @throws {CatalogUnavailable} while the root is away */
export async function readHistory(
  catalog: HistorySources,
  { max, before }: { readonly max: number; readonly before?: string | undefined },
): Promise<HistoryReport> {
  const from = await cursorOf(catalog, before);
  const [nodes, directories] = await Promise.all([
    catalog.conditionHistory({ max: max + 1, ...(from.id === undefined ? {} : { before: from.id }) }),
    catalog.directoryHistory?.({ max: max + 1, ...(from.at === undefined ? {} : { before: from.at }) }),
  ]);
  const all = merged(
    nodes.map((event) => ({ kind: 'node', event })),
    (directories?.events ?? []).map((event) => ({ kind: 'directory', event })),
  );
  const shown = all.slice(0, max);
  const truncated = all.length > max;
  const silent = directories?.silent ?? [];
  return {
    events: shown.map(described),
    truncated,
    next: truncated ? tokenOf(shown, from) : null,
    ...(silent.length > 0 ? { missing: silent } : {}),
  };
}

/** By time, and each list in its own order: servers' clocks differ, and cursors go by that order. */
function merged(some: readonly Event[], others: readonly Event[]): readonly Event[] {
  const [a, b] = [[...some], [...others]];
  const all: Event[] = [];
  for (let next = later(a, b).shift(); next; next = later(a, b).shift()) all.push(next);
  return all;
}
const later = (a: Event[], b: Event[]): Event[] => {
  if (!a[0] || !b[0]) return a[0] ? a : b;
  return a[0].event.at >= b[0].event.at ? a : b;
};

function described({ kind, event }: Event): HistoryReport['events'][number] {
  const { state, epoch, why, decidedBy } = event;
  const common = { state, epoch, at: event.at.toISOString(), why, decidedBy };
  if (kind === 'directory') return { id: null, kind, subject: event.member, ...common };
  const { id, subject } = event;
  return { id, kind: subject.startsWith('center ') ? 'center' : 'node', subject, ...common };
}

function tokenOf(shown: readonly Event[], from: Cursor): string {
  const node = shown.findLast((each) => each.kind === 'node');
  const directory = shown.findLast((each) => each.kind === 'directory');
  return `${node?.event.id ?? from.id ?? ''}@${directory?.event.cursor ?? from.at ?? ''}`;
}

/** A bare id is that of a node's event: directories' events are then those before it. */
async function cursorOf(catalog: HistorySources, before: string | undefined): Promise<Cursor> {
  if (before === undefined) return {};
  const [idText = '', atText] = before.split('@');
  const id = idText === '' ? {} : { id: Number(idText) };
  if (atText !== undefined) return { ...id, ...(atText === '' ? {} : { at: atText }) };
  const [event] = await catalog.conditionHistory({ max: 1, before: Number(idText) + 1 });
  return { ...id, ...(event ? { at: event.at.toISOString() } : {}) };
}
