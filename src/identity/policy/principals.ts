/**
 * Principals of policies: read from their JSON, and compared with who asks. Source: "AWS JSON policy elements: Principal",
 * AWS IAM User Guide; `arn:aws:iam:::user/ACCOUNT` is radosgw's way to name an account.
 */
import type { Principal } from '../types.ts';
import { PolicyError } from './errors.ts';
import type { PrincipalEntry } from './types.ts';

const ARN = /^arn:aws:(iam|sts)::([^:*?]*):([^*?]+)$/;

const invalid = (): PolicyError => new PolicyError('Invalid principal in policy');

/** @throws {PolicyError} */
export function readPrincipals(value: unknown): PrincipalEntry[] {
  if (value === '*') return [{ kind: 'everyone' }];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid();
  const entries = Object.entries(value).flatMap(([type, names]) =>
    (Array.isArray(names) ? names : [names]).map((name) => readOne(type, name)),
  );
  if (entries.length === 0) throw invalid();
  return entries;
}

function readOne(type: string, name: unknown): PrincipalEntry {
  if (typeof name !== 'string' || name === '') throw invalid();
  if (type === 'AWS') return name === '*' ? { kind: 'everyone' } : readAws(name);
  if (name.includes('*')) throw invalid();
  if (type === 'CanonicalUser') return { kind: 'account', id: name };
  if (type === 'Service' || type === 'Federated') return { kind: 'other', name };
  throw invalid();
}

function readAws(name: string): PrincipalEntry {
  if (!name.startsWith('arn:')) {
    if (/[*?\s]/.test(name)) throw invalid();
    return { kind: 'account', id: name };
  }
  const [, service, account = '', rest = ''] = ARN.exec(name) ?? [];
  if (service === 'iam' && rest === 'root' && account !== '') return { kind: 'account', id: account };
  const [what, ...path] = rest.split('/');
  if (path.length === 0 || path.some((part) => part === '')) throw invalid();
  if (service === 'iam' && what === 'user') return { kind: 'user', account, path: path.join('/'), arn: name };
  if (service === 'iam' && what === 'role') return { kind: 'role', account, path: path.join('/') };
  if (service === 'sts' && what === 'assumed-role' && path.length === 2)
    return { kind: 'session', arn: name };
  if (service === 'sts' && what === 'federated-user') return { kind: 'other', name };
  throw invalid();
}

/**
 * `direct`: the entry is who asks. `account`: it is the account of a user or a session, which then still needs a policy of
 * its own. Everything of an account is the account's own keys'.
 */
export type PrincipalMatch = 'direct' | 'account' | 'no';

export function matchPrincipal(entries: readonly PrincipalEntry[], principal: Principal): PrincipalMatch {
  let best: PrincipalMatch = 'no';
  for (const entry of entries) {
    const match = matchOne(entry, principal);
    if (match === 'direct') return match;
    if (match === 'account') best = match;
  }
  return best;
}

function matchOne(entry: PrincipalEntry, principal: Principal): PrincipalMatch {
  if (entry.kind === 'everyone') return 'direct';
  if (principal.kind === 'anonymous') return 'no';
  const { account, identity } = principal;
  const wholeAccount = identity === undefined ? 'direct' : 'account';
  switch (entry.kind) {
    case 'account':
      return entry.id === account.id ? wholeAccount : 'no';
    case 'user':
      if (identity?.kind === 'user' && identity.arn === entry.arn) return 'direct';
      return namesAccount(entry, account) ? wholeAccount : 'no';
    case 'role':
      return identity?.kind === 'assumed-role' && identity.arn.startsWith(sessionsOf(entry))
        ? 'direct'
        : 'no';
    case 'session':
      return identity?.arn === entry.arn ? 'direct' : 'no';
    case 'other':
      return 'no';
  }
}

const sessionsOf = ({ account, path }: { account: string; path: string }): string =>
  `arn:aws:sts::${account}:assumed-role/${path.split('/').at(-1)}/`;

/** A tenant's accounts are named by both, or by `TENANT$ID` alone. */
function namesAccount(
  { account: tenant, path }: { account: string; path: string },
  account: { id: string; tenant?: string },
): boolean {
  if (tenant === '') return path === account.id;
  return `${tenant}$${path}` === account.id || (tenant === account.tenant && path === account.id);
}
