/**
 * Wildcards and variables of policies. `*` stands for any text, `?` for one character. Where the policy's version knows
 * variables, `${name}` and `${name, 'default'}` stand for the request's value, taken literally, and `${*}`, `${?}`, `${$}` for
 * those characters. Source: "IAM policy elements: Variables and tags", AWS IAM User Guide.
 */
import type { PolicyContext } from './types.ts';

/** A text of its own, or a wildcard. */
export type Piece = { readonly text: string } | '*' | '?';

const VARIABLE = /\$\{([^{}]*)\}/g;
const DEFAULTED = /^\s*([^,]*?)\s*(?:,\s*'([^']*)'\s*)?$/s;

/** The names (lower case) of the condition keys that a text's variables ask for. */
export function variablesOf(text: string): string[] {
  const names: string[] = [];
  for (const [, inner = ''] of text.matchAll(VARIABLE)) {
    const name = DEFAULTED.exec(inner)?.[1] ?? '';
    if (name !== '' && !isSign(name)) names.push(name.toLowerCase());
  }
  return names;
}

const isSign = (name: string): boolean => name === '*' || name === '?' || name === '$';

/**
 * The text with its variables filled in. `wildcards`: whether `*` and `?` of the text itself are wildcards; those of a
 * variable's value never are. null when a variable has no value, or several: such a text matches nothing.
 */
export function fillIn(text: string, context: PolicyContext | null, wildcards: boolean): Piece[] | null {
  const pieces: Piece[] = [];
  const add = (plain: string): void => {
    if (!wildcards) {
      if (plain !== '') pieces.push({ text: plain });
      return;
    }
    for (const part of plain.split(/([*?])/)) {
      if (part === '*' || part === '?') pieces.push(part);
      else if (part !== '') pieces.push({ text: part });
    }
  };
  if (context === null) {
    add(text);
    return pieces;
  }
  let at = 0;
  for (const match of text.matchAll(VARIABLE)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    const value = variableValue(match[1]!, context);
    if (value === null) return null;
    if (value !== '') pieces.push({ text: value });
  }
  add(text.slice(at));
  return pieces;
}

function variableValue(inner: string, context: PolicyContext): string | null {
  if (isSign(inner)) return inner;
  const parts = DEFAULTED.exec(inner);
  if (parts === null) return null;
  const values = context.get(parts[1]!.toLowerCase());
  if (values === undefined || values.length === 0) return parts[2] ?? null;
  return values.length === 1 ? values[0]! : null;
}

/** The text of pieces without wildcards. */
export const plainText = (pieces: readonly Piece[]): string =>
  pieces.map((piece) => (typeof piece === 'string' ? piece : piece.text)).join('');

/** Whether the pieces match the whole text. At most the product of both lengths in steps. */
export function matchesPieces(pieces: readonly Piece[], text: string): boolean {
  let piece = 0;
  let at = 0;
  let starPiece = -1;
  let starAt = 0;
  for (;;) {
    const next = pieces[piece];
    if (next === '*') {
      starPiece = piece++;
      starAt = at;
      continue;
    }
    const length = next === undefined ? (at === text.length ? 0 : -1) : lengthAt(next, text, at);
    if (next === undefined && length === 0) return true;
    if (next !== undefined && length >= 0) {
      at += length;
      piece++;
      continue;
    }
    if (starPiece < 0 || starAt >= text.length) return false;
    starAt = nextStart(pieces[starPiece + 1], text, starAt + 1);
    if (starAt < 0) return false;
    at = starAt;
    piece = starPiece + 1;
  }
}

/** How many units of the text a piece takes at a place; -1 when it does not match there. */
function lengthAt(piece: Exclude<Piece, '*'>, text: string, at: number): number {
  if (piece !== '?') return text.startsWith(piece.text, at) ? piece.text.length : -1;
  if (at >= text.length) return -1;
  return text.codePointAt(at)! > 0xffff ? 2 : 1;
}

/** Where what follows a star can begin. */
function nextStart(piece: Piece | undefined, text: string, from: number): number {
  if (piece === undefined) return text.length;
  return typeof piece === 'string' ? from : text.indexOf(piece.text, from);
}

/** A pattern without variables. */
export const like = (pattern: string, text: string): boolean =>
  matchesPieces(fillIn(pattern, null, true)!, text);

/** Actions: without regard to case. */
export const likeAction = (pattern: string, action: string): boolean =>
  pattern === '*' || like(pattern.toLowerCase(), action.toLowerCase());

/** Whether some text that begins with `start` matches the pattern; a variable may stand for anything. */
export function canBegin(pattern: string, start: string): boolean {
  const units = [...pattern.replaceAll(VARIABLE, '*')];
  let states = closure(units, new Set([0]));
  for (const char of start) {
    const next = new Set<number>();
    for (const state of states) {
      const unit = units[state];
      if (unit === '*') next.add(state);
      else if (unit === '?' || unit === char) next.add(state + 1);
    }
    states = closure(units, next);
    if (states.size === 0) return false;
  }
  return true;
}

function closure(units: readonly string[], states: Set<number>): Set<number> {
  for (const state of states) if (units[state] === '*') states.add(state + 1);
  return states;
}
