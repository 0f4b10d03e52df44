/**
 * `antipode rebuild-catalog`: makes the rows of an empty catalog from what nodes alone have kept. All nodes are asked; of each record
 * the youngest counts, deletions too. What the records do not confirm is listed and never guessed. Secrets are on no node:
 * accounts come back without access keys. It may be broken off and begun again.
 */
import type { BucketId, MemberId, PairId } from '../../base/ids.ts';
import type { Catalog } from '../../ddm/catalog.ts';
import type { NameSource } from '../../ddm/name-source.ts';
import type { RebuildCatalog } from '../../ddm/rebuild.ts';
import type { NodeNames } from '../../nodes/names-protocol.ts';
import type { NodeClient } from '../../nodes/protocol.ts';
import type { Topology } from '../../twin/topology.ts';
import { AdminError } from '../admin-error.ts';
import { compareBlobs } from './blobs.ts';
import { buriedBucket, type DocumentOf, documentOf, isVersion } from './documents.ts';
import { mergeNames } from './merge.ts';
import type { RebuildLine } from './report.ts';

export interface RebuildDeps {
  readonly catalog: Catalog & RebuildCatalog & Pick<NameSource, 'nextNameChange' | 'versionDocuments'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient & NodeNames>;
  readonly topology: Pick<Topology, 'pairs'>;
  /** Where a bucket goes whose own directory is there no more. */
  readonly root: PairId;
  readonly directories: () => readonly PairId[];
  /** This catalog's. */
  readonly catalogId: string;
  /** The names are whole: nodes that keep blobs of `replaced` are ours from now on. */
  readonly onRebuilt: (replaced: readonly string[]) => void;
}

const BATCH_VERSIONS = 200;
const BATCH_CHARACTERS = 1024 * 1024;
const PROGRESS_EVERY = 5_000;

/** What is found on the way; the last line tells it. */
export class Tally {
  readonly unheard = new Map<MemberId, string>();
  disagreements = 0;
  unconfirmed = 0;
  versions = 0;
  readonly positions = new Map<string, { pair: string; position: string; at: string }>();

  readonly onUnheard = (member: MemberId, error: unknown): void => {
    if (!this.unheard.has(member)) this.unheard.set(member, (error as Error).message);
  };
}

export async function* rebuildCatalog(
  deps: RebuildDeps,
  signal: AbortSignal,
): AsyncGenerator<RebuildLine, void> {
  const { catalog } = deps;
  const tally = new Tally();
  const replaced = await askAll(deps, tally);
  if (!(await catalog.beginRebuild()))
    throw new AdminError(
      'NotAllowed',
      'the catalog is not empty: --diff compares it with what the nodes have',
    );
  const settings = await readSettings(deps, tally, signal);
  const directoryOf = await restoreBuckets(deps, settings.buckets);
  for (const id of [settings.buried]) if (id > 0) await catalog.passBucketId(id as BucketId);
  yield { type: 'progress', phase: 'buckets', done: settings.buckets.length };
  yield* restoreAccounts(deps, settings.accounts);
  yield* restoreVersions(deps, directoryOf, tally, signal);
  for await (const line of compareBlobs(deps, { mend: true, signal, onUnheard: tally.onUnheard })) {
    if (line.type === 'unconfirmed') tally.unconfirmed += 1;
    yield line;
  }
  await restoreQuotas(deps, settings.quotas);
  await catalog.nextNameChange(settings.highest);
  await catalog.endRebuild(replaced.filter((id) => id !== null));
  for (const [member, client] of deps.clients)
    for (const known of replaced)
      await client.adoptCatalog(deps.catalogId, known ?? undefined).catch((error) => {
        if ((error as { kind?: string }).kind !== 'conflict') tally.onUnheard(member, error);
      });
  deps.onRebuilt(replaced.filter((id) => id !== null));
  for (const [member, reason] of tally.unheard) yield { type: 'unheard', member, reason };
  yield {
    type: 'summary',
    ...{ buckets: settings.buckets.length, versions: tally.versions, accounts: settings.accounts.length },
    ...{ disagreements: tally.disagreements, unconfirmed: tally.unconfirmed, differences: 0, unexplained: 0 },
    unheard: [...tally.unheard.keys()],
    positions: [...tally.positions.values()],
  };
}

/** The catalogs that the nodes name. @throws {AdminError} where no member of a pair answers: what it keeps would be lost */
async function askAll(
  { clients, topology, catalogId }: RebuildDeps,
  tally: Tally,
): Promise<(string | null)[]> {
  const found = new Set<string | null>();
  await Promise.all(
    [...clients].map(async ([member, client]) => {
      try {
        const { catalog = null } = await client.status();
        if (catalog !== catalogId) found.add(catalog);
      } catch (error) {
        tally.onUnheard(member, error);
      }
    }),
  );
  const silent = [...topology.pairs.values()].filter(
    (pair) => pair.kind === 'node' && pair.members.every((member) => tally.unheard.has(member)),
  );
  if (silent.length > 0)
    throw new AdminError(
      'NotAllowed',
      `no member of ${silent.map(({ id }) => id).join(', ')} answers, and only they have what they keep: start them first`,
    );
  return [...found];
}

interface Settings {
  readonly buckets: DocumentOf<'bucket'>[];
  readonly accounts: DocumentOf<'account'>['account'][];
  readonly quotas: DocumentOf<'quota'>[];
  /** The highest change number of all, and the highest id of a bucket that is gone. */
  highest: number;
  buried: number;
}

/** Everything but the versions. */
async function readSettings({ clients }: RebuildDeps, tally: Tally, signal: AbortSignal): Promise<Settings> {
  const settings: Settings = { buckets: [], accounts: [], quotas: [], highest: 0, buried: 0 };
  for await (const { record } of mergeNames(clients, tally.onUnheard)) {
    signal.throwIfAborted();
    settings.highest = Math.max(settings.highest, record.change);
    settings.buried = Math.max(settings.buried, buriedBucket(record));
    if (isVersion(record)) continue;
    const document = documentOf(record);
    if (document?.kind === 'bucket') settings.buckets.push(document);
    else if (document?.kind === 'account') settings.accounts.push(document.account);
    else if (document?.kind === 'quota') settings.quotas.push(document);
    else if (document?.kind === 'position') tally.positions.set(document.pair, document);
  }
  for (const { bucket } of settings.buckets) settings.buried = Math.max(settings.buried, bucket.id);
  return settings;
}

async function restoreBuckets(
  { catalog, directories, root }: RebuildDeps,
  buckets: readonly DocumentOf<'bucket'>[],
): Promise<ReadonlyMap<number, PairId>> {
  const there = new Set(directories());
  const placed = buckets.map(({ bucket, directory }) => ({
    row: bucket,
    directory: there.has(directory) ? directory : root,
  }));
  await catalog.restoreBuckets(placed);
  return new Map(placed.map(({ row, directory }) => [row.id, directory]));
}

async function* restoreAccounts(
  { catalog }: RebuildDeps,
  accounts: Settings['accounts'],
): AsyncGenerator<RebuildLine, void> {
  for (const { email, tenant, ...account } of accounts) {
    if (account.isRoot) continue;
    const made = await catalog.createAccount({
      ...account,
      ...(email === undefined ? {} : { email }),
      ...(tenant === undefined ? {} : { tenant }),
    });
    if (made.outcome === 'unknown')
      throw new AdminError('OutcomeUnknown', 'the directory did not answer: run it again');
    const message = 'is back without its access keys: make new ones with `antipode key create`';
    yield { type: 'account', account: account.id, message };
  }
}

async function* restoreVersions(
  { catalog, clients, topology }: RebuildDeps,
  directoryOf: ReadonlyMap<number, PairId>,
  tally: Tally,
  signal: AbortSignal,
): AsyncGenerator<RebuildLine, void> {
  const waiting = new Map<PairId, { documents: string[]; characters: number }>();
  const write = async (pair: PairId) => {
    const { documents } = waiting.get(pair)!;
    waiting.delete(pair);
    await catalog.restoreVersions(pair, documents);
  };
  for await (const { record, holders, behind } of mergeNames(clients, tally.onUnheard)) {
    signal.throwIfAborted();
    if (behind.length > 0 || isAlone(topology, holders, tally)) tally.disagreements += 1;
    const document = isVersion(record) ? documentOf(record) : null;
    const directory = document?.kind === 'version' ? directoryOf.get(document.version.bucket_id) : undefined;
    // Versions of a bucket that is gone went before it.
    if (directory === undefined) continue;
    const batch = waiting.get(directory) ?? { documents: [], characters: 0 };
    waiting.set(directory, batch);
    batch.documents.push(record.body);
    batch.characters += record.body.length;
    if (batch.documents.length >= BATCH_VERSIONS || batch.characters >= BATCH_CHARACTERS)
      await write(directory);
    tally.versions += 1;
    if (tally.versions % PROGRESS_EVERY === 0)
      yield { type: 'progress', phase: 'versions', done: tally.versions };
  }
  for (const pair of [...waiting.keys()]) await write(pair);
  yield { type: 'progress', phase: 'versions', done: tally.versions };
}

/** A member has it and its twin, which was heard, does not. */
function isAlone(
  topology: Pick<Topology, 'pairs'>,
  holders: readonly MemberId[],
  { unheard }: Tally,
): boolean {
  return [...topology.pairs.values()].some(({ members }) => {
    const here = members.filter((member) => holders.includes(member));
    return here.length === 1 && members.every((member) => !unheard.has(member));
  });
}

async function restoreQuotas({ catalog }: RebuildDeps, quotas: Settings['quotas']): Promise<void> {
  const added = new Map<string, { bytes: number | null; objects: number | null }>();
  for (const { subject, bytes, objects } of quotas) {
    const sum = added.get(subject) ?? { bytes: null, objects: null };
    added.set(subject, {
      bytes: bytes === null ? sum.bytes : bytes + (sum.bytes ?? 0),
      objects: objects === null ? sum.objects : objects + (sum.objects ?? 0),
    });
  }
  for (const [subject, quota] of added) {
    const [kind, id] = [subject.slice(0, subject.indexOf('/')), subject.slice(subject.indexOf('/') + 1)];
    const set =
      kind === 'bucket'
        ? await catalog.setBucketQuota(Number(id) as BucketId, quota)
        : await catalog.setAccountQuota(id as DocumentOf<'account'>['account']['id'], quota);
    if (set.outcome === 'unknown')
      throw new AdminError('OutcomeUnknown', 'the directory did not answer: run it again');
  }
}
