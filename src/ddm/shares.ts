/**
 * An account's quota over several directories (migrations/0028_account_shares.sql). Each directory holds the account's buckets
 * of its own to a share, in their commits, and the shares never add up to more than the quota. When a share is used up, the
 * shares are dealt anew: the one that needs room gets what it needs, the rest of the room is divided. A deal needs every
 * directory; where one does not answer, the refusal stands.
 */
import type { Clock } from '../base/clock.ts';
import type { AccountId, BucketId, PairId } from '../base/ids.ts';
import { CatalogUnavailable, type Quota, type QuotaChange } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Directory } from './directory.ts';
import type { Row } from './link.ts';
import { statement } from './statements.ts';

const FIND_BUCKET = statement('find-bucket');
const DEAL_QUOTA = statement('deal-quota');
const FIND_ACCOUNT_QUOTA = statement('find-account-quota');
const FIND_SHARE = statement('find-share');
const HOLD_SHARE = statement('hold-share');
const SET_SHARE = statement('set-share');

/** What an account that is full is told again without another look. */
const FULL_MS = 500;
const FULL_ACCOUNTS_MAX = 10_000;
/** Others may take the room that was made before it is used. */
const DEALS_MAX = 3;

export interface Amounts {
  readonly bytes: number;
  readonly objects: number;
}
interface Deal {
  readonly limits: Quota;
  /** Not yet used; negative where a quota has been set below what is in use. */
  readonly room: Quota;
}

export interface Shares {
  /** Before a bucket of the account comes to a directory: its share is there, so that the bucket counts. */
  prepare(account: AccountId, directory: Directory): Promise<void>;
  /** Sets the quota. @throws {CatalogUnavailable} when not everybody has it (yet): to be repeated */
  set(account: AccountId, change: QuotaChange): Promise<Quota>;
  /** Gives a directory room for this much; `some`: for less, which may do for an overwrite. */
  makeRoom(account: AccountId, pair: PairId, needed: Amounts): Promise<'enough' | 'some' | 'none'>;
}

/** The shares of `n` directories: what each uses, what `needy` needs more, and an equal part of what is left then. */
export function deal(limit: number | null, used: readonly number[], needy: number, needed: number) {
  if (limit === null) return used.map(() => null);
  const room = Math.max(0, limit - used.reduce((sum, one) => sum + one, 0));
  const first = needy < 0 ? 0 : Math.min(room, needed);
  const each = Math.floor((room - first) / used.length);
  const rest = room - first - each * used.length;
  const lucky = needy < 0 ? 0 : needy;
  return used.map((one, at) => one + each + (at === lucky ? first + rest : 0));
}

const minus = (limit: number | null, used: number) => (limit === null ? null : limit - used);
function roomFor({ bytes, objects }: Quota, needed: Amounts): 'enough' | 'some' | 'none' {
  const of = (room: number | null, wanted: number) => room === null || wanted <= room;
  if (of(bytes, needed.bytes) && of(objects, needed.objects)) return 'enough';
  return (bytes ?? 1) > 0 || (objects ?? 1) > 0 ? 'some' : 'none';
}

/** What a write into a bucket answers, once more when its account's share was used up and there was room elsewhere. */
export async function withRoom<T extends Row | 'unknown'>(
  directories: Directories,
  shares: Shares,
  bucketId: BucketId,
  directory: Directory,
  needed: Amounts,
  write: () => Promise<T>,
): Promise<T> {
  let said = await write();
  for (let deals = 1; deals <= DEALS_MAX && !directories.isAlone; deals++) {
    if (said === 'unknown' || said.reason !== 'over-quota') return said;
    const [bucket] = await directory.read(FIND_BUCKET, [bucketId]);
    if (!bucket) return said;
    const room = await shares.makeRoom(bucket.owner as AccountId, directory.pair, needed);
    if (room === 'none') return said;
    said = await write();
    if (room === 'some') return said;
  }
  return said;
}

export function openShares(directories: Directories, clock: Clock): Shares {
  const full = new Map<AccountId, { readonly at: number; readonly room: Quota }>();
  const dealing = new Map<AccountId, Promise<unknown>>();

  /** @throws {CatalogUnavailable} when somebody does not answer, or another deal has begun */
  const dealAnew = async (
    account: AccountId,
    change: QuotaChange,
    needy: PairId | null,
    needed: Amounts,
  ): Promise<Deal> => {
    // Whoever does not answer now would keep all others at what they use.
    const everyone = await directories.everyone();
    await Promise.all(everyone.map((directory) => directory.read(FIND_SHARE, [account])));
    const [dealt] = certain(await directories.root.write(DEAL_QUOTA, [account, JSON.stringify(change)])).rows;
    const { deal: number, ...limits } = dealt!.answer as Quota & { deal: number };
    const isLimited = limits.bytes !== null || limits.objects !== null;
    const used: Amounts[] = [];
    for (const directory of isLimited ? everyone : []) {
      const values = [account, number, JSON.stringify(limits)];
      const [held] = certain(await directory.write(HOLD_SHARE, values)).rows;
      const said = held!.answer as Amounts & { stale?: true };
      if (said.stale) throw new CatalogUnavailable('the shares of the quota are being dealt by another one');
      used.push({ bytes: Number(said.bytes), objects: Number(said.objects) });
    }
    const at = everyone.findIndex(({ pair }) => pair === needy);
    const bytesUsed = used.map(({ bytes }) => bytes);
    const objectsUsed = used.map(({ objects }) => objects);
    const bytes = deal(limits.bytes, bytesUsed, at, needed.bytes);
    const objects = deal(limits.objects, objectsUsed, at, needed.objects);
    for (const [index, directory] of everyone.entries()) {
      const share = { bytes: bytes[index] ?? null, objects: objects[index] ?? null };
      const [set] = certain(await directory.write(SET_SHARE, [account, number, JSON.stringify(share)])).rows;
      if (set?.answer !== true)
        throw new CatalogUnavailable('the shares of the quota are being dealt by another one');
    }
    const sum = (amounts: readonly number[]) => amounts.reduce((a, b) => a + b, 0);
    const room = {
      bytes: minus(limits.bytes, sum(bytesUsed)),
      objects: minus(limits.objects, sum(objectsUsed)),
    };
    return { limits, room };
  };

  /** One deal of an account at a time here; other gateways' are told apart by their numbers. */
  const inTurn = async <T>(account: AccountId, work: () => Promise<T>): Promise<T> => {
    const before = dealing.get(account) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => {});
    dealing.set(account, settled);
    try {
      return await mine;
    } finally {
      if (dealing.get(account) === settled) dealing.delete(account);
    }
  };

  return {
    async prepare(account, directory) {
      if (directories.isAlone) return;
      const [quota] = await directories.root.read(FIND_ACCOUNT_QUOTA, [account]);
      if (!quota || (await directory.read(FIND_SHARE, [account])).length > 0) return;
      await inTurn(account, () => dealAnew(account, {}, null, { bytes: 0, objects: 0 }));
    },

    async set(account, change) {
      full.delete(account);
      const { limits } = await inTurn(account, () =>
        dealAnew(account, change, null, { bytes: 0, objects: 0 }),
      );
      return { bytes: limits.bytes, objects: limits.objects };
    },

    async makeRoom(account, pair, needed) {
      const isKnownFull = () => {
        const known = full.get(account);
        return (
          known !== undefined &&
          clock.monotonic() - known.at < FULL_MS &&
          roomFor(known.room, needed) === 'none'
        );
      };
      if (isKnownFull()) return 'none';
      try {
        return await inTurn(account, async () => {
          if (isKnownFull()) return 'none';
          const [quota] = await directories.root.read(FIND_ACCOUNT_QUOTA, [account]);
          if (!quota) return 'none';
          const { room } = await dealAnew(account, {}, pair, needed);
          if (full.size >= FULL_ACCOUNTS_MAX) full.clear();
          full.set(account, { at: clock.monotonic(), room });
          return roomFor(room, needed);
        });
      } catch (error) {
        if (error instanceof CatalogUnavailable) return 'none';
        throw error;
      }
    },
  };
}
