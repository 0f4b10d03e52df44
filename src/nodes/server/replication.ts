/**
 * What other members ask of a node for the sake of its replicas: copy blobs from elsewhere, compare, verify, give up,
 * list damage, scrub. Control requests: answered in every state, without an epoch.
 */
import type { BlobStore } from '../blob-store/blob-store.ts';
import { verifyBlob } from '../blob-store/verify-blob.ts';
import {
  CHECKS_MAX,
  catalogFromJson,
  conditionFromJson,
  digestToJson,
  PULL_BYTES_MAX,
  pullFromJson,
  pullResultToJson,
  scrubCommandFromJson,
} from '../control-codec.ts';
import type { Damage } from '../protocol.ts';
import { adopt, assertOurs } from './catalog.ts';
import { type ControlContext, pageOf, prefixOf, status, takeIds, takeJson } from './control.ts';
import { answerJson, type Exchange, Refused } from './exchange.ts';
import { answerWithProgress, type Work } from './progress.ts';

export async function setCondition(x: Exchange, context: ControlContext): Promise<void> {
  await context.condition.set(await takeJson(x, conditionFromJson));
  await status(x, context);
}

export async function pullBlobs(x: Exchange, { clock, puller }: ControlContext): Promise<void> {
  const request = await takeJson(x, pullFromJson, PULL_BYTES_MAX);
  await answerWithProgress(x, clock, async (work) => {
    const results = await puller.pull(request, work);
    return results.map(pullResultToJson);
  });
}

export function listDigests(x: Exchange, store: BlobStore): void {
  const { prefix } = prefixOf(x);
  if (prefix?.length === 4) throw new Refused('protocol', 'there are no ranges below two bytes');
  answerJson(x, store.digests(prefix).map(digestToJson));
}

export async function dropBlobs(x: Exchange, store: BlobStore): Promise<void> {
  assertOurs(x, store);
  await store.remove(await takeIds(x));
  answerJson(x, {});
}

export async function checkBlobs(x: Exchange, { clock, store }: ControlContext): Promise<void> {
  const ids = await takeIds(x);
  if (ids.length > CHECKS_MAX) throw new Refused('protocol', `at most ${CHECKS_MAX} blobs at once`);
  await answerWithProgress(x, clock, async (work) => {
    const found: Damage[] = [];
    for (const id of ids) {
      const kind = await checkOne(store, id, work);
      if (kind) found.push({ id, kind, foundAt: clock.now() });
    }
    return found;
  });
}

async function checkOne(store: BlobStore, id: Damage['id'], work: Work): Promise<Damage['kind'] | null> {
  const entry = store.stat(id);
  if (!entry) {
    await store.report(id, 'missing'); // if the index names it, that is
    return 'missing';
  }
  const verdict = await verifyBlob(store, entry, async () => {
    work.signal.throwIfAborted();
    work.advanced();
  });
  if (verdict === 'sound') return null;
  if (verdict === 'removed') return 'missing';
  await store.report(id, verdict);
  return verdict;
}

export async function adoptCatalog(x: Exchange, store: BlobStore): Promise<void> {
  await adopt(store.notes, await takeJson(x, catalogFromJson));
  answerJson(x, {});
}

export function listDamage(x: Exchange, store: BlobStore): void {
  answerJson(x, store.notes.damage(pageOf(x)));
}

export async function forgetDamage(x: Exchange, store: BlobStore): Promise<void> {
  await store.notes.forgetDamage(await takeIds(x));
  answerJson(x, {});
}

export async function commandScrub(x: Exchange, { scrub }: ControlContext): Promise<void> {
  answerJson(x, scrub.command(await takeJson(x, scrubCommandFromJson)));
}
