/**
 * Which handler answers what. Data requests are counted and need the condition's admission; control requests are
 * counted apart and answered in every state. A node that copies is no client of the store: its reads are control requests.
 */
import type { Admission } from './condition.ts';
import {
  type ControlContext,
  confirmBlobs,
  deleteBlobs,
  listInventory,
  listPending,
  statBlob,
  status,
} from './control.ts';
import type { Exchange } from './exchange.ts';
import { getBlob } from './get-blob.ts';
import { listNameDigests, listNames, putNames, releaseBlobs, trimNames } from './names.ts';
import { putBlob } from './put-blob.ts';
import {
  adoptCatalog,
  checkBlobs,
  commandScrub,
  dropBlobs,
  forgetDamage,
  listDamage,
  listDigests,
  pullBlobs,
  setCondition,
} from './replication.ts';
import { answerSearch } from './search.ts';

const BLOB_PATH = /^\/v1\/blobs\/([0-9a-f]{32})(\/record)?$/;

/** `admission`: of data requests; control requests need none. */
type Handler = (
  x: Exchange,
  id: string,
  context: ControlContext,
  admission: Admission,
) => void | Promise<void>;
export interface Route {
  /** `names`: admitted like data, and counted with the rest: no client of the store waits for it. */
  readonly kind: 'data' | 'search' | 'names' | 'control';
  readonly handle: Handler;
}
const data = (handle: Handler): Route => ({ kind: 'data', handle });
const control = (handle: Handler): Route => ({ kind: 'control', handle });

const BLOB_ROUTES: Readonly<Record<string, Route>> = {
  'PUT ': data((x, id, { store }, admission) => putBlob(x, store, id, admission)),
  'GET ': data((x, id, { store }) => getBlob(x, store, id)),
  'GET replication': control((x, id, { store }) => getBlob(x, store, id)),
  'GET /record': control((x, id, { store }) => statBlob(x, store, id)),
};
const ROUTES: Readonly<Record<string, Route>> = {
  'POST /v1/delete': data((x, _, { store }) => deleteBlobs(x, store)),
  'POST /v1/search': { kind: 'search', handle: (x, _, { search }) => answerSearch(x, search) },
  'POST /v1/confirm': control((x, _, { store }) => confirmBlobs(x, store)),
  'GET /v1/pending': control((x, _, { store }) => listPending(x, store)),
  'GET /v1/inventory': control((x, _, { store }) => listInventory(x, store)),
  'GET /v1/status': control((x, _, context) => status(x, context)),
  'POST /v1/condition': control((x, _, context) => setCondition(x, context)),
  'POST /v1/pull': control((x, _, context) => pullBlobs(x, context)),
  'GET /v1/digests': control((x, _, { store }) => listDigests(x, store)),
  'POST /v1/drop': control((x, _, { store }) => dropBlobs(x, store)),
  'POST /v1/check': control((x, _, context) => checkBlobs(x, context)),
  'GET /v1/damage': control((x, _, { store }) => listDamage(x, store)),
  'POST /v1/damage/forget': control((x, _, { store }) => forgetDamage(x, store)),
  'POST /v1/catalog': control((x, _, { store }) => adoptCatalog(x, store)),
  'POST /v1/names': { kind: 'names', handle: (x, _, { store }, admission) => putNames(x, store, admission) },
  'POST /v1/names/copy': control((x, _, { store }) => putNames(x, store, () => {})),
  'GET /v1/names': control((x, _, { store }) => listNames(x, store)),
  'GET /v1/names/digests': control((x, _, { store }) => listNameDigests(x, store)),
  'POST /v1/names/trim': control((x, _, { store }) => trimNames(x, store)),
  'POST /v1/release': control((x, _, { store }) => releaseBlobs(x, store)),
  'POST /v1/scrub': control((x, _, context) => commandScrub(x, context)),
};

export function routeOf({ req, path, query }: Exchange): { route: Route | undefined; id: string } {
  const blob = BLOB_PATH.exec(path);
  if (!blob) return { route: rowOf(ROUTES, `${req.method} ${path}`), id: '' };
  const purpose = query.get('purpose') ?? '';
  return { route: rowOf(BLOB_ROUTES, `${req.method} ${blob[2] ?? purpose}`), id: blob[1]! };
}

const rowOf = (table: Readonly<Record<string, Route>>, key: string): Route | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;
