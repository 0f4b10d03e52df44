/** Texts of a configuration that name hosts and proxies in front of a port. */
import { isIP } from 'node:net';

export interface PublicHost {
  readonly scheme?: 'http' | 'https';
  /** Lower case, without port. */
  readonly name: string;
  readonly port?: string;
}

const PUBLIC_HOST =
  /^(?:(https?):\/\/)?((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::(\d{1,5}))?\/?$/i;

/** null when the text is no host. */
export function parsePublicHost(text: string): PublicHost | null {
  const [, scheme, name, port] = PUBLIC_HOST.exec(text) ?? [];
  if (name === undefined || Number(port ?? 0) > 65_535) return null;
  return {
    ...(scheme !== undefined && { scheme: scheme.toLowerCase() as 'http' | 'https' }),
    name: name.toLowerCase(),
    ...(port !== undefined && { port }),
  };
}

/** Whether `text` is an address, or a subnet as `10.0.0.0/8`. */
export function isProxyAddress(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}
