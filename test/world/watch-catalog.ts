/**
 * Stands before the model catalog and sees everything that takes effect there, in its order: notes it in the trace, tells
 * the book of commits, and checks what must be so at that very moment.
 */
import type { BlobId, MemberId } from '../../src/base/ids.ts';
import type { Catalog, ConditionChange, DeleteVersion, PutVersion } from '../../src/ddm/catalog.ts';
import { Violation } from './book.ts';
import type { SimNode } from './sim-node.ts';
import type { SimWorld } from './sim-world.ts';

type Ask = (...args: unknown[]) => Promise<unknown>;
type Answer = { outcome: string; reason?: string; value?: unknown };

export function watchCatalog(model: Catalog, world: SimWorld): Catalog {
  const watchers: Record<string, (ask: Ask) => Ask> = {
    putVersion: (ask) => async (given) => {
      const put = given as PutVersion;
      const answer = (await ask(put)) as Answer;
      world.trace.note(`commit-${answer.reason ?? answer.outcome}`, `${put.key} ${put.etag}`);
      if (answer.outcome !== 'done') return answer;
      world.book.committed(put.bucketId, put.key, { etag: put.etag, writeId: put.writeId });
      if (put.content.kind === 'blob') {
        const { blob } = put.content;
        const { members } = await world.model.readConditions();
        const pair = world.topology.pairs.get(blob.pair)!;
        const isServing = (member: MemberId) => members.get(member)!.state === 'serving';
        world.book.checkCopies(put.content, pair.members, isServing);
      }
      return answer;
    },
    deleteVersion: (ask) => async (given) => {
      const del = given as DeleteVersion;
      const answer = (await ask(del)) as Answer;
      const existed = answer.outcome === 'done' && (answer.value as { existed: boolean }).existed;
      world.trace.note(`delete-${answer.outcome}`, `${del.key} ${existed}`);
      if (existed) world.book.committed(del.bucketId, del.key, { etag: null, writeId: del.writeId });
      return answer;
    },
    finishRepairs: (ask) => async (given) => {
      const repaired = given as readonly { blobId: BlobId; member: MemberId }[];
      for (const { blobId, member } of repaired) {
        world.trace.note('repairs-finished', `${member} ${blobId}`);
        if (!world.book.wasHeld(member, blobId))
          throw new Violation(`the repair of ${blobId} on ${member} is finished, and it never had it`);
      }
      return await ask(given);
    },
    changeCondition: (ask) => async (given) => {
      const change = given as ConditionChange;
      const answer = (await ask(change)) as Answer;
      const subject = 'member' in change.subject ? change.subject.member : `center ${change.subject.center}`;
      world.trace.note(
        `${answer.outcome === 'done' ? 'condition' : 'no-condition'}-${change.to}`,
        `${subject} by ${change.decidedBy}: ${change.why} ${answer.reason ?? ''}`,
      );
      world.recorded = await world.model.readConditions();
      if (answer.outcome === 'done') await checkPairs(world);
      return answer;
    },
  };
  /** Whoever asked may take a violation for a failure of the catalog: the world is told itself. */
  const guarded =
    (ask: Ask): Ask =>
    async (...args) => {
      try {
        return await ask(...args);
      } catch (error) {
        if (error instanceof Violation) world.fail(error);
        throw error;
      }
    };
  const watched = new Map<string, unknown>();
  return new Proxy(model, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      const watch = typeof name === 'string' ? watchers[name] : undefined;
      if (!watch || typeof value !== 'function')
        return typeof value === 'function' ? value.bind(target) : value;
      if (!watched.has(name as string))
        watched.set(name as string, guarded(watch(value.bind(target) as Ask)));
      return watched.get(name as string);
    },
  });
}

/** One member of every pair serves, by the record. */
async function checkPairs(world: SimWorld): Promise<void> {
  const { members } = await world.model.readConditions();
  for (const pair of world.topology.pairs.values())
    if (pair.members.every((member) => members.get(member)!.state !== 'serving'))
      throw new Violation(`nobody of ${pair.id} serves, by the record`);
}

/** A copy of a live blob goes only when it is one too many: both members of the pair have had theirs. */
export async function checkRemoved(world: SimWorld, from: SimNode, id: BlobId): Promise<void> {
  const [blob] = await world.model.findBlobs([id]);
  if (!blob) return;
  const pair = world.topology.pairs.get(blob.pair)!.members;
  if (pair.includes(from.member)) throw new Violation(`${from.member} gave up ${id}, which a row names`);
  const without = pair.filter((member) => !world.book.wasHeld(member, id));
  if (without.length > 0)
    throw new Violation(
      `${from.member} gave up its handoff of ${id}, which ${without.join(' and ')} never had`,
    );
}

/** Whoever begins to serve has what rows promise on it, or the lack is listed. */
export async function checkAdmitted(world: SimWorld, node: SimNode): Promise<void> {
  const { model, topology } = world;
  const { member } = node;
  const { id: pair } = [...topology.pairs.values()].find(({ members }) => members.includes(member))!;
  const listed = new Set((await model.listRepairs({ member, max: 100_000 })).map(({ blob }) => blob.id));
  for (const { id, absent = [] } of await model.listBlobs({ pair, max: 100_000 })) {
    if (node.blobs.has(id) || absent.includes(member) || listed.has(id)) continue;
    throw new Violation(`${member} begins to serve without ${id}, and no repair says so`);
  }
}
