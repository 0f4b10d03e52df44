/**
 * Where the directories are at this moment. Whoever wires the store together implements DirectoryLocator from the
 * decider's word; it is asked again for every statement, so a connection to a member that is no longer the
 * primary is not used again.
 */
import type { PairId } from '../base/ids.ts';

export interface PostgresConnection {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Verify the server against this certificate authority (PEM). Absent: no TLS. */
  readonly tls?: { readonly ca: string };
}

export interface DirectoryLocator {
  /** All directory pairs of the topology. */
  pairs(): readonly PairId[];
  /** The one member that answers for the pair, or null while nobody is known to. */
  primary(pair: PairId): PostgresConnection | null;
}
