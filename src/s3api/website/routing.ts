/**
 * A bucket's website as it is configured, and what its rules make of a request. Pure.
 * Source: "Configuring advanced conditional redirects", Amazon S3 User Guide; WebsiteConfiguration, S3 API Reference.
 */
import { urlEncode } from '../xml.ts';

export type Protocol = 'http' | 'https';

/** As the bucket keeps it (setting `website`). */
export interface WebsiteConfiguration {
  readonly redirectAll?: { readonly hostName: string; readonly protocol?: Protocol };
  readonly indexSuffix?: string;
  readonly errorKey?: string;
  readonly rules: readonly RoutingRule[];
}

export interface RoutingRule {
  /** Absent: every request. */
  readonly condition?: { readonly keyPrefix?: string; readonly errorCode?: number };
  readonly redirect: Redirect;
}

export interface Redirect {
  readonly protocol?: Protocol;
  readonly hostName?: string;
  readonly replaceKey?: string;
  readonly replaceKeyPrefix?: string;
  readonly code?: number;
}

/** The bucket's setting that holds it. */
export const WEBSITE = 'website';

/** Where a request stands: its path without the first slash, and how the client came here. */
export interface Visit {
  readonly key: string;
  readonly secure: boolean;
  /** With the port, where there is one. */
  readonly host: string;
}

export interface Elsewhere {
  readonly status: number;
  readonly location: string;
}

/**
 * Where a rule sends a visit. @param error null before the object is looked up: then rules that wait for an error pass;
 * afterwards its status, and only those count.
 */
export function routeOf(rules: readonly RoutingRule[], visit: Visit, error: number | null): Elsewhere | null {
  for (const { condition, redirect } of rules) {
    const prefix = condition?.keyPrefix ?? '';
    if (!visit.key.startsWith(prefix) || (condition?.errorCode ?? null) !== error) continue;
    const { protocol, hostName, code } = redirect;
    const origin = `${protocol ?? protocolOf(visit)}://${hostName ?? visit.host}`;
    return { status: code ?? 301, location: `${origin}/${targetOf(redirect, visit.key, prefix)}` };
  }
  return null;
}

export const protocolOf = ({ secure }: Pick<Visit, 'secure'>): Protocol => (secure ? 'https' : 'http');

/** Texts of rules stand as they are (they may bring a query of their own), keys are encoded. */
function targetOf(redirect: Redirect, key: string, prefix: string): string {
  if (redirect.replaceKey !== undefined) return carried(redirect.replaceKey);
  if (redirect.replaceKeyPrefix !== undefined)
    return carried(redirect.replaceKeyPrefix) + urlEncode(key.slice(prefix.length));
  return urlEncode(key);
}

/** What a header can carry. */
const carried = (text: string): string =>
  Buffer.from(text)
    .toString('latin1')
    .replace(/[^\x21-\x7e]/g, (c) => `%${hex(c.charCodeAt(0))}`);
const hex = (code: number): string => code.toString(16).toUpperCase().padStart(2, '0');
