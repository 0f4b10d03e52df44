/**
 * Which row of the operation table a request is. A request's *subresources* are the query keys of its query that S3 gives
 * a meaning of their own; a row is considered only when its subresources are exactly the request's. So nothing falls
 * through: `PUT /b/k?acl` can only be the row of `acl`, and where there is no such row the answer is 405.
 * Among rows with equal subresources the computed specificity decides, never the order of the table.
 */
import { S3Error } from './errors.ts';
import type { OperationRow, Target } from './operation.ts';

/** Every query key of the S3 API that names a resource or an action (not a parameter of one). */
export const SUBRESOURCES: ReadonlySet<string> = new Set(
  `abac accelerate acl analytics annotation append attributes cors delete encryption intelligent-tiering inventory
   legal-hold lifecycle location logging metadataAnnotationTable metadataConfiguration metadataInventoryTable
   metadataJournalTable metadataTable metrics notification object-lock ownershipControls partNumber policy policyStatus
   publicAccessBlock renameObject replication requestPayment restore retention select session tagging torrent uploadId
   uploads versioning versions website`.split(/\s+/),
);

export interface RouteRequest {
  readonly method: string;
  readonly target: Target;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface Router {
  /** @throws {S3Error} MethodNotAllowed, InvalidArgument (subresources that exclude each other) */
  match(request: RouteRequest): OperationRow;
}

/** On reads `partNumber` chooses bytes of GetObject, HeadObject and GetObjectAttributes; on writes it names a part. */
export function subresourcesOf(method: string, keys: Iterable<string>): string[] {
  // A preflight asks for leave to send a request: what that request will be about does not change its answer.
  if (method === 'OPTIONS') return [];
  const reading = method === 'GET' || method === 'HEAD';
  const found: string[] = [];
  for (const key of keys) {
    if (SUBRESOURCES.has(key) && !(reading && key === 'partNumber')) found.push(key);
  }
  return found.sort();
}

/** Higher is more specific: values before keys before headers. */
export function specificity(row: OperationRow): number {
  const constraints = Object.values(row.query ?? {});
  const values = constraints.filter((value) => value !== true).length;
  return values * 10_000 + constraints.length * 100 + (row.headers?.length ?? 0);
}

const slotOf = (method: string, target: Target, subresources: readonly string[]): string =>
  `${method} ${target} ${subresources.join('&')}`;
const slotOfRow = (row: OperationRow): string =>
  slotOf(row.method, row.target, subresourcesOf(row.method, Object.keys(row.query ?? {})));

/** Whether one request could match both: no query key with two different values. */
function canMeet(a: OperationRow, b: OperationRow): boolean {
  return Object.entries(a.query ?? {}).every(([key, value]) => {
    const other = b.query?.[key];
    return other === undefined || other === true || value === true || other === value;
  });
}

/** Pairs of rows that some request would match equally well. Empty for a sound table. */
export function findTies(rows: readonly OperationRow[]): [OperationRow, OperationRow][] {
  const ties: [OperationRow, OperationRow][] = [];
  rows.forEach((a, i) => {
    for (const b of rows.slice(i + 1)) {
      if (slotOfRow(a) === slotOfRow(b) && specificity(a) === specificity(b) && canMeet(a, b))
        ties.push([a, b]);
    }
  });
  return ties;
}

/** @throws {Error} when two rows tie, two have one name, or a supported row has no `run`. */
export function createRouter(rows: readonly OperationRow[]): Router {
  for (const [a, b] of findTies(rows))
    throw new Error(`operation table: ${a.name} and ${b.name} tie for a request`);
  const names = new Set<string>();
  for (const row of rows) {
    if (names.has(row.name)) throw new Error(`operation table: ${row.name} stands twice`);
    names.add(row.name);
    if ((row.status === 'unsupported') !== (row.run === undefined))
      throw new Error(`operation table: ${row.name} is ${row.status} and run does not fit`);
  }
  const slots = new Map<string, OperationRow[]>();
  for (const row of [...rows].sort((a, b) => specificity(b) - specificity(a))) {
    const slot = slotOfRow(row);
    slots.set(slot, [...(slots.get(slot) ?? []), row]);
  }
  return { match: (request) => match(slots, request) };
}

function match(slots: ReadonlyMap<string, readonly OperationRow[]>, request: RouteRequest): OperationRow {
  const subresources = subresourcesOf(request.method, request.query.keys());
  const candidates = slots.get(slotOf(request.method, request.target, subresources)) ?? [];
  for (const row of candidates) if (fits(row, request)) return row;
  throw noRow(request, subresources);
}

function fits(row: OperationRow, request: RouteRequest): boolean {
  for (const [key, wanted] of Object.entries(row.query ?? {})) {
    const value = request.query.get(key);
    if (value === undefined || (wanted !== true && wanted !== value)) return false;
  }
  return row.headers?.every((name) => request.headers[name] !== undefined) ?? true;
}

function noRow(request: RouteRequest, subresources: readonly string[]): S3Error {
  const [first, second] = subresources;
  if (first === 'partNumber' && second === undefined && request.target === 'object') {
    return new S3Error('InvalidArgument', {
      message: 'This operation does not accept partNumber without uploadId',
      fields: { ArgumentName: 'partNumber', ArgumentValue: request.query.get('partNumber') ?? '' },
    });
  }
  if (second !== undefined) {
    return new S3Error('InvalidArgument', {
      message: `Conflicting query string parameters: ${subresources.join(', ')}`,
      fields: { ArgumentName: 'ResourceType', ArgumentValue: first! },
    });
  }
  const resourceType = first === undefined ? request.target : first;
  return new S3Error('MethodNotAllowed', {
    fields: { Method: request.method, ResourceType: resourceType.toUpperCase() },
  });
}
