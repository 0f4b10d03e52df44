/**
 * Where an object is: which directory pair has its bucket, and where its bytes are: what the catalog's row says (the map, and what is recorded off it), what each of
 * those nodes says when it is asked now, and, where a replica of the map is missing, what a search finds. Never fails
 * because a node is down: its answer is then `unreachable`.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { BlobRef, Bucket, Catalog, ObjectVersion } from '../ddm/catalog.ts';
import type { FindStep, NodeFinder } from '../dosm/find.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import type { Topology } from '../twin/topology.ts';
import type { BlobReport, LocateReport, ReplicaReport, SearchReport } from './api.ts';

export interface LocateSources {
  readonly catalog: Pick<Catalog, 'findBucket' | 'locateBucket' | 'findVersion' | 'readManifest'>;
  readonly clients: ReadonlyMap<MemberId, Pick<NodeClient, 'stat'>>;
  readonly topology: Topology;
  readonly clock: Clock;
  /** Absent: nothing is searched. */
  readonly finder?: Pick<NodeFinder, 'trace'>;
  readonly deadlineMs?: number;
}

export interface LocateQuery {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string;
  /** Also where the map is complete. */
  readonly search?: boolean;
}

/** An object of 10,000 parts names 10,000 blobs; the report stops here and says so. */
const BLOBS_MAX = 200;
const BLOBS_AT_ONCE = 8;
const DEADLINE_MS = 2_000;

/** null: there is no such bucket or object. */
export async function locateObject(sources: LocateSources, query: LocateQuery): Promise<LocateReport | null> {
  const bucket = await sources.catalog.findBucket(query.bucket);
  const version = bucket && (await sources.catalog.findVersion(bucket.id, query.key, query.versionId));
  if (!bucket || !version) return null;
  const search = query.search ?? false;
  const { computed, listed, steps } = await sources.catalog.locateBucket(query.bucket, { search });
  const directory = { computed, listed, pair: bucket.directory, search: steps };
  const refs = await blobsOf(sources.catalog, bucket, version);
  const blobs: BlobReport[] = [];
  for (let i = 0; i < Math.min(refs.length, BLOBS_MAX); i += BLOBS_AT_ONCE) {
    const batch = refs.slice(i, Math.min(i + BLOBS_AT_ONCE, BLOBS_MAX));
    blobs.push(...(await Promise.all(batch.map((blob) => describeBlob(sources, blob, search)))));
  }
  const { key, versionId, size } = version;
  return { directory, bucket: bucket.name, key, versionId, size, blobs, truncated: refs.length > BLOBS_MAX };
}

async function blobsOf(
  catalog: LocateSources['catalog'],
  bucket: Bucket,
  { content }: ObjectVersion,
): Promise<readonly BlobRef[]> {
  switch (content.kind) {
    case 'empty':
      return [];
    case 'blob':
      return [content.blob];
    case 'manifest': {
      const parts = await catalog.readManifest(bucket.id, content.manifestId);
      return parts.flatMap((part) => (part.blob ? [part.blob] : []));
    }
  }
}

async function describeBlob(
  sources: LocateSources,
  blob: BlobRef,
  alwaysSearch: boolean,
): Promise<BlobReport> {
  const { topology, finder } = sources;
  const [home, twin] = topology.pairs.get(blob.pair)?.members ?? [null, null];
  const onMap = [home, twin].filter((id) => id !== null);
  const offMap = (blob.offMap ?? []).filter((id) => !onMap.includes(id));
  const replicas = await Promise.all(
    [...onMap, ...offMap].map(
      async (member): Promise<ReplicaReport> => ({
        member,
        ...(await askReplica(sources, member, blob)),
        ...(blob.absent?.includes(member) ? { absent: true } : {}),
        ...(onMap.includes(member) ? {} : { offMap: true }),
      }),
    ),
  );
  const isWanted = alwaysSearch || isIncomplete(replicas);
  const search = finder && isWanted ? (await finder.trace(blob)).trace.map(describeStep) : [];
  return { id: blob.id, size: blob.size, map: { home, twin }, replicas, search };
}

/** A replica of the map is missing and nobody stands for it, or none is to be had at all. */
function isIncomplete(replicas: readonly ReplicaReport[]): boolean {
  const isGone = ({ state, absent, offMap }: ReplicaReport): boolean =>
    (state === 'missing' || state === 'different') && !absent && !offMap;
  return replicas.some(isGone) || !replicas.some(({ state }) => state === 'present');
}

function describeStep({ step, center, transport, asked, answer, holders, ms }: FindStep): SearchReport {
  const inState = (wanted: string) =>
    asked.filter(({ state }) => state === wanted).map(({ member }) => member);
  const leftOut = inState('left-out');
  return {
    step,
    center,
    transport,
    asked: asked.map(({ member }) => member).filter((member) => !leftOut.includes(member)),
    answer,
    foundAt: holders,
    silent: inState('silent'),
    leftOut,
    ms,
  };
}

async function askReplica(
  { clients, clock, deadlineMs = DEADLINE_MS }: LocateSources,
  member: MemberId,
  blob: BlobRef,
): Promise<Omit<ReplicaReport, 'member'>> {
  const client = clients.get(member);
  if (!client) return { state: 'unreachable', reason: 'this gateway has no connection to it' };
  try {
    const entry = await within(clock, deadlineMs, client.stat(blob.id));
    if (!entry) return { state: 'missing' };
    const same = entry.size === blob.size && entry.root.equals(blob.root);
    return same
      ? { state: 'present' }
      : { state: 'different', reason: 'its digest is not the one of the catalog' };
  } catch (error) {
    return { state: 'unreachable', reason: (error as Error).message };
  }
}
