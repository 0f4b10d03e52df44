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
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (hour > 23 || minute > 59 || second > 59) return null;
  const timeMs = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(timeMs);
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && year >= 1970;
  return exists ? timeMs : null;
}

/** Either form, with the text that the string to sign has for it. */
export function parseRequestDate(text: string): { timeMs: number; timestamp: string } | null {
  const isRfc1123 = RFC_1123.test(text);
  const timeMs = isRfc1123 ? Date.parse(text) : parseIsoBasic(text);
  if (timeMs === null || Number.isNaN(timeMs) || timeMs < 0) return null;
  return { timeMs, timestamp: isRfc1123 ? isoBasic(timeMs) : text };
}

/** Whether `20130524` is a day. */
export const isDay = (text: string): boolean => parseIsoBasic(`${text}T000000Z`) !== null;
