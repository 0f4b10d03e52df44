/** Quotas and usage: what the admin API does with them. */
import type { AccountId } from '../base/ids.ts';
import type { Catalog, Outcome, Quota, QuotaChange } from '../ddm/catalog.ts';
import { unknownOutcome } from './accounts.ts';
import { AdminError } from './admin-error.ts';
import type { QuotaReport, UsagePage } from './api.ts';

export interface UsageQuery {
  readonly bucket?: string | undefined;
  readonly user?: string | undefined;
  readonly after: string;
  readonly max: number;
}
/** As it comes out of the schema: what is not there may be undefined. */
type Change = { readonly [K in keyof Quota]?: Quota[K] | undefined };

export interface UsageService {
  usage(query: UsageQuery): Promise<UsagePage>;
  setBucketQuota(name: string, change: Change): Promise<QuotaReport>;
  setUserQuota(id: string, change: Change): Promise<QuotaReport>;
}

const changeOf = ({ bytes, objects }: Change): QuotaChange => ({
  ...(bytes === undefined ? {} : { bytes }),
  ...(objects === undefined ? {} : { objects }),
});
const noBucket = (name: string) => new AdminError('NoSuchBucket', `there is no bucket ${name}`);
const noUser = (id: string) => new AdminError('NoSuchUser', `there is no user ${id}`);

function settle(outcome: Outcome<Quota, string>, missing: AdminError): QuotaReport {
  if (outcome.outcome === 'done') return outcome.value;
  throw outcome.outcome === 'unknown' ? unknownOutcome() : missing;
}

export function createUsageService(catalog: Catalog): UsageService {
  const usersOf = async (user: string | undefined): Promise<UsagePage['users']> =>
    (await catalog.listAccountUsage(user as AccountId | undefined)).map(({ account, ...usage }) => ({
      user: account,
      ...usage,
    }));

  async function ofUser(user: string): Promise<UsagePage['users']> {
    const found = await usersOf(user);
    if (found.length > 0) return found;
    if (!(await catalog.findAccount(user as AccountId))) throw noUser(user);
    const nothing = { objects: 0, bytes: 0, uploadBytes: 0, quota: { bytes: null, objects: null } };
    return [{ user, buckets: 0, ...nothing }];
  }

  return {
    async usage({ bucket, user, after, max }) {
      const page = await catalog.listBucketUsage({
        ...{ after, max },
        ...(bucket === undefined ? {} : { name: bucket }),
        ...(user === undefined ? {} : { owner: user as AccountId }),
      });
      if (bucket !== undefined && page.buckets.length === 0) throw noBucket(bucket);
      if (bucket !== undefined) return { users: [], ...page };
      return { users: user === undefined ? await usersOf(undefined) : await ofUser(user), ...page };
    },

    async setBucketQuota(name, change) {
      const bucket = await catalog.findBucket(name);
      if (!bucket) throw noBucket(name);
      return settle(await catalog.setBucketQuota(bucket.id, changeOf(change)), noBucket(name));
    },

    async setUserQuota(id, change) {
      return settle(await catalog.setAccountQuota(id as AccountId, changeOf(change)), noUser(id));
    },
  };
}
