import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type LocateSources, locateObject } from '../../../src/admin/locate.ts';
import { systemClock } from '../../../src/base/clock.ts';
import type { BlobId, MemberId, PairId } from '../../../src/base/ids.ts';
import type {
  BlobRef,
  Bucket,
  BucketLocation,
  ManifestPart,
  NameStep,
  ObjectVersion,
  VersionContent,
} from '../../../src/ddm/catalog.ts';
import type { FindStep } from '../../../src/dosm/find.ts';
import { type InventoryEntry, NodeError } from '../../../src/nodes/protocol.ts';

const [a, b] = ['node-a11' as MemberId, 'node-b11' as MemberId];
const pair = 'node/11' as PairId;
const root = Buffer.alloc(32, 1);
const blob = (n: number): BlobRef => ({ id: String(n).padStart(32, '0') as BlobId, size: 10, root, pair });
const holds = (entry: Partial<InventoryEntry> | null) => ({
  stat: async () => (entry === null ? null : ({ size: 10, root, ...entry } as InventoryEntry)),
});

function sources(
  content: VersionContent,
  nodes: [MemberId, { stat: LocateStat }][],
  parts: ManifestPart[] = [],
) {
  const version = { key: 'k', versionId: 'null', size: 10, content } as ObjectVersion;
  const found: LocateSources = {
    catalog: {
      findBucket: async (name) => (name === 'b' ? BUCKET : null),
      locateBucket: async () => LOCATION,
      findVersion: async (_bucket, key) => (key === 'k' ? version : null),
      readManifest: async () => parts,
    },
    clients: new Map(nodes),
    topology: {
      centers: [],
      members: new Map(),
      pairs: new Map([[pair, { id: pair, kind: 'node', members: [a, b], weight: 1 }]]),
    },
    clock: systemClock,
    deadlineMs: 30,
  };
  return found;
}
const BUCKET = { id: 1, name: 'b', directory: 'directory/6' } as unknown as Bucket;
const NAME_STEP: NameStep = {
  ...{ step: 'twin-center', center: 'b', transport: 'multicast', answer: 'found', ms: 2 },
  ...{ asked: ['directory-b5', 'directory-b6'] as MemberId[], foundAt: ['directory-b6' as MemberId] },
  ...{ silent: [], leftOut: [] },
};
const LOCATION: BucketLocation = {
  ...{ computed: 'directory/5' as PairId, listed: 'unknown', outcome: 'found' },
  ...{ bucket: BUCKET, steps: [NAME_STEP] },
};
type LocateStat = (id: BlobId) => Promise<InventoryEntry | null>;

const statesOf = async (found: LocateSources) => {
  const report = await locateObject(found, { bucket: 'b', key: 'k' });
  return report!.blobs.map((each) => each.replicas.map((replica) => [replica.member, replica.state]));
};

const STEP: FindStep = {
  step: 'twin-center',
  center: 'b',
  transport: 'multicast',
  asked: [
    { member: b, state: 'has-not' },
    { member: 'node-b12' as MemberId, state: 'has' },
    { member: 'node-b13' as MemberId, state: 'left-out' },
  ],
  answers: [],
  answer: 'found',
  holders: ['node-b12' as MemberId],
  ms: 3,
};

describe('locateObject', () => {
  it('names home and twin, and what each says', async () => {
    const one = { kind: 'blob', blob: blob(1) } as const;
    const report = await locateObject(
      sources(one, [
        [a, holds({})],
        [b, holds({})],
      ]),
      { bucket: 'b', key: 'k' },
    );
    assert.deepEqual(report, {
      directory: {
        ...{ computed: 'directory/5', listed: 'unknown', pair: 'directory/6', search: [NAME_STEP] },
      },
      bucket: 'b',
      key: 'k',
      versionId: 'null',
      size: 10,
      truncated: false,
      blobs: [
        {
          id: blob(1).id,
          size: 10,
          map: { home: a, twin: b },
          replicas: [
            { member: a, state: 'present' },
            { member: b, state: 'present' },
          ],
          search: [],
        },
      ],
    });
  });

  it('tells missing, different, refused and silent replicas apart', async () => {
    const one = { kind: 'blob', blob: blob(1) } as const;
    const silent = { stat: () => new Promise<never>(() => {}) };
    const dead = {
      stat: async () => {
        throw new NodeError('unreachable', b, 'refused');
      },
    };
    const other = holds({ root: Buffer.alloc(32, 2) });
    assert.deepEqual(
      await statesOf(
        sources(one, [
          [a, holds(null)],
          [b, other],
        ]),
      ),
      [
        [
          [a, 'missing'],
          [b, 'different'],
        ],
      ],
    );
    assert.deepEqual(
      await statesOf(
        sources(one, [
          [a, silent],
          [b, dead],
        ]),
      ),
      [
        [
          [a, 'unreachable'],
          [b, 'unreachable'],
        ],
      ],
    );
    assert.deepEqual(await statesOf(sources(one, [])), [
      [
        [a, 'unreachable'],
        [b, 'unreachable'],
      ],
    ]);
  });

  it('searches where a replica of the map is missing, where none is there, and where it is told to', async () => {
    const c = 'node-b12' as MemberId;
    const lost = holds(null);
    const searchOf = async (
      nodes: [MemberId, { stat: LocateStat }][],
      ref: Partial<BlobRef>,
      search = false,
    ) => {
      const found = sources({ kind: 'blob', blob: { ...blob(1), ...ref } }, nodes);
      const finder = { trace: async () => ({ outcome: 'found' as const, members: [c], trace: [STEP] }) };
      const report = await locateObject({ ...found, finder }, { bucket: 'b', key: 'k', search });
      return report!.blobs[0]!;
    };
    const whole = await searchOf(
      [
        [a, holds({})],
        [b, holds({})],
      ],
      {},
    );
    assert.deepEqual(whole.search, []);
    const missing = await searchOf(
      [
        [a, holds({})],
        [b, lost],
      ],
      {},
    );
    assert.deepEqual(missing.search, [
      {
        step: 'twin-center',
        center: 'b',
        transport: 'multicast',
        asked: [b, c],
        answer: 'found',
        foundAt: [c],
        silent: [],
        leftOut: ['node-b13'],
        ms: 3,
      },
    ]);
    assert.equal((await searchOf([], {})).search.length, 1);
    assert.equal(
      (
        await searchOf(
          [
            [a, holds({})],
            [b, holds({})],
          ],
          {},
          true,
        )
      ).search.length,
      1,
    );
    const handedOff = await searchOf(
      [
        [a, lost],
        [b, holds({})],
        [c, holds({})],
      ],
      { absent: [a], offMap: [c] },
    );
    assert.deepEqual(handedOff.search, []);
    assert.deepEqual(handedOff.replicas, [
      { member: a, state: 'missing', absent: true },
      { member: b, state: 'present' },
      { member: c, state: 'present', offMap: true },
    ]);
  });

  it('follows manifests, passes over empty parts, and stops at a bound', async () => {
    const part = (n: number): ManifestPart => ({
      partNumber: n,
      offset: 0,
      size: 10,
      etag: '',
      blob: n === 2 ? null : blob(n),
    });
    const parts = Array.from({ length: 300 }, (_, i) => part(i + 1));
    const content = { kind: 'manifest', manifestId: 1, partCount: 300 } as const;
    const found = sources(
      content,
      [
        [a, holds({})],
        [b, holds({})],
      ],
      parts,
    );
    const report = (await locateObject(found, { bucket: 'b', key: 'k' }))!;
    assert.equal(report.blobs.length, 200);
    assert.equal(report.blobs[1]!.id, blob(3).id);
    assert.equal(report.truncated, true);
  });

  it('has nothing to show of an empty object, and null for what is not there', async () => {
    const found = sources({ kind: 'empty' }, []);
    assert.deepEqual((await locateObject(found, { bucket: 'b', key: 'k' }))!.blobs, []);
    assert.equal(await locateObject(found, { bucket: 'b', key: 'other' }), null);
    assert.equal(await locateObject(found, { bucket: 'other', key: 'k' }), null);
  });
});
