/**
 * Questions and answers on the wire, the same for both transports:
 *
 *   version and type (1 byte) | nonce (12) | HMAC-SHA256 (32) | content (JSON, UTF-8)
 *
 * The key is derived from the cluster's secret. A question's MAC covers its nonce and content; an answer's covers the
 * question's MAC as well, so that it answers this question and no other. Nothing is parsed before its MAC was verified,
 * and nothing is longer than DATAGRAM_BYTES_MAX, which passes every network without being cut.
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Epoch, MemberId } from '../base/ids.ts';
import type { SearchAnswer, SearchQuestion } from './search.ts';

export const DATAGRAM_BYTES_MAX = 1_200;
export const SUBJECT_BYTES_MAX = 128;

const QUESTION = 0x11;
const ANSWER = 0x12;
const NONCE_AT = 1;
const MAC_AT = NONCE_AT + 12;
const CONTENT_AT = MAC_AT + 32;

export type SearchKey = KeyObject;
export const searchKey = (secret: Buffer): SearchKey =>
  createSecretKey(createHmac('sha256', secret).update('antipode search 1').digest());

/** A question as a member reads it. */
export interface WireQuestion {
  readonly kind: SearchQuestion['kind'];
  readonly subject: string;
  readonly center: string;
  readonly leftOut: readonly string[];
  readonly epoch: Epoch;
  /** When it was asked, ms since the epoch. */
  readonly at: number;
  /** Answers to a datagram are spread over so many ms, and go to this port of the sender. 0 point to point. */
  readonly windowMs: number;
  readonly replyPort: number;
}
/** `stale`: the asker's epoch is below the member's pair's; nothing is said of the subject then. */
export interface WireAnswer extends SearchAnswer {
  /** Of the member's pair. */
  readonly epoch: Epoch;
  readonly stale: boolean;
}
export interface Sealed {
  /** Base64url; the asker's handle for answers. */
  readonly nonce: string;
  readonly mac: Buffer;
  readonly bytes: Buffer;
}

function mac(
  key: SearchKey,
  label: string,
  nonce: Uint8Array,
  bound: Uint8Array,
  content: Uint8Array,
): Buffer {
  return createHmac('sha256', key).update(label).update(nonce).update(bound).update(content).digest();
}

const NOTHING = Buffer.alloc(0);
const questionMac = (key: SearchKey, nonce: Uint8Array, content: Uint8Array): Buffer =>
  mac(key, 'question\n', nonce, NOTHING, content);
const answerMac = (key: SearchKey, nonce: Uint8Array, question: Uint8Array, content: Uint8Array): Buffer =>
  mac(key, 'answer\n', nonce, question, content);

/** null when it does not fit into a datagram: too many members are left out, or a detail is too long. */
function seal(
  type: number,
  nonce: Uint8Array,
  content: Buffer,
  sign: (nonce: Uint8Array, content: Uint8Array) => Buffer,
): Sealed | null {
  if (CONTENT_AT + content.length > DATAGRAM_BYTES_MAX) return null;
  const proof = sign(nonce, content);
  const bytes = Buffer.concat([Buffer.of(type), nonce, proof, content]);
  return { nonce: bytes.toString('base64url', NONCE_AT, MAC_AT), mac: proof, bytes };
}

/** `nonce`: 12 random bytes; an argument for simulated worlds, which must replay. */
export function sealQuestion(
  key: SearchKey,
  question: WireQuestion,
  nonce: Uint8Array = randomBytes(12),
): Sealed | null {
  const content = {
    k: question.kind,
    s: question.subject,
    c: question.center,
    o: question.leftOut,
    e: question.epoch,
    t: Math.floor(question.at),
    w: question.windowMs,
    p: question.replyPort,
  };
  return seal(QUESTION, nonce, Buffer.from(JSON.stringify(content)), (n, c) => questionMac(key, n, c));
}

const isWire = (bytes: Buffer, type: number): boolean =>
  bytes.length > CONTENT_AT && bytes.length <= DATAGRAM_BYTES_MAX && bytes[0] === type;
const nonceOf = (bytes: Buffer): Buffer => bytes.subarray(NONCE_AT, MAC_AT);
const macOf = (bytes: Buffer): Buffer => bytes.subarray(MAC_AT, CONTENT_AT);

/** The question, or null: malformed, or not from a member. */
export function openQuestion(
  key: SearchKey,
  bytes: Buffer,
): { readonly question: WireQuestion; readonly nonce: string; readonly mac: Buffer } | null {
  if (!isWire(bytes, QUESTION)) return null;
  const content = bytes.subarray(CONTENT_AT);
  const proof = macOf(bytes);
  if (!timingSafeEqual(proof, questionMac(key, nonceOf(bytes), content))) return null;
  const fields = parse(content);
  if (!fields) return null;
  const { k, s, c, o, e, t, w, p } = fields;
  if (!isKind(k) || !isText(s) || !isText(c) || !isTexts(o)) return null;
  if (!isWhole(e) || !isWhole(t) || !isNumber(w) || !isPort(p)) return null;
  const question = {
    kind: k,
    subject: s,
    center: c,
    leftOut: o,
    epoch: e as Epoch,
    at: t,
    windowMs: w,
    replyPort: p,
  };
  return { question, nonce: nonceOf(bytes).toString('base64url'), mac: proof };
}

/** `questionMac`: of the question that is answered. */
export function sealAnswer(
  key: SearchKey,
  question: { readonly nonce: string; readonly mac: Buffer },
  answer: WireAnswer,
): Sealed | null {
  const { member, epoch, has, stale, detail } = answer;
  const content = { m: member, e: epoch, h: has, x: stale, ...(detail === undefined ? {} : { d: detail }) };
  const nonce = Buffer.from(question.nonce, 'base64url');
  return seal(ANSWER, nonce, Buffer.from(JSON.stringify(content)), (n, c) =>
    answerMac(key, n, question.mac, c),
  );
}

/** Whose question this claims to answer, without looking further; null when it is no answer at all. */
export const answeredNonce = (bytes: Buffer): string | null =>
  isWire(bytes, ANSWER) ? nonceOf(bytes).toString('base64url') : null;

/** The answer, or null: malformed, not from a member, or to another question. */
export function openAnswer(
  key: SearchKey,
  question: { readonly nonce: string; readonly mac: Buffer },
  bytes: Buffer,
): WireAnswer | null {
  if (answeredNonce(bytes) !== question.nonce) return null;
  const content = bytes.subarray(CONTENT_AT);
  if (!timingSafeEqual(macOf(bytes), answerMac(key, nonceOf(bytes), question.mac, content))) return null;
  const fields = parse(content);
  if (!fields) return null;
  const { m, e, h, x, d } = fields;
  if (!isText(m) || !isWhole(e) || typeof h !== 'boolean' || typeof x !== 'boolean') return null;
  return {
    member: m as MemberId,
    epoch: e as Epoch,
    has: h,
    stale: x,
    ...(d === undefined ? {} : { detail: d }),
  };
}

function parse(content: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(content.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
const isKind = (value: unknown): value is SearchQuestion['kind'] => value === 'blob' || value === 'bucket';
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && Buffer.byteLength(value) <= SUBJECT_BYTES_MAX;
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value < 2 ** 31;
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPort = (value: unknown): value is number => isWhole(value) && value <= 65_535;
