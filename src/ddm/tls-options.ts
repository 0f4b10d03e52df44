/** How a connection to a directory is encrypted: the server's certificate and its name are always verified. */
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { PostgresConnection } from './locator.ts';

/** For pg.Client. Without a name of its own the certificate must be for the host that is connected to. */
export function tlsOptions({ tls }: Pick<PostgresConnection, 'tls'>): { readonly ssl?: object } {
  if (!tls) return {};
  const { ca, serverName } = tls;
  if (serverName === undefined) return { ssl: { ca, rejectUnauthorized: true } };
  const verify = (_host: string, certificate: PeerCertificate) =>
    checkServerIdentity(serverName, certificate);
  return { ssl: { ca, rejectUnauthorized: true, checkServerIdentity: verify } };
}
