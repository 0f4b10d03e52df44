/** When writes into a bucket are acknowledged: one of its settings, changed by operators alone. In force within a second. */
import type { Catalog, Durability } from '../ddm/catalog.ts';
import { unknownOutcome } from './accounts.ts';
import { AdminError } from './admin-error.ts';

/** @throws {AdminError} NoSuchBucket, or OutcomeUnknown */
export async function setDurability(
  catalog: Pick<Catalog, 'findBucket' | 'setBucketSetting'>,
  name: string,
  durability: Durability,
): Promise<{ readonly durability: Durability }> {
  const missing = () => new AdminError('NoSuchBucket', `there is no bucket ${name}`);
  const bucket = await catalog.findBucket(name);
  if (!bucket) throw missing();
  const outcome = await catalog.setBucketSetting(bucket.id, 'durability', durability);
  if (outcome.outcome === 'done') return { durability };
  throw outcome.outcome === 'unknown' ? unknownOutcome() : missing();
}
