/** `verify` over the admin API: the bucket by its name, and the audit's lines as they come. */
import type { Catalog } from '../ddm/catalog.ts';
import type { VerifyLine } from '../dosm/verify/report.ts';
import { type VerifyDeps, verify } from '../dosm/verify/verify.ts';
import { AdminError } from './admin-error.ts';

export type Verify = (
  order: { readonly bucket?: string | undefined; readonly deep: boolean },
  signal: AbortSignal,
) => AsyncGenerator<VerifyLine>;

export function createVerify(deps: VerifyDeps & { readonly catalog: Pick<Catalog, 'findBucket'> }): Verify {
  return async function* ({ bucket: name, deep }, signal) {
    const bucket = name === undefined ? undefined : await deps.catalog.findBucket(name);
    if (bucket === null) throw new AdminError('NotFound', `there is no bucket ${name}`);
    yield* verify(deps, { deep, signal, ...(bucket && { bucketId: bucket.id }) });
  };
}
