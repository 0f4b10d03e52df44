/** What the parts of the cluster's contract share: a catalog of its own for each test, which knows a small cluster. */
import type { BlobId, BucketId, Epoch, MemberId, PairId } from '../../src/base/ids.ts';
import type {
  BlobRef,
  Catalog,
  ConditionChange,
  NewBlobContent,
  OffMapReplica,
  Repair,
} from '../../src/ddm/catalog.ts';
import { buildTopology } from '../../src/twin/load.ts';
import type { Topology } from '../../src/twin/topology.ts';
import { blobOf, Kit, type MakeCatalog, mustBeDone } from './contract-kit.ts';

export const member = (id: string) => id as MemberId;
export const [A11, B11, A12, B12] = ['node-a11', 'node-b11', 'node-a12', 'node-b12'].map(member) as [
  MemberId,
  MemberId,
  MemberId,
  MemberId,
];
export const P11 = 'node/11' as PairId;
export const P12 = 'node/12' as PairId;
export const epoch = (n: number) => n as Epoch;

/** Two centers, each with nodes at `hosts`, and a pair of directories. */
export const clusterOf = (hosts: readonly number[] = [11, 12], weight?: number): Topology =>
  buildTopology({
    centers: [
      { name: 'a', subnets: ['10.1.0.0/24'] },
      { name: 'b', subnets: ['10.2.0.0/24'] },
    ],
    members: [1, 2].flatMap((net) => [
      { kind: 'directory' as const, address: `10.${net}.0.5`, port: 7432 },
      ...hosts.map((host) => ({
        ...{ kind: 'node' as const, address: `10.${net}.0.${host}`, port: 7100 },
        ...(weight !== undefined && { weight }),
      })),
    ]),
  });

export class ClusterKit extends Kit {
  change(subject: string, to: ConditionChange['to'], o: Partial<ConditionChange> = {}) {
    const [kind, center] = subject.split(' ');
    return this.catalog.changeCondition({
      subject: kind === 'center' ? { kind, center: center! } : { kind: 'member', member: member(subject) },
      ...{ to, why: `why ${to}`, decidedBy: 'tester', ...o },
    });
  }
  async changed(subject: string, to: ConditionChange['to'], o: Partial<ConditionChange> = {}) {
    return mustBeDone(await this.change(subject, to, o));
  }
  /** The states of all, those that serve left out. */
  async states(): Promise<Record<string, string>> {
    const { members, centers } = await this.catalog.readConditions();
    const all = [...members.values()].map((m) => [m.member as string, m.state] as const);
    const out = [...centers.values()].map((c) => [`center ${c.center}`, c.state] as const);
    return Object.fromEntries([...all, ...out].filter(([, state]) => state !== 'serving'));
  }
  async epochs(): Promise<(number | undefined)[]> {
    const { epoch, pairEpochs } = await this.catalog.readConditions();
    return [epoch, pairEpochs.get(P11), pairEpochs.get(P12)];
  }

  /** Puts a new blob under its own key. */
  async putBlob(bucketId: BucketId, o: Partial<BlobRef & NewBlobContent> = {}): Promise<BlobRef> {
    const { offMap, absent, pair = P11, epoch, lagging } = o;
    const blob = { ...blobOf(3), pair, ...(offMap && { offMap }), ...(absent && { absent }) };
    const content = { kind: 'blob', blob, intentAt: Date.now() } as const;
    await this.put(bucketId, blob.id, {
      content: { ...content, ...(epoch !== undefined && { epoch }), ...(lagging && { lagging }) },
    });
    return blob;
  }
  async blobNow(bucketId: BucketId, blob: BlobRef): Promise<BlobRef | null> {
    const version = await this.catalog.findVersion(bucketId, blob.id);
    return version?.content.kind === 'blob' ? version.content.blob : null;
  }
  /** Adds repairs of one member. */
  miss(lacking: MemberId, blobs: readonly BlobRef[], reason: Repair['reason'] = 'missing') {
    return this.catalog.addRepairs(
      blobs.map(({ id }) => ({ blobId: id, member: lacking, reason, foundBy: 'test' })),
    );
  }
  /** `member:reason` of each, in the blobs' order. */
  async repairs(): Promise<string[]> {
    return (await this.catalog.listRepairs({ max: 100 })).map((r) => `${r.member}:${r.reason}`);
  }
}

export const idsOf = (blobs: readonly { readonly id: BlobId }[]): BlobId[] =>
  blobs.map((blob) => blob.id).sort();
export const replicaOf = (blob: BlobRef, holder: MemberId): OffMapReplica => ({
  blobId: blob.id,
  member: holder,
});

export type WithCatalog = (run: (k: ClusterKit, catalog: Catalog) => Promise<void>) => () => Promise<void>;

/** A test body with a fresh catalog that knows the cluster. */
export const freshCatalog =
  (make: MakeCatalog): WithCatalog =>
  (run) =>
  async () => {
    const { catalog, close } = await make();
    try {
      await catalog.registerTopology(clusterOf());
      await run(new ClusterKit(catalog), catalog);
    } finally {
      await close();
    }
  };
