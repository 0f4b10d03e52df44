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
  /**
   * In which reign of this server: one that lost its office and came back to it has another term, and nothing that was
   * asked in the former one counts any more. Absent: the server is always the primary.
   */
  readonly term?: number;
  /** Verify the server against these certificate authorities (PEM), by `serverName` or else by its host. Absent: no TLS. */
  readonly tls?: { readonly ca: string; readonly serverName?: string };
}

export interface DirectoryLocator {
  /** All directory pairs of the topology. */
  pairs(): readonly PairId[];
  /**
   * The one member that answers for the pair, or null while nobody is trusted to: at this very moment, so it is asked
   * again after each answer, which counts when the same server of the same term is still named. Cheap.
   */
  primary(pair: PairId): PostgresConnection | null;
}
