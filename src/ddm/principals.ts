/** Who owns buckets and signs requests, as the catalog keeps them. Types alone; catalog.ts hands them on. */
import type { AccountId } from '../base/ids.ts';

export interface Account {
  readonly id: AccountId;
  readonly displayName: string;
  readonly email?: string;
  readonly tenant?: string;
  /** The root account may do everything, in every bucket. */
  readonly isRoot: boolean;
}
export interface AccessKey {
  readonly accessKeyId: string;
  readonly account: Account;
  readonly status: 'active' | 'inactive';
  /** The secret, encrypted under the master key (identity/secret-box.ts): opaque here. */
  readonly sealedSecret: Buffer;
  readonly createdAt: Date;
}
