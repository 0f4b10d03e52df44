/** Owners as S3 shows them: id and display name. Names are looked up once per answer; an account that is gone keeps its id. */
import type { AccountId } from '../base/ids.ts';
import type { Bucket, Catalog } from '../ddm/catalog.ts';
import { aclsCount } from './acl/ownership.ts';
import { tag, wrap } from './xml.ts';

/** Things of a bucket with the owners that they have: with BucketOwnerEnforced all of them the bucket's. */
export const withOwners = <T extends { readonly owner: AccountId }>(
  bucket: Bucket,
  things: readonly T[],
): readonly T[] => (aclsCount(bucket) ? things : things.map((thing) => ({ ...thing, owner: bucket.owner })));

export type Owners = ReadonlyMap<AccountId, string>;

export async function loadOwners(catalog: Catalog, ids: Iterable<AccountId>): Promise<Owners> {
  const owners = new Map<AccountId, string>();
  for (const id of new Set(ids)) owners.set(id, (await catalog.findAccount(id))?.displayName ?? id);
  return owners;
}

export const ownerXml = (element: string, id: AccountId, owners: Owners): string =>
  wrap(element, tag('ID', id) + tag('DisplayName', owners.get(id) ?? id));
