/**
 * Bugs put in on purpose, to see that the schedules find them. None is in the product: each stands between a gateway (or
 * a node) and what it depends on, and makes the whole behave as if the product had that bug. `kinds` and `incidentsMax`
 * choose the storms in which it matters, so that a few seeds find it for certain.
 */

import type { BlobId, Epoch } from '../../src/base/ids.ts';
import type { Catalog, PutVersion, Repair } from '../../src/ddm/catalog.ts';
import { type BlobReader, NodeError, type PullRequest } from '../../src/nodes/protocol.ts';
import { type Conditions, FIRST_EPOCH } from '../../src/twin/condition.ts';
import type { OutageOptions } from './outage.ts';
import { type Mutate, UNCHANGED } from './sim-gateway.ts';
import type { SimNode } from './sim-node.ts';
import type { WireClient } from './wire-client.ts';

export interface Bug {
  readonly name: string;
  /** What the violation that finds it says. */
  readonly foundAs: RegExp;
  readonly options: OutageOptions;
}

/** The same object, but for these methods. */
function changed<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get: (from, name) => {
      if (name in methods) return Reflect.get(methods, name);
      const value: unknown = Reflect.get(from, name);
      return typeof value === 'function' ? value.bind(from) : value;
    },
  });
}

export const mutate = (part: Partial<Mutate>): Mutate => ({ ...UNCHANGED, ...part });
export const ofCatalog = (methods: (catalog: Catalog) => Partial<Catalog>): Mutate =>
  mutate({ catalog: (catalog) => changed(catalog, methods(catalog)) });
const ofClient = (methods: (client: WireClient) => Partial<WireClient>): Mutate =>
  mutate({ client: (client) => changed(client, methods(client)) });

const withContent = (
  put: PutVersion,
  change: (content: Extract<PutVersion['content'], { kind: 'blob' }>) => PutVersion['content'],
): PutVersion => (put.content.kind === 'blob' ? { ...put, content: change(put.content) } : put);
const withoutEpoch = (put: PutVersion): PutVersion => withContent(put, ({ epoch: _, ...content }) => content);

/** Everybody is at the first epoch, for ever. */
const flat = (conditions: Conditions): Conditions => ({
  ...conditions,
  pairEpochs: new Map([...conditions.pairEpochs.keys()].map((pair) => [pair, FIRST_EPOCH as Epoch])),
});

function turned(chunk: Buffer | null): Buffer | null {
  if (!chunk) return null;
  const other = Buffer.from(chunk);
  other[0]! ^= 1;
  return other;
}

/** A reader that hands on what does not verify, as it lies on the disk. */
async function unverified(
  client: WireClient,
  node: SimNode,
  args: Parameters<WireClient['read']>,
): Promise<BlobReader> {
  const reader = await client.read(...args);
  const [id, , range] = args;
  let at = range.firstChunk;
  return {
    next: async () => {
      try {
        const chunk = at <= range.lastChunk ? await reader.next() : null;
        at += 1;
        return chunk;
      } catch (error) {
        const chunk = node.blobs.get(id)?.chunks[at];
        if (!(error instanceof NodeError) || error.kind === 'unreachable' || !chunk) throw error;
        at += 1;
        return turned(chunk);
      }
    },
    close: () => reader.close(),
  };
}

export const BUGS: readonly Bug[] = [
  {
    name: 'the commit accepts old epochs',
    foundAs: /which is in failover/,
    options: {
      mutate: ofCatalog((catalog) => ({ putVersion: (put) => catalog.putVersion(withoutEpoch(put)) })),
      kinds: ['operator', 'stopGateway', 'cutCatalog'],
      incidentsMax: 14,
    },
  },
  {
    name: 'a change of condition raises no epoch',
    foundAs: /which is in failover|is resyncing/,
    options: {
      mutate: ofCatalog((catalog) => ({
        readConditions: async () => flat(await catalog.readConditions()),
        changeCondition: async ({ expectedEpoch: _, ...change }) => {
          const outcome = await catalog.changeCondition(change);
          return outcome.outcome === 'done' ? { ...outcome, value: flat(outcome.value) } : outcome;
        },
        putVersion: (put) => catalog.putVersion(withoutEpoch(put)),
      })),
      kinds: ['operator', 'stopGateway', 'cutCatalog'],
      incidentsMax: 14,
    },
  },
  {
    name: 'the commit does not record the handoff',
    foundAs: /never was durable on/,
    options: {
      mutate: ofCatalog((catalog) => ({
        putVersion: (put) =>
          catalog.putVersion(
            withContent(put, (content) => {
              const { offMap: _, absent: __, ...blob } = content.blob;
              return { ...content, blob };
            }),
          ),
      })),
      kinds: ['killNode', 'operator'],
    },
  },
  {
    name: 'a handoff is dropped before its home has the blob',
    foundAs: /gave up its handoff/,
    options: {
      mutate: mutate({
        catalog: (catalog, gateway) =>
          changed(catalog, {
            takeRepairs: async (query) => {
              const taken: readonly Repair[] = await catalog.takeRepairs(query);
              for (const { blob } of taken)
                for (const holder of blob.offMap ?? [])
                  await gateway.place.nodes.get(holder)!.core.drop([blob.id]);
              return taken;
            },
          }),
      }),
      kinds: ['killNode', 'operator'],
    },
  },
  {
    name: 'reclaim takes silence for a confirmation',
    foundAs: /which no row names/,
    options: {
      mutate: ofClient((client) => ({ drop: (ids) => client.drop(ids).catch(() => {}) })),
      kinds: ['stopNode', 'cutNode', 'packetLoss'],
      incidentsMax: 14,
    },
  },
  {
    name: 'the resync drops nothing that was deleted',
    foundAs: /which no row names/,
    options: {
      mutate: mutate({
        client: (client, gateway) =>
          changed(client, {
            drop: async (ids) => {
              const state = gateway.running?.view.stateOf(client.member);
              if (state === 'serving') await client.drop(ids);
            },
          }),
        // Reclaim waits for whom it cannot reach; here it does not wait.
        catalog: (catalog, gateway) =>
          changed(catalog, {
            takeDyingBlobs: async (max, graceMs) => {
              const taken = await catalog.takeDyingBlobs(max, graceMs);
              const isOut = ({ state }: { state: string }) => state !== 'serving';
              const out = [...(gateway.running?.view.current().members.values() ?? [])].filter(isOut);
              if (out.length > 0) await catalog.forgetBlobs(taken.map(({ blob }) => blob.id));
              return taken;
            },
          }),
      }),
      kinds: ['killNode', 'operator', 'killCenter'],
      incidentsMax: 8,
    },
  },
  {
    name: 'a pull does not verify what it copies',
    foundAs: /keeps other bytes as|wrong bytes of/,
    options: {
      mutate: mutate({
        // A byte turns on the line, and nobody looks.
        peer: (client) =>
          changed(client, {
            read: async (...args) => {
              const reader = await client.read(...args);
              const next = async () => turned(await reader.next());
              return { next, close: () => reader.close() };
            },
          }),
      }),
      kinds: ['killNode', 'operator'],
    },
  },
  {
    name: 'a read hands on bytes that do not verify',
    foundAs: /wrong bytes of/,
    options: {
      mutate: mutate({
        client: (client, gateway) =>
          changed(client, {
            read: (...args) => unverified(client, gateway.place.nodes.get(client.member)!, args),
          }),
      }),
      kinds: ['rot'],
    },
  },
  {
    name: 'reads go to members in failover',
    foundAs: /sends a read to .* which it knows to be failed-over/,
    options: {
      mutate: mutate({
        dosm: (gateway) => {
          const { view } = gateway.booting!;
          return { conditions: changed(view, { stateOf: () => 'serving' as const }) };
        },
      }),
      kinds: ['operator'],
      isReadOnly: true,
    },
  },
  {
    name: 'a repair is finished without a durable pull',
    foundAs: /never had it/,
    options: {
      mutate: ofClient(() => ({
        pull: async ({ blobs }: PullRequest) => blobs.map(({ id }) => ({ id, outcome: 'pulled' as const })),
      })),
      kinds: ['killNode', 'operator'],
    },
  },
  {
    name: 'both members of a pair are declared',
    foundAs: /nobody of .* serves/,
    options: {
      mutate: ofCatalog((catalog) => ({
        changeCondition: ({ expectedEpoch: _, ...change }) =>
          catalog.changeCondition({ ...change, force: true }),
      })),
      kinds: ['splitView'],
    },
  },
  {
    name: 'a member is admitted with another disk',
    foundAs: /begins to serve without/,
    options: {
      mutate: mutate({
        client: (client, gateway) => {
          const recorded = () =>
            gateway.running?.view.current().members.get(client.member)?.storeId ?? undefined;
          const lie = <T extends object>(status: T): T => ({ ...status, storeId: recorded() });
          return changed(client, {
            status: async () => lie(await client.status()),
            setCondition: async (condition) => lie(await client.setCondition(condition)),
          });
        },
      }),
      kinds: ['loseDisk'],
      incidentsMax: 8,
    },
  },
  {
    name: 'the reaper takes handoffs for orphans',
    foundAs: /gave up/,
    options: {
      mutate: mutate({
        client: (client, gateway) => {
          const { blobs } = gateway.place.nodes.get(client.member)!;
          const isHome = (id: BlobId) => blobs.get(id)?.intent.handoffFor === undefined;
          return changed(client, {
            confirm: (ids) => client.confirm(ids.filter(isHome)),
            pending: (query) => client.pending({ ...query, before: Number.POSITIVE_INFINITY }),
          });
        },
        catalog: (catalog) =>
          changed(catalog, {
            knownBlobs: async (ids: readonly BlobId[]) => {
              const known = new Set(await catalog.knownBlobs(ids));
              for (const blob of await catalog.findBlobs(ids)) if (blob.offMap?.length) known.delete(blob.id);
              return known;
            },
          }),
      }),
      kinds: ['operator', 'killNode'],
      incidentsMax: 8,
    },
  },
  {
    name: 'the resync sees no difference',
    foundAs: /begins to serve without/,
    options: {
      mutate: ofClient(() => ({ digests: async () => [] })),
      kinds: ['loseDisk'],
      incidentsMax: 8,
    },
  },
  {
    name: 'nobody waits until the bytes are durable',
    foundAs: /never was durable on/,
    options: {
      mutate: ofClient((client) => ({
        write: async (...args) => {
          const writer = await client.write(...args);
          return {
            write: (chunk, digest) => writer.write(chunk, digest),
            finish: async (root) => void writer.finish(root).catch(() => {}),
            abort: (reason) => writer.abort(reason),
          };
        },
      })),
      kinds: ['killNode', 'cutNode'],
    },
  },
];
