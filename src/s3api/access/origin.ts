/** Where a request came from: for conditions (aws:SourceIp, aws:SecureTransport, s3:TlsVersion) and for records of changes. */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';

export interface RequestOrigin {
  /** The client's address; IPv4 in its own form. '' when the socket is gone already. */
  readonly ip: string;
  readonly secure: boolean;
  /** `1.2`, `1.3`; absent without TLS. */
  readonly tlsVersion?: string;
}

export function originOf(req: IncomingMessage): RequestOrigin {
  const { socket } = req;
  const ip = (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!(socket instanceof TLSSocket)) return { ip, secure: false };
  const version = /^TLSv(\d+(?:\.\d+)?)$/.exec(socket.getProtocol() ?? '')?.[1];
  return {
    ip,
    secure: true,
    ...(version !== undefined && { tlsVersion: version === '1' ? '1.0' : version }),
  };
}
