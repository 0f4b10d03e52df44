/** The dates of Signature Version 4: ISO 8601 basic (`20130524T000000Z`), or RFC 1123 in a Date header. */

const ISO_BASIC = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;
const RFC_1123 = /^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} (?:GMT|UTC|[+-]0000)$/;

export const isoBasic = (timeMs: number): string =>
  `${new Date(timeMs).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;

/** `2013-05-24T00:00:00Z`, as error fields show times. */
export const isoSeconds = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 19)}Z`;

/** Milliseconds since the epoch; null when it is no such date, one that does not exist, or one before 1970. */
export function parseIsoBasic(text: string): number | null {
  const match = ISO_BASIC.exec(text);
  if (!match) return null;
  const [, year, month, day, hour, minute, second] = match;
  const timeMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(timeMs) || timeMs < 0 || isoBasic(timeMs) !== text ? null : timeMs;
}

/** Either form. */
export function parseRequestDate(text: string): number | null {
  if (!RFC_1123.test(text)) return parseIsoBasic(text);
  const timeMs = Date.parse(text);
  return Number.isNaN(timeMs) || timeMs < 0 ? null : timeMs;
}

/** Whether `20130524` is a day. */
export const isDay = (text: string): boolean => parseIsoBasic(`${text}T000000Z`) !== null;
