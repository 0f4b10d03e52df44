/** What tests open a catalog on Postgres with. */
import pino from 'pino';
import type { PairId } from '../../src/base/ids.ts';
import type { DirectoryLocator, PostgresConnection } from '../../src/ddm/locator.ts';

export const ROOT = 'directory/5' as PairId;
export const quiet = pino({ level: 'silent' });

/** One pair, whose primary is always the same; or whatever `primary` says now. */
export const locatorOf = (
  primary: PostgresConnection | (() => PostgresConnection | null),
): DirectoryLocator => ({
  pairs: () => [ROOT],
  primary: () => (typeof primary === 'function' ? primary() : primary),
});
