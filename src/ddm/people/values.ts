/** What Postgres sends, as JSON says it: numbers where they are exact, times in ISO 8601, documents as documents. */
import pg from 'pg';

export interface SqlColumn {
  readonly name: string;
  /** Postgres' name of the type, or its number. */
  readonly type: string;
}

const { builtins } = pg.types;
const NAMES = new Map<number, string>(
  Object.entries(builtins).map(([name, oid]) => [Number(oid), name.toLowerCase()]),
);

const asIs = (text: string): string => text;
/** A number that would be another one as a double stays text. */
const exact = (text: string): number | string => {
  const value = Number(text);
  return Number.isFinite(value) &&
    (!Number.isInteger(value) || Number.isSafeInteger(value)) &&
    same(text, value)
    ? value
    : text;
};
const same = (text: string, value: number): boolean =>
  String(value) === text || String(value) === text.replace(/\.?0+$/, '');
/** The session's zone is UTC and its style ISO: `2026-01-31 12:00:00.5+00`. */
const iso = (text: string): string => text.replace(' ', 'T').replace(/\+00$/, 'Z');

const PARSERS = new Map<number, (text: string) => unknown>([
  [builtins.BOOL, (text) => text === 't'],
  [builtins.INT2, Number],
  [builtins.INT4, Number],
  [builtins.OID, Number],
  [builtins.INT8, exact],
  [builtins.NUMERIC, exact],
  [builtins.FLOAT4, exact],
  [builtins.FLOAT8, exact],
  [builtins.TIMESTAMP, iso],
  [builtins.TIMESTAMPTZ, iso],
  [builtins.JSON, (text) => JSON.parse(text) as unknown],
  [builtins.JSONB, (text) => JSON.parse(text) as unknown],
]);
/** text[], varchar[], uuid[]. */
const TEXT_ARRAYS = new Set([1009, 1015, 2951]);
const parseArray = pg.types.getTypeParser(1009 as typeof builtins.TEXT, 'text') as (text: string) => unknown;

/** For pg.Query. */
export const sqlTypes = {
  getTypeParser(oid: number): (text: string) => unknown {
    return TEXT_ARRAYS.has(oid) ? parseArray : (PARSERS.get(oid) ?? asIs);
  },
};

export const columnsOf = (fields: readonly { name: string; dataTypeID: number }[]): SqlColumn[] =>
  fields.map(({ name, dataTypeID }) => ({ name, type: NAMES.get(dataTypeID) ?? `type ${dataTypeID}` }));
